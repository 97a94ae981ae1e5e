"""What is particular to the `sqlite` home: its file, its commits, and a process that is killed."""

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pinterest_pipeline.errors import BadInput, DiskFull, Unavailable, UnknownTopic
from pinterest_pipeline.eventlog import sqlite_file, sqlite_topics, sqlite_writer
from pinterest_pipeline.eventlog.base import Receipt, Record, Refusal
from pinterest_pipeline.eventlog.filelock import FileLock
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from tests.open_files import open_below

WAIT = 30


def opened(path: Path) -> SqliteEventLog:
    return SqliteEventLog(path, kafka_partition, 2**20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "log.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteEventLog]:
    log = opened(path)
    log.create("pin", 2)
    yield log
    log.close()


@pytest.fixture
def held(log: SqliteEventLog, path: Path) -> Iterator[threading.Event]:
    """Keeps the log from committing until the event is set."""
    release, taken = threading.Event(), threading.Event()

    def hold() -> None:
        lock = FileLock(path)
        with lock.held():
            taken.set()
            release.wait(WAIT)
        lock.close()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(WAIT)
    yield release
    release.set()
    holder.join()


def test_requests_that_wait_share_one_commit(
    log: SqliteEventLog, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    commit = sqlite_writer.Writer._commit

    def counted(self: sqlite_writer.Writer, jobs: list[sqlite_writer._Job]) -> None:
        groups.append(len(jobs))
        commit(self, jobs)

    monkeypatch.setattr(sqlite_writer.Writer, "_commit", counted)
    futures = [log.append("pin", [Record(b"x")]) for _ in range(40)]
    assert not any(future.done() for future in futures)
    held.set()
    assert all(isinstance(future.result(WAIT)[0], Receipt) for future in futures)
    assert sum(groups) == 40
    assert len(groups) <= 2


def test_a_commit_of_records_is_one_statement(log: SqliteEventLog) -> None:
    statements: list[str] = []
    log.append("pin", [Record(b"x")]).result(WAIT)
    log._writer._connection.set_trace_callback(statements.append)
    log.append("pin", [Record(b"x", partition=number) for number in (0, 1, 0)]).result(WAIT)
    log._writer._connection.set_trace_callback(None)
    assert {" ".join(text.split()[:3]) for text in statements} == {"INSERT INTO appends"}
    assert sum(log.ends("pin").values()) == 4


def test_more_batches_than_a_statement_takes_are_one_transaction(log: SqliteEventLog) -> None:
    count = sqlite_file.ROWS_PER_INSERT + 50
    log.create("wide", count)
    records = [Record(b"x", partition=number) for number in range(count)]
    commits: list[str] = []
    log._writer._connection.set_trace_callback(commits.append)
    assert len(log.append("wide", records).result(WAIT)) == count
    log._writer._connection.set_trace_callback(None)
    assert [text for text in commits if text.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert log.ends("wide") == dict.fromkeys(range(count), 1)


def test_what_another_instance_does_is_seen(log: SqliteEventLog, path: Path) -> None:
    other = opened(path)
    offsets = [
        one.append("pin", [Record(b"x", partition=0)]).result(WAIT)[0]
        for one in (log, log, other, log, other)
    ]
    assert [receipt.offset for receipt in offsets if isinstance(receipt, Receipt)] == [0, 1, 2, 3, 4]
    other.delete("pin")
    assert isinstance(log.append("pin", [Record(b"x")]).exception(WAIT), UnknownTopic)
    other.create("pin", 1)
    assert isinstance(log.append("pin", [Record(b"x", partition=1)]).result(WAIT)[0], Refusal)
    (receipt,) = log.append("pin", [Record(b"x", partition=0)]).result(WAIT)
    assert isinstance(receipt, Receipt)
    assert receipt.offset == 0
    other.close()


def test_a_topic_that_is_deleted_in_the_commit_that_adds_to_it(
    log: SqliteEventLog, held: threading.Event
) -> None:
    log.append("pin", [Record(b"taken by the writer, which waits")])
    before = log.append("pin", [Record(b"x")])
    log._writer.submit(lambda transaction: sqlite_topics.delete(transaction, "pin"))
    after = log.append("pin", [Record(b"x")])
    held.set()
    assert isinstance(before.result(WAIT)[0], Receipt)
    assert isinstance(after.exception(WAIT), UnknownTopic)


def test_a_lock_says_whether_another_one_held_it(tmp_path: Path) -> None:
    one, two = FileLock(tmp_path / "log"), FileLock(tmp_path / "log")

    def take(lock: FileLock) -> bool:
        with lock.held() as is_undisturbed:
            return is_undisturbed

    assert [take(lock) for lock in (one, one, two, two, one, one)] == [False, True] * 3
    one.close()
    two.close()


def test_half_a_lock_leaves_no_file_open(tmp_path: Path) -> None:
    (tmp_path / "log-write").mkdir()
    for _ in range(3):
        with pytest.raises(IsADirectoryError):
            FileLock(tmp_path / "log")
    assert open_below(tmp_path) == []


def test_a_cancelled_request_is_not_written(log: SqliteEventLog, held: threading.Event) -> None:
    first = log.append("pin", [Record(b"first", partition=0)])
    while not first.running():  # the writer has taken it alone, and waits
        assert not first.done()
    rest = [log.append("pin", [Record(b"x", partition=0)]) for _ in range(3)]
    assert [future.cancel() for future in rest] == [True] * 3
    held.set()
    log.append("pin", [Record(b"last", partition=0)]).result(WAIT)
    assert first.done()
    assert [record.value for record in log.read("pin", 0, 0, 10)] == [b"first", b"last"]


def test_too_much_that_waits_is_refused_at_once(
    log: SqliteEventLog, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log._writer, "_max_waiting_bytes", 10_000)
    futures = [log.append("pin", [Record(b"x" * 4_000)]) for _ in range(20)]
    refused = [future for future in futures if future.done()]
    assert len(refused) >= 15
    assert all(isinstance(future.exception(), Unavailable) for future in refused)
    held.set()
    assert sum(future.exception(WAIT) is None for future in futures) == 20 - len(refused)


def test_commits_reach_the_disk(path: Path, log: SqliteEventLog) -> None:
    connection = sqlite_file.connect(path)
    modes = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    connection.close()
    assert modes == ["wal", 2]
    assert log.topics() == ["pin"]


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.sqlite"
    text.write_text("these are notes, and not a database at all\n" * 100)
    database = tmp_path / "other.sqlite"
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    for path in (text, database):
        content = path.read_bytes()
        with pytest.raises(BadInput, match="is not an event log"):
            opened(path)
        assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="cannot be opened"):
        opened(tmp_path / "file" / "log.sqlite")


def test_a_full_disk_when_the_log_is_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(DiskFull, match="is full"):
        opened(path)


def test_there_is_room_where_the_tests_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not sqlite_file._no_room(tmp_path / "log.sqlite")
    monkeypatch.setattr(sqlite_file, "_SMALL_ROOM", 2**80)
    assert sqlite_file._no_room(tmp_path / "log.sqlite")


def test_a_full_disk_fails_requests_until_there_is_room(log: SqliteEventLog) -> None:
    connection = log._connection
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(DiskFull, match="full"):
        log.append("pin", [Record(b"x" * 100_000)]).result(WAIT)
    ends = log.ends("pin")
    connection.execute("PRAGMA max_page_count = 100000")
    receipt = log.append("pin", [Record(b"y", partition=0)]).result(WAIT)[0]
    assert isinstance(receipt, Receipt)
    assert receipt.offset == ends[0]


def test_a_disk_that_does_not_even_say_its_room_keeps_nobody_waiting(
    log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    def refuse(_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_writer.Transaction, "commit", fail)
        patched.setattr(shutil, "disk_usage", refuse)
        assert isinstance(log.append("pin", [Record(b"x")]).exception(WAIT), Unavailable)
    assert isinstance(log.append("pin", [Record(b"y")]).result(WAIT)[0], Receipt)


def test_a_disk_without_room_for_the_mark_of_the_lock(
    log: SqliteEventLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = opened(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", _full)
        assert isinstance(log.append("pin", [Record(b"x")]).exception(WAIT), DiskFull)
        with pytest.raises(DiskFull):
            opened(path)
    assert isinstance(other.append("pin", [Record(b"y", partition=0)]).result(WAIT)[0], Receipt)
    (receipt,) = log.append("pin", [Record(b"z", partition=0)]).result(WAIT)
    assert isinstance(receipt, Receipt)
    assert receipt.offset == 1
    other.close()


def _full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("error", "room", "expected"),
    [
        (sqlite3.OperationalError("database or disk is full"), 10**9, DiskFull),
        (sqlite3.OperationalError("database is locked"), 10**9, Unavailable),
        (sqlite3.OperationalError("disk I/O error"), 0, DiskFull),
        (sqlite3.OperationalError("disk I/O error"), 10**9, Unavailable),
    ],
)
def test_errors_of_sqlite_are_ours(
    error: sqlite3.OperationalError,
    room: int,
    expected: type[Exception],
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR if "I/O" in str(error) else 0
    monkeypatch.setattr(sqlite_file, "_no_room", lambda _: room == 0)
    assert type(sqlite_file.translated(error, path)) is expected


def test_an_unforeseen_error_reaches_the_caller_and_the_next_request_lands(
    log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_writer.Transaction, "commit", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            log.append("pin", [Record(b"x")]).result(WAIT)
    log.append("pin", [Record(b"y", partition=0)]).result(WAIT)
    assert log.ends("pin") == {0: 1, 1: 0}


def test_a_reader_sees_errors_as_ours(log: SqliteEventLog, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE batches")
    connection.close()
    with pytest.raises(Unavailable, match="batches"):
        log.read("pin", 0, 0, 1)
    assert log.topics() == ["pin"]


def left_of_topics(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("batches", "partitions", "positions")
        ]


def fill_beyond_one_step(log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five batches and a position, where two batches are removed at once."""
    monkeypatch.setattr(sqlite_topics, "_PURGED_AT_ONCE", 2)
    for _ in range(5):
        log.append("pin", [Record(b"x")] * 2).result(WAIT)
    log.commit("sink", "pin", {0: 1})


def test_a_deleted_topic_is_cleared_in_steps(
    log: SqliteEventLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_beyond_one_step(log, monkeypatch)
    log.delete("pin")
    assert left_of_topics(path) == [0, 0, 0]


def test_what_a_kill_left_of_a_deleted_topic_is_cleared_by_who_opens_the_log(
    log: SqliteEventLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_beyond_one_step(log, monkeypatch)
    log._writer.submit(lambda transaction: sqlite_topics.delete(transaction, "pin")).result(WAIT)
    assert left_of_topics(path) == [5, 2, 1]
    with closing(opened(path)) as next_log:
        for _ in range(5):  # each behind a step of the clearing
            next_log._writer.submit(lambda _: None).result(WAIT)
        assert left_of_topics(path) == [0, 0, 0]


def test_closing_while_a_read_is_under_way(log: SqliteEventLog) -> None:
    with log._readers.one() as reader:
        log.close()
        assert reader.execute("SELECT count(*) FROM topics").fetchone() == (1,)
    with pytest.raises(sqlite3.ProgrammingError):
        reader.execute("SELECT 1")


WRITER = """
import sys, threading
from pathlib import Path
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
log = SqliteEventLog(Path(sys.argv[1]), kafka_partition, 2**20)
def write(name):
    turn = 0
    while True:
        values = [f"{name} {turn} {number}" for number in range(3)]
        receipts = log.append("pin", [Record(value.encode() * 20) for value in values]).result()
        for receipt, value in zip(receipts, values):
            sys.stdout.write(f"{receipt.partition},{receipt.offset},{value}\\n")
        sys.stdout.flush()
        turn += 1
for name in range(4):
    threading.Thread(target=write, args=(name,)).start()
"""


@pytest.mark.parametrize("lines", [30, 300])
def test_everything_acknowledged_survives_a_kill(path: Path, log: SqliteEventLog, lines: int) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline() for _ in range(lines)]
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged += writer.stdout.readlines()
    writer.stdout.close()
    writer.wait(WAIT)
    after = log.append("pin", [Record(b"after", partition=0)]).result(WAIT)[0]
    stored = {partition: log.read("pin", partition, 0, 10**6) for partition in (0, 1)}
    for records in stored.values():
        assert [record.offset for record in records] == list(range(len(records)))
    for line in acknowledged:
        if line.endswith("\n"):  # the last line may be cut
            partition, offset, value = line.rstrip("\n").split(",")
            assert stored[int(partition)][int(offset)].value == value.encode() * 20
    assert isinstance(after, Receipt)
    assert after.offset == len(stored[0]) - 1
