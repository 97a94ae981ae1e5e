"""The file of the `sqlite` home: its tables, how a connection is opened, and what its errors mean."""

import functools
import secrets
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pinterest_pipeline.errors import BadInput, DiskFull, PipelineError, Unavailable, is_disk_full
from pinterest_pipeline.eventlog import sqlite_batches
from pinterest_pipeline.eventlog.base import Headers

BUSY_SECONDS: Final = 30.0
_PAGE_BYTES: Final = 8_192  # larger pages make a commit of one record heavier
_CHECKPOINT_PAGES: Final = 2_000
"""Before a commit copies the write-ahead log into the file, under the lock of those who write. It takes 20 to
75 ms, and yet is not done beside the commits: before its version 3.51.3, SQLite can lose what is committed
while a checkpoint begins (https://sqlite.org/wal.html#walresetbug)."""
_KEPT_WAL_BYTES: Final = 64 * 2**20
_VERSION: Final = 4
_VERSION_WITH_ID: Final = 2
_VERSION_WITH_BATCHES: Final = 4
_SMALL_ROOM: Final = 2**20
ROWS_PER_INSERT: Final = 250
_HEADERS: Final = msgspec.msgpack.Decoder(Headers)

# A deleted topic keeps its row without a name, so that the next one is created at a later time than any
# before it. Ids are never given twice: no position and no iterator of a deleted topic can fit a new one.
_VERSION_1: Final = (
    """CREATE TABLE topics (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT UNIQUE,
        created_ms INTEGER NOT NULL
    )""",
    """CREATE TABLE partitions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        topic_id INTEGER NOT NULL REFERENCES topics (id),
        partition INTEGER NOT NULL,
        next_offset INTEGER NOT NULL DEFAULT 0,
        last_timestamp INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic_id, partition)
    )""",
    """CREATE TABLE records (
        position INTEGER PRIMARY KEY,
        timestamp INTEGER NOT NULL,
        key BLOB,
        value BLOB
    )""",
    """CREATE TABLE positions (
        consumer_group TEXT NOT NULL,
        partition_id INTEGER NOT NULL,
        next_offset INTEGER NOT NULL,
        PRIMARY KEY (consumer_group, partition_id)
    ) WITHOUT ROWID""",
)

