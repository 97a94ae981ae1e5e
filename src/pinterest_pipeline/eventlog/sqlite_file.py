"""The file of the `sqlite` home: its tables, how a connection is opened, and what its errors mean."""

import shutil
import sqlite3
from pathlib import Path
from typing import Final

from pinterest_pipeline.errors import BadInput, DiskFull, PipelineError, Unavailable, is_disk_full

OFFSET_BITS: Final = 36
"""A record's rowid = partition id, then the offset in the low 36 bits: one integer key, in log order."""

BUSY_SECONDS: Final = 30.0
_PAGE_BYTES: Final = 8_192  # some ten posts; larger pages make a commit of one record heavier
_CHECKPOINT_PAGES: Final = 2_000
_KEPT_WAL_BYTES: Final = 64 * 2**20
_VERSION: Final = 1
_SMALL_ROOM: Final = 2**20

# A deleted topic keeps its row without a name, so that the next one is created at a later time than any
# before it. Ids are never given twice: no position and no iterator of a deleted topic can fit a new one.
_TABLES: Final = (
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
    """A connection to a file that has the tables; raises BadInput when the file is something else."""
    try:
        connection = connect(path)
        try:
            _make_tables(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return connection


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == _VERSION:
        return
    if version or connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise _not_a_log(path)
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")


def _not_a_log(path: Path) -> BadInput:
    return BadInput(f"{path} is not an event log of this version", "move it away, or choose another folder")


def _full(path: Path) -> DiskFull:
    return DiskFull(f"the disk of {path} is full", "free some space; nothing that was acknowledged is lost")


def unopened(error: OSError, path: Path) -> PipelineError:
    """Why the files of a log could not be made, as one of our errors."""
    if is_disk_full(error):
        return _full(path)
    return Unavailable(f"the event log {path} cannot be opened: {error.strerror}", "see to its folder")


def translated(error: sqlite3.Error, path: Path) -> PipelineError:
    """An error of SQLite as one of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the high bits say where it happened
    if is_disk_full(error) or (code == sqlite3.SQLITE_IOERR and _no_room(path)):
        return _full(path)
    if code == sqlite3.SQLITE_NOTADB:
        return _not_a_log(path)
    return Unavailable(f"the event log {path} does not answer: {error}", "try again")


def _no_room(path: Path) -> bool:
    """SQLite calls some writes to a full disk, those of its index, just an I/O error."""
    return shutil.disk_usage(path.parent).free < _SMALL_ROOM
