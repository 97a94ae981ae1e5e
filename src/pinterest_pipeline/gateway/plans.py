"""Usage plans, as API Gateway has them: a rate with a burst, and a quota for a day, a week or a month.

All workers share one file of 32 bytes for each key, read and written under a lock of these bytes. So a plan
holds exactly however many workers there are, and what is used outlives any of them. Only a power cut may
give back what was used in the last seconds before it.
"""

import fcntl
import math
import os
import re
import struct
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast, get_args

import msgspec

from pinterest_pipeline.errors import SettingError, unusable
from pinterest_pipeline.gateway.error_codes import QUOTA_EXCEEDED, RATE_EXCEEDED, Fault

Period = Literal["day", "week", "month"]

_QUOTA: Final = re.compile(r"([1-9][0-9]{0,14})/(day|week|month)")
_STATE: Final = struct.Struct("<dqq8s")
"""What is used, and the id of the key that used it."""
_DAY_SECONDS: Final = 86_400
_HAIR: Final = 1e-6  # seconds; what sums of floating point numbers may be off


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a key may use; None sets no limit. Periods begin at midnight UTC, a week on Monday."""

    rate: float | None = None
    """Requests a second."""
    burst: int = 1
    """Requests that may come at once after a pause."""
    quota: int | None = None
    """Requests in a period."""
    period: Period = "day"


def plan(rate: float | None, burst: int | None, quota: str | None) -> Plan:
    """A plan from what a person writes, the quota as `10000/day`; raises SettingError."""
    if rate is not None and not 0 < rate < math.inf:
        raise SettingError(f"the rate must be more than 0 requests a second, not {rate:g}")
    if burst is not None and (rate is None or burst < 1):
        raise SettingError("a burst is 1 or more, and goes with a rate", "give --rate too")
    limit = _QUOTA.fullmatch(quota) if quota is not None else None
    if quota is not None and limit is None:
        raise SettingError(
            f"'{quota}' is no quota", f"write NUMBER/PERIOD, like 10000/day; {', '.join(get_args(Period))}"
        )
    return Plan(
        rate,
        burst or max(1, math.ceil(rate or 1)),
        int(limit[1]) if limit else None,
        cast("Period", limit[2]) if limit else "day",
    )


class Used(NamedTuple):
    """What is used of a plan: when its burst is whole again (seconds since 1970); requests of a period."""

    whole_at: float = 0.0
    period: int = 0
    requests: int = 0


def spend(plan: Plan, used: Used, now: float) -> Used | Fault:
    """Take one request out of a plan, or say when to come again; a refused request takes nothing."""
    number, ends = _period(plan.period, int(now // _DAY_SECONDS))
    if used.period < number:  # a clock that is set back begins no period anew
        used = used._replace(period=number, requests=0)
    if plan.quota is not None and used.requests >= plan.quota:
        message = f"the key has used its {plan.quota:,} requests of this {plan.period}"
        return Fault(QUOTA_EXCEEDED, message, _come_again(ends - now))
    if plan.rate is None:
        return used._replace(requests=used.requests + 1)
    burst = plan.burst / plan.rate
    whole_at = min(max(used.whole_at, now), now + burst) + 1 / plan.rate
    if whole_at - now > burst + _HAIR:
        message = f"the key may send {plan.rate:g} requests a second, {plan.burst:,} at once"
        return Fault(RATE_EXCEEDED, message, _come_again(whole_at - now - burst))
    return Used(whole_at, used.period, used.requests + 1)


def _come_again(seconds: float) -> tuple[tuple[str, str], ...]:
    return (("retry-after", str(max(1, math.ceil(seconds)))),)


@lru_cache(maxsize=8)
def _period(period: Period, day: int) -> tuple[int, float]:
    """The number of the period that a day since 1970 is in, and its end in seconds since 1970."""
    today = datetime.fromtimestamp(day * _DAY_SECONDS, UTC)
    if period == "day":
        end = today + timedelta(days=1)
    elif period == "week":
        end = today + timedelta(days=7 - today.weekday())
    else:
        end = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    return end.toordinal(), end.timestamp()


class Usage:
    """What the keys have used, shared by all workers. Raises Unavailable or DiskFull."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise unusable(self._path, error) from error

    def take(self, slot: int, key: str, plan: Plan, now: float) -> Fault | None:
        """Take a request out of the plan of the key of this id in this slot; returns why it cannot be.

        What another key used there is nothing of this one's: slots begin again with a new file of keys.
        """
        if plan.rate is None and plan.quota is None:
            return None
        place, owner = slot * _STATE.size, bytes.fromhex(key).ljust(8)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX, _STATE.size, place)
            try:
                used = spend(plan, self._read(place, owner), now)
                if isinstance(used, Fault):
                    return used
                os.pwrite(self._file, _STATE.pack(*used, owner), place)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, _STATE.size, place)
        except OSError as error:
            raise unusable(self._path, error) from error
        return None

    def _read(self, place: int, owner: bytes) -> Used:
        found = os.pread(self._file, _STATE.size, place)
        if len(found) < _STATE.size:
            return Used()
        *used, user = _STATE.unpack(found)
        return Used(*used) if user == owner else Used()

    def close(self) -> None:
        os.close(self._file)
