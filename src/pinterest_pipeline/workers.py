"""Several processes of the same work: forked, forked again when one dies, stopped together."""

import os
import select
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Final

import structlog

from pinterest_pipeline.errors import BadInput, SettingError

_HOPELESS: Final = {error.exit_code for error in (SettingError, BadInput)}
_STOP_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.1
_LONGEST_PAUSE: Final = 10.0
_WELL_SECONDS: Final = 1.0
"""A worker that lived for so long had begun to work: whatever killed it need not kill the next one."""
_STANDARD_INPUT: Final = 0
_log: Final = structlog.get_logger("workers")


@dataclass(slots=True)
class _Worker:
    pid: int = 0
    started: float = 0.0
    start_at: float = 0.0
    failures: int = 0


class Workers:
    """So many forks of this process, which must have no other thread and no open log when they are made."""

    def __init__(self, count: int, *, exit_with_parent: bool) -> None:
        self._workers = [_Worker() for _ in range(count)]
        self._exit_with_parent = exit_with_parent
        self._stopping = False
        self._lifeline = os.pipe()
        """Workers read the one end; they see it close when this process is gone, however it ended."""

    def run(self) -> int | None:
        """In each worker its number, from 0, at once; here None, when all were told to stop and have ended.

        A worker that dies is started again; one that ends with a wrong setting ends all, and this process.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._stopping:
            for place, worker in enumerate(self._workers):
                if not worker.pid and time.monotonic() >= worker.start_at and self._fork(worker):
                    return place
            self._wait()
            self._reap()
        self._end()
        return None

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _wait(self) -> None:
        watched = [_STANDARD_INPUT] if self._exit_with_parent else []
        readable, _, _ = select.select(watched, [], [], _LOOK_SECONDS)
        if readable and not os.read(_STANDARD_INPUT, 1024):
            self._stopping = True

    def _fork(self, worker: _Worker) -> bool:
        """True in the worker."""
        worker.started = time.monotonic()
        worker.pid = os.fork()
        if worker.pid:
            return False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        ours, parents = self._lifeline
        os.close(parents)
        threading.Thread(target=_end_with, args=(ours,), name="parent-watch", daemon=True).start()
        return True

    def _reap(self) -> None:
        for worker in self._workers:
            if worker.pid and (status := _ended(worker.pid)) is not None:
                code = os.waitstatus_to_exitcode(status)
                if code in _HOPELESS:
                    worker.pid = 0
                    self._end()
                    sys.exit(code)
                self._note_death(worker, code)

    def _note_death(self, worker: _Worker, code: int) -> None:
        now = time.monotonic()
        worker.failures = 0 if now - worker.started > _WELL_SECONDS else worker.failures + 1
        pause = 0.0 if worker.failures <= 1 else min(0.2 * 2**worker.failures, _LONGEST_PAUSE)
        worker.start_at = now + pause
        _log.warning("worker died, starting it again", pid=worker.pid, exit_code=code, pause_seconds=pause)
        worker.pid = 0

    def _end(self) -> None:
        """Ask every worker to finish what is under way, and wait for it."""
        alive = [worker.pid for worker in self._workers if worker.pid]
        for pid in alive:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while alive and time.monotonic() < deadline:
            alive = [pid for pid in alive if _ended(pid) is None]
            time.sleep(_LOOK_SECONDS)
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _ended(pid: int) -> int | None:
    """The status that a child ended with, or None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return status if found else None


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
