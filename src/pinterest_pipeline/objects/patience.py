"""Tries again what can pass, for a while, and says so at once: whoever waits knows for what and how long."""

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from pinterest_pipeline.errors import Unavailable

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_QUIET_SECONDS: Final = 5.0
"""A store that fails now and then is spoken of no more often."""
_log = structlog.get_logger("objects")


class Patience:
    """For the requests of one store; `seconds` is how long each is tried. Safe in several threads."""

    def __init__(self, store: str, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._lock = threading.Lock()
        self._away_since: float | None = None
        self._quiet_until = 0.0

    def repeated(self, call: Callable[[], T]) -> T:
        """What the call gives; it is made again while it raises Unavailable, until the time is over."""
        deadline = time.monotonic() + self._seconds
        pause = _FIRST_PAUSE
        while True:
            try:
                found = call()
            except Unavailable as error:
                if time.monotonic() + pause > deadline:
                    raise
                self._say_away(error)
            else:
                self._say_back()
                return found
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _say_away(self, error: Unavailable) -> None:
        now = time.monotonic()
        with self._lock:
            if self._away_since is not None or now < self._quiet_until:
                return
            self._away_since = now
            self._quiet_until = now + _QUIET_SECONDS
        _log.warning(
            "the store fails; trying again",
            store=self._store,
            up_to_seconds=self._seconds,
            longest_pause_seconds=_LONGEST_PAUSE,
            problem=error.problem,
        )

    def _say_back(self) -> None:
        if self._away_since is None:  # almost always, and then without the lock
            return
        with self._lock:
            since, self._away_since = self._away_since, None
        if since is not None:
            _log.info(
                "the store answers again", store=self._store, after_seconds=round(time.monotonic() - since, 1)
            )
