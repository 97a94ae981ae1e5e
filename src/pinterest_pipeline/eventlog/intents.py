"""What requests with a key are about to do, durable before they do it, in one file for several processes.

A row says: this request, of this owner, sends its records to these partitions, in none of which one of them
can lie before this offset. When the request is over its outcomes are added. Whoever finds a row without
outcomes whose owner is dead can so look for the records, and send those that are missing.

One thread of each instance writes all that waits in one transaction. Outcomes may wait for the next one: a
row that lacks them is not wrong, only slower to answer from.
"""

import fcntl
import os
import sqlite3
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pinterest_pipeline.errors import (
    DiskFull,
    KeyInFlight,
    KeyReused,
    PipelineError,
    Unavailable,
    is_disk_full,
)
from pinterest_pipeline.eventlog.base import Once, Receipt, Refusal
from pinterest_pipeline.eventlog.filelock import opened_under_lock

_VERSION: Final = 1
_TABLE: Final = """CREATE TABLE IF NOT EXISTS intents (
    id INTEGER PRIMARY KEY,
    topic_id TEXT NOT NULL,
    key TEXT NOT NULL,
    begun_ms INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    owner TEXT NOT NULL,
    plan BLOB NOT NULL,
    outcomes BLOB,
    UNIQUE (topic_id, key)
)"""
_KEPT_MS: Final = 25 * 3_600 * 1_000
_REMOVED_PER_NEW: Final = 2
"""More than one, so that what is too old ends some time; few, so that no transaction is long."""

_LAZY_SECONDS: Final = 0.05
_NOBODY: Final = ""
"""Owner of a request that failed: whoever gets it again may take it up."""

Outcomes = list[Receipt | Refusal]
Place = int | Refusal
Row = tuple[str, str]
"""Id of the topic, and key."""


class Plan(msgspec.Struct, frozen=True):
    """Where the records go, in their order, and for each partition an offset before which none can lie."""

    places: tuple[Place, ...]
    bounds: Mapping[int, int]


class Begun(msgspec.Struct, frozen=True):
    """The request is new, and its intent is durable: send it."""


class Over(msgspec.Struct, frozen=True):
    """The request was over before: answer with these outcomes."""

    outcomes: Outcomes


class Interrupted(msgspec.Struct, frozen=True):
    """The request began before and did not end; it is ours now: look what landed, send what did not."""

    plan: Plan


Decision = Begun | Over | Interrupted
Decided = Callable[[Decision | PipelineError], None]

_PLANS: Final = msgspec.msgpack.Decoder(Plan)
_OUTCOMES: Final = msgspec.msgpack.Decoder(Outcomes)


@dataclass(frozen=True, slots=True)
class _Beginning:
    row: Row
    fingerprint: bytes
    plan: Plan
    decided: Decided


@dataclass(frozen=True, slots=True)
class _Ending:
    row: Row
    outcomes: Outcomes | None
    """None when the request failed: it may be taken up again."""