# A column added at the end touches no row: those written before it simply lack it, and read as null.
# Requests lie in the order in which they came, so that the oldest are found, and removed, side by side.
# A member's id is never given twice: one that was put out of its group cannot be taken for its successor.
_VERSION_2: Final = (
    "ALTER TABLE records ADD COLUMN headers BLOB",
    "CREATE TABLE log (id TEXT NOT NULL)",
    """CREATE TABLE requests (
        id INTEGER PRIMARY KEY,
        topic_id INTEGER NOT NULL,
        key TEXT NOT NULL,
        kept_ms INTEGER NOT NULL,
        fingerprint BLOB NOT NULL,
        outcomes BLOB NOT NULL
    )""",
    "CREATE UNIQUE INDEX requests_by_key ON requests (key, topic_id)",
    """CREATE TABLE members (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        consumer_group TEXT NOT NULL,
        client_id TEXT NOT NULL,
        topics TEXT NOT NULL,
        session_ms INTEGER NOT NULL,
        heartbeat_ms INTEGER NOT NULL,
        stale INTEGER NOT NULL DEFAULT 1
    )""",
    "CREATE INDEX members_by_group ON members (consumer_group)",
    """CREATE TABLE holdings (
        consumer_group TEXT NOT NULL,
        partition_id INTEGER NOT NULL,
        member_id INTEGER NOT NULL,
        PRIMARY KEY (consumer_group, partition_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX holdings_by_member ON holdings (member_id)",
)

# What a topic is as a stream. Hash keys are 32 hexadecimal digits, so that the order of the texts is theirs.
_VERSION_3: Final = (
    """CREATE TABLE streams (
        topic_id INTEGER PRIMARY KEY,
        status TEXT NOT NULL,
        until_ms INTEGER NOT NULL,
        retention_hours INTEGER NOT NULL,
        tags TEXT NOT NULL
    )""",
    """CREATE TABLE shards (
        partition_id INTEGER PRIMARY KEY,
        topic_id INTEGER NOT NULL,
        first_hash TEXT NOT NULL,
        last_hash TEXT NOT NULL,
        parent INTEGER,
        adjacent_parent INTEGER,
        start_offset INTEGER NOT NULL,
        beginning INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        closed_ms INTEGER
    )""",
    "CREATE INDEX shards_by_topic ON shards (topic_id)",
)

_VERSION_4: Final = ("CREATE TABLE batches (position INTEGER PRIMARY KEY, records BLOB NOT NULL)",)

_APPENDS: Final = (
    "PRAGMA temp_store = MEMORY",
    """CREATE TEMP VIEW appends AS
        SELECT 0 position, x'' records, 0 partition_id, 0 next_offset, 0 last_timestamp""",
    """CREATE TEMP TRIGGER append INSTEAD OF INSERT ON appends BEGIN
        INSERT INTO batches VALUES (NEW.position, NEW.records);
        UPDATE partitions SET next_offset = NEW.next_offset, last_timestamp = NEW.last_timestamp
            WHERE id = NEW.partition_id;
    END""",
)
"""A batch, and how its partition stands behind it: both in one statement of the connection that writes."""


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode whose commits are on the disk when they return."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: through the disk's own cache
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_KEPT_WAL_BYTES}")
    return connection


def prepared(path: Path) -> sqlite3.Connection:
    """A connection to a file that has the tables, made or brought up to date when need be.

    Raises BadInput when the file is something else, or was written by a newer version.
    """
    try:
        connection = connect(path)
        try:
            _make_tables(connection, path)
            for statement in _APPENDS:
                connection.execute(statement)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return connection


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    if not version and not names:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        _migrate(connection, 0)
    elif not version or not names.issuperset(("topics", "partitions", "positions")):
        raise _not_a_log(path)
    elif version > _VERSION:
        raise BadInput(
            f"{path} is an event log of version {version}, this program knows {_VERSION}: downgrade refused",
            "use the newer program, or choose another folder",
        )
    elif version < _VERSION:
        _migrate(connection, version)


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the file to this version in one transaction: who is killed here leaves it as it was."""
    connection.execute("BEGIN IMMEDIATE")
    for statements in (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4)[version:]:
        for statement in statements:
            connection.execute(statement)
    if version < _VERSION_WITH_ID:
        connection.execute("INSERT INTO log VALUES (?)", (secrets.token_hex(16),))
    if version < _VERSION_WITH_BATCHES:
        _repack(connection)
    connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")


def _repack(connection: sqlite3.Connection) -> None:
    """Put records that had a row each into batches, a partition after the other, in bounded memory."""
    for (partition_id,) in connection.execute("SELECT id FROM partitions").fetchall():
        position = sqlite_batches.first_position(partition_id)
        bounds = (position, position + sqlite_batches.LAST_OFFSET)
        found = connection.execute(
            "SELECT position, timestamp, key, value, headers FROM records"
            " WHERE position BETWEEN ? AND ? ORDER BY position",
            bounds,
        )
        while rows := found.fetchmany(sqlite_batches.MOST_RECORDS):
            unpacked = [(*row, _HEADERS.decode(headers) if headers else ()) for _, *row, headers in rows]
            connection.executemany(
                "INSERT INTO batches VALUES (?, ?)", sqlite_batches.packed(rows[0][0], unpacked)
            )
    connection.execute("DROP TABLE records")


def insert(connection: sqlite3.Connection, into: str, columns: int, values: Sequence[Any]) -> None:
    """Insert rows whose values follow each other; `into` is a table, or a table with the columns given.

    sqlite3 lets go of the interpreter's lock at every statement, and may wait 5 ms to get it back while
    another thread works (measured: 1,600 records/s row by row beside a busy thread, 14,000 with rows joined).
    """
    step = columns * ROWS_PER_INSERT
    for start in range(0, len(values), step):
        chunk = values[start : start + step]
        connection.execute(_insertion(into, columns, len(chunk) // columns), chunk)


@functools.cache
def _insertion(into: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {into} VALUES {', '.join([row] * rows)}"  # noqa: S608 - question marks only


def _not_a_log(path: Path) -> BadInput:
    return BadInput(f"{path} is not an event log", "move it away, or choose another folder")


def _full(path: Path) -> DiskFull:
    return DiskFull(f"the disk of {path} is full", "free some space; nothing that was acknowledged is lost")


def unopened(error: OSError, path: Path) -> PipelineError:
    """Why the files of a log could not be made, as one of our errors."""
    if is_disk_full(error):
        return _full(path)
    return Unavailable(f"the event log {path} cannot be opened: {error.strerror}", "see to its folder")


def translated(error: sqlite3.Error | OSError, path: Path) -> PipelineError:
    """An error of SQLite, or of the lock beside it, as one of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the high bits say where it happened
    if is_disk_full(error) or (code == sqlite3.SQLITE_IOERR and _no_room(path)):
        return _full(path)
    if code == sqlite3.SQLITE_NOTADB:
        return _not_a_log(path)
    return Unavailable(f"the event log {path} does not answer: {error}", "try again")


def _no_room(path: Path) -> bool:
    """SQLite calls some writes to a full disk, those of its index, just an I/O error."""
    try:
        return shutil.disk_usage(path.parent).free < _SMALL_ROOM
    except OSError:  # of a disk that fails altogether
        return False
