import multiprocessing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.errors import SettingError, Unavailable
from pinterest_pipeline.gateway.error_codes import QUOTA_EXCEEDED, RATE_EXCEEDED, Fault
from pinterest_pipeline.gateway.plans import Plan, Usage, Used, plan, spend

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()  # a Wednesday
DAY = 86_400
KEY, OTHER = "3f9a0c4d5e6b", "000000000000"


def retry_after(fault: Any) -> int:
    assert isinstance(fault, Fault)
    return int(dict(fault.headers)["retry-after"])


def test_a_plan_is_read_as_a_person_writes_it() -> None:
    assert plan(None, None, None) == Plan()
    assert plan(2.5, None, "10000/day") == Plan(2.5, 3, 10_000, "day")
    assert plan(0.1, None, None) == Plan(0.1, 1)
    assert plan(5, 20, "7/month") == Plan(5, 20, 7, "month")


@pytest.mark.parametrize(
    ("rate", "burst", "quota", "said"),
    [
        (0, None, None, "rate must be more than 0"),
        (float("nan"), None, None, "rate must be more than 0"),
        (float("inf"), None, None, "rate must be more than 0"),
        (None, 5, None, "goes with a rate"),
        (1, 0, None, "1 or more"),
        (None, None, "many", "10000/day"),
        (None, None, "0/day", "10000/day"),
        (None, None, "10/year", "10000/day"),
        (None, None, "10/day\n", "10000/day"),
    ],
)
def test_a_wrong_plan_says_what_is_expected(
    rate: float | None, burst: int | None, quota: str | None, said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        plan(rate, burst, quota)


def test_a_burst_comes_at_once_and_then_the_rate(tmp_path: Path) -> None:
    usage, limits = Usage(tmp_path / "usage"), Plan(rate=2, burst=5)
    taken = [usage.take(1, KEY, limits, NOON) for _ in range(7)]
    assert taken[:5] == [None] * 5
    assert isinstance(taken[5], Fault)
    assert taken[5].kind is RATE_EXCEEDED
    assert retry_after(taken[5]) == 1
    assert usage.take(1, KEY, limits, NOON + 0.49) is not None
    assert usage.take(1, KEY, limits, NOON + 0.5) is None
    assert usage.take(1, KEY, limits, NOON + 0.5) is not None
    assert usage.take(2, OTHER, limits, NOON) is None  # another key has its own
    assert [usage.take(1, KEY, limits, NOON + 60) is None for _ in range(6)] == [True] * 5 + [False]
    usage.close()


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 20), min_size=1, max_size=200),
)
def test_never_more_than_the_burst_and_the_rate_in_any_time(
    rate: float, burst: int, pauses: list[float]
) -> None:
    limits, used, now = Plan(rate=rate, burst=burst), Used(), NOON
    taken: list[float] = []
    for pause in pauses:
        now += pause
        after = spend(limits, used, now)
        if isinstance(after, Used):
            used = after
            taken.append(now)
        else:  # the time to come again is true
            assert isinstance(spend(limits, used, now + retry_after(after)), Used)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - taken[first]) + 1e-3


@pytest.mark.parametrize(
    ("period", "seconds"),
    [("day", DAY // 2), ("week", DAY * 4 + DAY // 2), ("month", DAY * 5 + DAY // 2)],
)
def test_a_quota_is_whole_again_when_its_period_is_over(tmp_path: Path, period: Any, seconds: int) -> None:
    usage, limits = Usage(tmp_path / "usage"), Plan(quota=3, period=period)
    assert [usage.take(1, KEY, limits, NOON) for _ in range(3)] == [None] * 3
    fault = usage.take(1, KEY, limits, NOON)
    assert isinstance(fault, Fault)
    assert fault.kind is QUOTA_EXCEEDED
    assert retry_after(fault) == seconds
    assert usage.take(1, KEY, limits, NOON + seconds - 1) is not None
    assert [usage.take(1, KEY, limits, NOON + seconds) is None for _ in range(4)] == [True] * 3 + [False]
    assert usage.take(1, KEY, limits, NOON) is not None  # a clock that is set back gives nothing back
    usage.close()


def test_a_refused_request_takes_nothing(tmp_path: Path) -> None:
    usage, limits = Usage(tmp_path / "usage"), Plan(rate=1, burst=1, quota=2)
    found = [usage.take(1, KEY, limits, NOON + second / 10) is None for second in range(21)]
    assert found.count(True) == 2
    assert usage.take(1, KEY, limits, NOON + 60) is not None
    usage.close()


def test_what_is_used_outlives_a_worker(tmp_path: Path) -> None:
    for _ in range(3):
        usage = Usage(tmp_path / "usage")
        assert usage.take(7, KEY, Plan(quota=3), NOON) is None
        usage.close()
    usage = Usage(tmp_path / "usage")
    assert usage.take(7, KEY, Plan(quota=3), NOON) is not None
    usage.close()


def test_a_key_begins_with_nothing_used_in_a_slot_that_another_had(tmp_path: Path) -> None:
    usage, limits = Usage(tmp_path / "usage"), Plan(rate=1, burst=2, quota=2)
    for key in (KEY, OTHER):
        assert [usage.take(1, key, limits, NOON) is None for _ in range(3)] == [True, True, False]
    usage.close()


def take_many(path: Path, limits: Plan) -> int:
    usage = Usage(path)
    taken = sum(usage.take(1, KEY, limits, NOON) is None for _ in range(2_000))
    usage.close()
    return taken


@pytest.mark.parametrize("limits", [Plan(quota=3_333), Plan(rate=1, burst=3_333)])
def test_workers_share_a_plan_to_the_last_request(tmp_path: Path, limits: Plan) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        taken = pool.starmap(take_many, [(tmp_path / "usage", limits)] * 3)
    assert sum(taken) == 3_333


def test_a_file_that_is_gone_lets_nobody_past(tmp_path: Path) -> None:
    usage = Usage(tmp_path / "usage")
    usage.close()
    with pytest.raises(Unavailable, match="usage"):
        usage.take(1, KEY, Plan(quota=1), NOON)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "usage").mkdir()
    with pytest.raises(Unavailable, match="usage"):
        Usage(tmp_path / "usage")
