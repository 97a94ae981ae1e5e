"""Requests that come again in the `sqlite` home: kept with their records, for a time."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pinterest_pipeline.errors import DiskFull, KeyReused
from pinterest_pipeline.eventlog import sqlite_writer
from pinterest_pipeline.eventlog.base import Once, Receipt, Record
from pinterest_pipeline.eventlog.filelock import FileLock
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog

WAIT = 30
HOUR_MS = 3_600_000
ONCE = Once("key", b"digest")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteEventLog]:
    log = SqliteEventLog(path, kafka_partition, 2**20, once_seconds=24 * 3_600)
    log.create("pin", 1)
    yield log
    log.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the log's clock, in milliseconds."""

    def set_to(now: int) -> None:
        monkeypatch.setattr(sqlite_writer, "now_ms", lambda: now)

    set_to(1_000_000)
    return set_to


def send(log: SqliteEventLog, key: str, value: bytes = b"x") -> Receipt:
    (outcome,) = log.append("pin", [Record(value)], Once(key, value)).result(WAIT)
    assert isinstance(outcome, Receipt)
    return outcome


def kept(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    keys = [key for (key,) in connection.execute("SELECT key FROM requests ORDER BY id")]
    connection.close()
    return keys


def test_equal_requests_that_wait_together_land_once(log: SqliteEventLog, path: Path) -> None:
    lock = FileLock(path)
    with lock.held():
        futures = [log.append("pin", [Record(b"x"), Record(b"y")], ONCE) for _ in range(5)]
        other = log.append("pin", [Record(b"z")], Once(ONCE.key, b"another digest"))
    lock.close()
    outcomes = futures[0].result(WAIT)
    assert [future.result(WAIT) for future in futures] == [outcomes] * 5
    assert isinstance(other.exception(WAIT), KeyReused)
    assert log.ends("pin") == {0: 2}


def test_a_request_is_remembered_for_its_time(
    log: SqliteEventLog, path: Path, clock: Callable[[int], None]
) -> None:
    first = send(log, "first")
    clock(1_000_000 + 24 * HOUR_MS)
    assert send(log, "second").offset == 1
    assert send(log, "first") == first
    clock(1_000_001 + 24 * HOUR_MS)
    assert send(log, "third").offset == 2
    assert kept(path) == ["second", "third"]
    assert send(log, "first").offset == 3


def test_old_requests_go_a_few_at_a_time(
    log: SqliteEventLog, path: Path, clock: Callable[[int], None]
) -> None:
    for number in range(10):
        send(log, f"old {number}")
    clock(1_000_000 + 25 * HOUR_MS)
    left = []
    for number in range(6):
        send(log, f"new {number}")
        left.append(sum(key.startswith("old") for key in kept(path)))
    assert left == [8, 6, 4, 2, 0, 0]
    assert len(kept(path)) == 6


def test_what_the_disk_had_no_room_for_is_not_remembered(log: SqliteEventLog, path: Path) -> None:
    connection = log._connection
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(DiskFull):
        send(log, "key", b"x" * 100_000)
    connection.execute("PRAGMA max_page_count = 100000")
    assert kept(path) == []
    assert send(log, "key", b"x" * 100_000).offset == 0


KILLED_BEFORE_THE_ANSWER = """
import os, signal, sys
from pathlib import Path
from pinterest_pipeline.eventlog import sqlite_writer
from pinterest_pipeline.eventlog.base import Once, Record
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
log = SqliteEventLog(Path(sys.argv[1]), kafka_partition, 2**20)
setattr(sqlite_writer, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
log.append("pin", [Record(b"a"), Record(b"b")], Once("key", b"digest")).result()
"""


@pytest.mark.parametrize(("killed_at", "landed"), [("_settle", 2), ("now_ms", 0)])
def test_a_request_whose_answer_was_lost_to_a_kill(
    log: SqliteEventLog, path: Path, killed_at: str, landed: int
) -> None:
    child = subprocess.run(
        [sys.executable, "-c", KILLED_BEFORE_THE_ANSWER, str(path), killed_at], timeout=WAIT, check=False
    )
    assert child.returncode == -signal.SIGKILL
    assert log.ends("pin") == {0: landed}
    outcomes = log.append("pin", [Record(b"a"), Record(b"b")], ONCE).result(WAIT)
    assert [outcome.offset for outcome in outcomes if isinstance(outcome, Receipt)] == [0, 1]
    assert [record.timestamp for record in log.read("pin", 0, 0, 10)] == [
        outcome.timestamp for outcome in outcomes if isinstance(outcome, Receipt)
    ]
    assert log.ends("pin") == {0: 2}
