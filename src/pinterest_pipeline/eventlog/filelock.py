"""One lock for all processes and threads that write to the same file, given in the order of asking."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class FileLock:
    """A fair lock, held through two small files beside `path`; the system frees it when its holder dies.

    SQLite's own lock is asked for again and again with growing pauses, so that a process that writes all
    the time keeps another one out for seconds. Here, whoever waits holds `-turn`, which the last holder of
    `-write` has to pass before it can write again. In `-write` lies the mark of its last holder.
    """

    def __init__(self, path: Path) -> None:
        self._turn = _opened(path, "-turn")
        try:
            self._write = _opened(path, "-write")
        except BaseException:
            os.close(self._turn)
            raise
        self._mark = os.urandom(16)

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the lock; says whether it was this lock that held it the last time, and no other."""
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._write, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)
        try:
            yield self._is_mine()
        finally:
            fcntl.flock(self._write, fcntl.LOCK_UN)

    def _is_mine(self) -> bool:
        if os.pread(self._write, len(self._mark), 0) == self._mark:
            return True
        os.pwrite(self._write, self._mark, 0)
        return False

    def close(self) -> None:
        os.close(self._turn)
        os.close(self._write)


def _opened(path: Path, suffix: str) -> int:
    return os.open(path.with_name(path.name + suffix), os.O_RDWR | os.O_CREAT, 0o644)


def opened_under_lock(path: Path, opened: Callable[[Path], T]) -> tuple[FileLock, T]:
    """The lock of a file, whose folder is made when absent, and what `opened` gives while it is held.

    Two processes may meet at a new file. Raises OSError, and what `opened` raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        with lock.held():
            return lock, opened(path)
    except BaseException:
        lock.close()
        raise
