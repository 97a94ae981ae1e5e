"""The audit log: a line of JSON for each refused call, in a file that cannot grow without end.

A flood of refused calls is counted rather than told: no more than ten lines a second come from one worker,
and a line with `left_out` says how many more there were.
"""

import asyncio
import fcntl
import json
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

LINES_A_SECOND: Final = 10
MOST_BYTES: Final = 10 * 2**20
"""The file is put aside as `audit.log.1` when it is larger; the one put aside before goes."""

_logger: Final = logging.getLogger(__name__)


class AuditLog:
    """Writes what was refused; one event loop uses it. A line that cannot be written stops no answer."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def note(self, **fields: str | int) -> None:
        """Write a line, unless this second has enough of them; `fields` must hold no secret."""
        now = self._clock()
        if int(now) != self._second:
            self._second, self._lines = int(now), 0
            self.tell_left_out()
        self._lines += 1
        if self._lines > LINES_A_SECOND:
            if not self._left_out:
                asyncio.get_running_loop().call_later(1.0, self.tell_left_out)
            self._left_out += 1
            return
        self._write({"time": _written(now), **fields})

    def tell_left_out(self) -> None:
        """Write how many calls were left out since the last line that said so."""
        count, self._left_out = self._left_out, 0
        if count:
            self._write({"time": _written(self._clock()), "left_out": count})

    def _write(self, fields: dict[str, Any]) -> None:
        # All in ASCII: no letter of a caller can begin a line, or move the cursor of who reads it.
        line = json.dumps(fields).encode() + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(file, line)
                if os.fstat(file).st_size > MOST_BYTES:
                    self._put_aside(file)
            finally:
                os.close(file)
        except OSError as error:
            _logger.warning("the audit log %s cannot be written: %s", self._path, error.strerror)

    def _put_aside(self, file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_ino == self._path.stat().st_ino:  # else another worker has just done it
            self._path.replace(self._path.with_name(self._path.name + ".1"))


def _written(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
