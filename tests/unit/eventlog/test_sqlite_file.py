"""The versions of the file: an old one is brought up to date, a newer one is refused."""

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.eventlog import sqlite_file
from pinterest_pipeline.eventlog.base import Once, Record, StoredRecord
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog

WAIT = 30
COUNT = 300  # more than one batch
OLD = [StoredRecord(0, number, 1_000 + number, b"k", b"old %d" % number) for number in range(COUNT)]

# As the first version made it; the file it leaves is what counts, hence not taken from the code.
VERSION_1 = """
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
CREATE TABLE topics (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, created_ms INTEGER NOT NULL);
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic_id INTEGER NOT NULL REFERENCES topics (id),
    partition INTEGER NOT NULL, next_offset INTEGER NOT NULL DEFAULT 0,
    last_timestamp INTEGER NOT NULL DEFAULT 0, UNIQUE (topic_id, partition)
);
CREATE TABLE records (position INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, key BLOB, value BLOB);
CREATE TABLE positions (
    consumer_group TEXT NOT NULL, partition_id INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, partition_id)
) WITHOUT ROWID;
INSERT INTO topics VALUES (7, 'pin', 123);
INSERT INTO partitions VALUES (9, 7, 0, 300, 1299), (10, 7, 1, 0, 0);
INSERT INTO positions VALUES ('sink', 9, 2);
PRAGMA user_version = 1;
"""


def opened(path: Path) -> SqliteEventLog:
    return SqliteEventLog(path, kafka_partition, 2**20)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A log of version 1 with some records."""
    path = tmp_path / "log.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    rows = [(9 << 36 | record.offset, record.timestamp, record.key, record.value) for record in OLD]
    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


def check_migrated(path: Path) -> None:
    log = opened(path)
    known = log.describe("pin")
    assert (known.name, known.partitions, known.created_ms) == ("pin", 2, 123)
    assert log.committed("sink", "pin") == {0: 2}
    new = Record(b"new", partition=0, timestamp=2_000, headers=(("a", None),))
    outcomes = log.append("pin", [new], Once("key", b"digest")).result(WAIT)
    assert log.append("pin", [new], Once("key", b"digest")).result(WAIT) == outcomes
    added = StoredRecord(0, COUNT, 2_000, None, b"new", (("a", None),))
    assert log.read("pin", 0, 0, 2 * COUNT) == [*OLD, added]
    assert log.read("pin", 0, COUNT - 1, 2) == [OLD[-1], added]
    assert log.read("pin", 1, 0, 1) == []
    cluster = log.cluster()
    log.close()
    again = opened(path)
    assert (again.cluster(), again.describe("pin")) == (cluster, known)
    again.close()


def test_a_file_of_the_first_version_is_brought_up_to_date(old: Path) -> None:
    check_migrated(old)


KILLED_AT = """
import functools, os, signal, sqlite3, sys
from pathlib import Path
from pinterest_pipeline.eventlog.sqlite_file import prepared

class Killed(sqlite3.Connection):
    def execute(self, statement, *values):
        if statement.startswith(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(statement, *values)

sqlite3.connect = functools.partial(sqlite3.connect, factory=Killed)
prepared(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE",
        "CREATE TABLE members",
        "CREATE TABLE streams",
        "INSERT INTO log",
        "DROP TABLE records",
        "PRAGMA user_version =",
        "COMMIT",
    ],
)
def test_a_kill_while_the_file_is_brought_up_to_date_does_no_harm(old: Path, statement: str) -> None:
    child = subprocess.run([sys.executable, "-c", KILLED_AT, str(old), statement], timeout=WAIT, check=False)
    assert child.returncode == -signal.SIGKILL
    connection = sqlite3.connect(old)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
    check_migrated(old)


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    log = opened(path)
    log.create("pin", 1)
    log.close()
    newer = sqlite_file._VERSION + 1
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(BadInput, match=f"version {newer}.*downgrade refused"):
        opened(path)
    assert path.read_bytes() == content


def test_a_database_with_a_version_of_its_own_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE records (x); PRAGMA user_version = 1")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(BadInput, match="is not an event log"):
        opened(path)
    assert path.read_bytes() == content


def test_each_file_is_a_cluster_of_its_own(tmp_path: Path) -> None:
    logs = [opened(tmp_path / name) for name in ("a.sqlite", "b.sqlite")]
    assert logs[0].cluster().id != logs[1].cluster().id
    assert [log.cluster().brokers for log in logs] == [(0,), (0,)]
    for log in logs:
        log.create("pin", 1)
    assert logs[0].describe("pin").id != logs[1].describe("pin").id
    for log in logs:
        log.close()
