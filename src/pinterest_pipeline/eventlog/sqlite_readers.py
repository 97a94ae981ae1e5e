"""Connections that only read: each serves one thread at a time, and waits for no writer."""

import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.eventlog.sqlite_file import connect, translated


class Readers:
    """The reading connections of one instance; as many as threads read at the same time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """A connection that no other thread uses meanwhile; raises the pipeline's errors."""
        if self._closed:
            raise Unavailable(f"the event log {self._path} is closed")
        try:
            with self._borrowed() as reader:
                yield reader
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection as `one`, that sees one state of the file however often it is asked."""
        with self.one() as reader:
            reader.execute("BEGIN")
            try:
                yield reader
            finally:
                reader.execute("COMMIT")

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = connect(self._path)
        try:
            yield reader
        finally:
            self._idle.append(reader)
            if self._closed:
                self._close_idle()

    def close(self) -> None:
        """Close what is idle now, and the rest once it is given back."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()
