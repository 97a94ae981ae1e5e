"""The access log: a line of JSON for each request, written in batches by a thread of its own.

JSON escapes what would begin a new line, and whatever else a request says is taken in ASCII, so that nobody
can write a line of his own making or move a terminal's cursor. A disk
that does not take the lines costs lines and no requests; how many is logged.
"""

import logging
import os
import sys
import threading
import time
from collections import deque
from typing import Final

import msgspec

from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.gateway.error_codes import Fault
from pinterest_pipeline.gateway.exchange import Exchange

STANDARD_ERROR: Final = "-"
_MOST_WAITING: Final = 100_000
_SECONDS_BETWEEN: Final = 0.5
_FOR_OWNER: Final = 0o600  # addresses of callers are in it
_SHOWN: Final = 500  # characters of a path or a header

_logger: Final = logging.getLogger(__name__)
_encoder: Final = msgspec.json.Encoder()


class Line(msgspec.Struct, omit_defaults=True):
    """One request."""

    time: float
    """Seconds since 1970 when the answer was out."""
    operation: str
    status: int
    method: str = ""
    path: str = ""
    """As it was sent, with its stage and without the query."""
    bytes_in: int = 0
    bytes_out: int = 0
    ms: float = 0.0
    caller: str = ""
    """The id of the caller's key, if it has one."""
    trace: str = ""
    """The trace id of the request's traceparent."""
    remote: str = ""
    refused: str = ""
    """Why a request was refused before its operation was known."""


class AccessLog:
    """Writes the lines to a file, which it opens anew for each batch, or to standard error."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._lines: deque[Line] = deque(maxlen=_MOST_WAITING)
        self._lost = 0
        self._stop = threading.Event()
        self._append(b"")
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def note(self, exchange: Exchange) -> None:
        """Take down a request that was answered."""
        scope = exchange.request.scope
        trace = exchange.request.headers.get("traceparent", "")[3:35]
        self._add(
            Line(
                time=time.time(),
                operation=exchange.operation.id,
                status=exchange.status,
                method=scope["method"],
                path=scope["raw_path"][:_SHOWN].decode("ascii", "backslashreplace"),
                bytes_in=exchange.bytes_in,
                bytes_out=exchange.bytes_out,
                ms=round(exchange.seconds * 1_000, 3),
                caller=scope.get("caller", ""),
                trace=trace if trace.isascii() and trace.isalnum() else "",
                remote=scope["client"][0] if scope["client"] else "",
            )
        )

    def refused(self, fault: Fault, client: str) -> None:
        """Take down a request that was refused before its operation was known."""
        line = Line(time.time(), "refused", fault.kind.status, remote=client, refused=fault.message[:_SHOWN])
        self._add(line)

    def close(self) -> None:
        """Write what waits and end the thread."""
        self._stop.set()
        self._thread.join()

    def _add(self, line: Line) -> None:
        if len(self._lines) == _MOST_WAITING:
            self._lost += 1
        self._lines.append(line)

    def _run(self) -> None:
        while not self._stop.wait(_SECONDS_BETWEEN):
            self._write()
        self._write()

    def _write(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if not lines:
            return
        try:
            self._append(b"".join(_encoder.encode(line) + b"\n" for line in lines))
        except SettingError as error:
            self._lost += len(lines)
            _logger.warning("%s; %d lines are lost so far", error.problem, self._lost)

    def _append(self, text: bytes) -> None:
        """Raises SettingError when they cannot be written."""
        try:
            if self._target == STANDARD_ERROR:
                sys.stderr.buffer.write(text)
                sys.stderr.buffer.flush()
                return
            file = os.open(self._target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _FOR_OWNER)
            try:
                os.write(file, text)
            finally:
                os.close(file)
        except OSError as error:
            raise SettingError(
                f"the access log {self._target} cannot be written: {error.strerror}",
                "see PINPIPE_GATEWAY__ACCESS_LOG",
            ) from None
