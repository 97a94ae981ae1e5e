"""What is committed goes on from the write-ahead log into the file itself, off to the side."""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from pinterest_pipeline.eventlog.sqlite_file import CHECKPOINT_BYTES, connect

_EVERY_BYTES: Final = CHECKPOINT_BYTES // 4
_COMMIT_BYTES: Final = 32 * 2**10
"""What a commit takes in the write-ahead log beside its records, about: the pages that they lie in."""


class Checkpointer:
    """Copies in a thread of its own, so that no commit waits while the file grows.

    For 16 MB a commit waited 20 to 75 ms (measured). Now whoever commits goes on beside it. Only when the
    write-ahead log gets four times as long all the same, the commit that meets it copies the rest and begins
    the log anew, as SQLite does by itself.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes = 0
        self._is_closed = False
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"checkpoints of {path.name}", daemon=True)
        self._thread.start()

    def note(self, size: int) -> None:
        """Say how many bytes were committed; only one thread may."""
        self._bytes += size + _COMMIT_BYTES
        if self._bytes >= _EVERY_BYTES:
            self._bytes = 0
            self._due.set()

    def _run(self) -> None:
        while self._due.wait() and not self._is_closed:
            self._due.clear()
            with suppress(sqlite3.Error), closing(connect(self._path)) as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        self._is_closed = True
        self._due.set()
        self._thread.join()