class Intents:
    """The file at `path`, made when absent; several instances and processes may share it.

    Raises Unavailable or DiskFull when it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._lock, (self._connection, self._owner) = opened_under_lock(path, _opened)
        except (OSError, sqlite3.Error) as error:
            raise _translated(error, path) from error
        self._ours: set[Row] = set()
        self._queue: deque[_Beginning | _Ending] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._new = 0
        """Rows that the transaction under way has made."""
        self._thread = threading.Thread(target=self._work, name="kafka-intents", daemon=True)
        self._thread.start()

    def begin(self, topic_id: str, once: Once, plan: Plan, decided: Decided) -> None:
        """Note what a request is about to do; `decided` is told once that is durable, by another thread.

        It is told KeyReused or KeyInFlight when the request must not be sent, and Unavailable or DiskFull.
        """
        self._put(_Beginning((topic_id, once.key), once.fingerprint, plan, decided))

    def end(self, topic_id: str, key: str, outcomes: Outcomes | None) -> None:
        """Note what a request came to, a little later; None when it failed and may be taken up again."""
        self._put(_Ending((topic_id, key), outcomes))

    def close(self) -> None:
        """Write what waits, then let go of the file."""
        with self._wake:
            if self._closed:
                return
            self._closed = True
            self._wake.notify()
        self._thread.join()
        self._connection.close()
        self._lock.close()
        self._owner.close()

    def _put(self, job: _Beginning | _Ending) -> None:
        with self._wake:
            self._queue.append(job)
            if type(job) is _Beginning:
                self._wake.notify()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed or self._has_beginning(), _LAZY_SECONDS)
                jobs = list(self._queue)
                self._queue.clear()
                is_last = self._closed
            if jobs:
                self._write(jobs)
            elif is_last:
                return

    def _has_beginning(self) -> bool:
        return any(type(job) is _Beginning for job in self._queue)

    def _write(self, jobs: list[_Beginning | _Ending]) -> None:
        answers: list[tuple[_Beginning, Decision | PipelineError]] = []
        try:
            with self._lock.held():
                self._connection.execute("BEGIN IMMEDIATE")
                self._new = 0
                for job in jobs:
                    if isinstance(job, _Ending):
                        self._note_end(job)
                    else:
                        answers.append((job, self._decide(job)))
                self._remove_old()
                self._connection.execute("COMMIT")
        except Exception as error:  # whatever it is, nobody may wait for ever
            self._roll_back()
            taken = [job.row for job, answer in answers if isinstance(answer, Begun | Interrupted)]
            self._ours.difference_update(taken)  # not what was under way before
            problem = _translated(error, self._path)
            answers = [(job, problem) for job in jobs if isinstance(job, _Beginning)]
            self._put_back([job for job in jobs if isinstance(job, _Ending)])
        for job, answer in answers:
            job.decided(answer)

    def _put_back(self, endings: list[_Ending]) -> None:
        """Before all that waits; nobody could take up again what stays ours without an end."""
        with self._wake:
            if not self._closed:
                self._queue.extendleft(reversed(endings))

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # whatever it says, those who wait must be told
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _note_end(self, ending: _Ending) -> None:
        self._ours.discard(ending.row)
        if ending.outcomes is None:
            self._connection.execute(
                "UPDATE intents SET owner = ? WHERE topic_id = ? AND key = ?", (_NOBODY, *ending.row)
            )
        else:
            self._connection.execute(
                "UPDATE intents SET outcomes = ? WHERE topic_id = ? AND key = ?",
                (msgspec.msgpack.encode(ending.outcomes), *ending.row),
            )

    def _decide(self, job: _Beginning) -> Decision | PipelineError:
        found = self._connection.execute(
            "SELECT fingerprint, owner, plan, outcomes FROM intents WHERE topic_id = ? AND key = ?", job.row
        ).fetchone()
        if found is None:
            self._connection.execute(
                "INSERT INTO intents (topic_id, key, begun_ms, fingerprint, owner, plan)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (*job.row, _now_ms(), job.fingerprint, self._owner.name, msgspec.msgpack.encode(job.plan)),
            )
            self._ours.add(job.row)
            self._new += 1
            return Begun()
        fingerprint, owner, plan, outcomes = found
        if fingerprint != job.fingerprint:
            return KeyReused()
        if outcomes is not None:
            return Over(_OUTCOMES.decode(outcomes))
        if job.row in self._ours or self._owner.is_another(owner):
            return KeyInFlight()
        interrupted = Interrupted(_PLANS.decode(plan))
        self._connection.execute(
            "UPDATE intents SET owner = ? WHERE topic_id = ? AND key = ?", (self._owner.name, *job.row)
        )
        self._ours.add(job.row)
        return interrupted

    def _remove_old(self) -> None:
        """Forget a little of what is too old, so that the file does not grow however many come."""
        if self._new:
            self._connection.execute(
                "DELETE FROM intents WHERE id IN (SELECT id FROM intents ORDER BY id LIMIT ?)"
                " AND begun_ms < ?",
                (_REMOVED_PER_NEW * self._new, _now_ms() - _KEPT_MS),
            )


class _Owner:
    """A living instance holds a lock on a file of its own; the system lets go of it when the process dies."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._sweep()
        self.name = uuid.uuid4().hex
        self._file = os.open(folder / self.name, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def is_another(self, name: str) -> bool:
        """Whether this is the name of another instance, which lives."""
        return name not in (_NOBODY, self.name) and self._is_alive(name)

    def _is_alive(self, name: str) -> bool:
        try:
            file = os.open(self._folder / name, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: those who ask do not take it for life
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def _sweep(self) -> None:
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another instance sweeps too
                if not self._is_alive(path.name) and time.time() - path.stat().st_mtime > _KEPT_MS / 1_000:
                    path.unlink()

    def close(self) -> None:
        (self._folder / self.name).unlink(missing_ok=True)
        os.close(self._file)


def _opened(path: Path) -> tuple[sqlite3.Connection, _Owner]:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        return connection, _Owner(path.parent / f"{path.name}-owners")
    except BaseException:
        connection.close()
        raise


def _translated(error: Exception, path: Path) -> PipelineError:
    if is_disk_full(error):
        return DiskFull(f"the disk of {path} is full", "free some space; nothing was sent")
    return Unavailable(f"the idempotency keys in {path} cannot be kept: {error}", "see to its folder")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
