"""Batches of the file: bounded, read from any offset, removed only when no record of theirs is left."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.eventlog import sqlite_batches
from pinterest_pipeline.eventlog.base import StoredRecord
from pinterest_pipeline.eventlog.sqlite_batches import LAST_OFFSET, MOST_RECORDS, Row
from pinterest_pipeline.eventlog.sqlite_file import prepared

PARTITION = 5
FIRST = sqlite_batches.first_position(PARTITION)
EVERYTHING = 10**9

HEADERS = st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3)), max_size=2)
ROWS = st.lists(
    st.tuples(
        st.integers(0, 50),
        st.none() | st.binary(max_size=4),
        st.none() | st.binary(max_size=4) | st.sampled_from([b"x" * 70_000, b"y" * 140_000]),
        HEADERS.map(tuple),
    ),
    max_size=12,
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = prepared(tmp_path / "log.sqlite")
    yield connection
    connection.close()


def add(connection: sqlite3.Connection, offset: int, rows: list[Row]) -> None:
    connection.executemany("INSERT INTO batches VALUES (?, ?)", sqlite_batches.packed(FIRST + offset, rows))


def offsets(connection: sqlite3.Connection, offset: int, most: int = EVERYTHING) -> list[int]:
    found = sqlite_batches.read(connection, PARTITION, 0, offset, most, EVERYTHING)
    return [record.offset for record in found]


def numbered(count: int, start: int = 0) -> list[Row]:
    return [(start + number, None, b"%d" % number, ()) for number in range(count)]


@given(parts=st.lists(ROWS, max_size=4), offset=st.integers(-1, 60), most=st.integers(1, 60))
def test_what_was_packed_is_read_from_any_offset(parts: list[list[Row]], offset: int, most: int) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE batches (position INTEGER PRIMARY KEY, records BLOB NOT NULL)")
    rows: list[Row] = []
    for part in parts:
        add(connection, len(rows), part)
        rows += part
    stored = [StoredRecord(3, number, *row) for number, row in enumerate(rows)]
    found = sqlite_batches.read(connection, PARTITION, 3, offset, most, EVERYTHING)
    assert found == stored[max(offset, 0) :][:most]
    connection.close()


def test_a_batch_has_a_bounded_number_of_records_and_of_bytes() -> None:
    small = list(sqlite_batches.packed(0, numbered(2 * MOST_RECORDS + 1)))
    assert [position for position, _ in small] == [0, MOST_RECORDS, 2 * MOST_RECORDS]
    large: list[Row] = [(0, None, b"x" * 50_000, ())] * 5
    assert [(position, len(content) < 131_072) for position, content in sqlite_batches.packed(7, large)] == [
        (7, True),
        (9, True),
        (10, True),
    ]
    alone: list[Row] = [(0, None, b"x" * 500_000, ())] * 2
    assert [position for position, _ in sqlite_batches.packed(0, alone)] == [0, 1]


def test_a_read_ends_at_its_bytes_but_gives_one_record_at_least(connection: sqlite3.Connection) -> None:
    add(connection, 0, [(0, b"key", b"x" * 7, (("h", b"12"),))] * 5)  # 13 bytes each
    for most, count in ((1, 1), (13, 1), (14, 2), (26, 2), (27, 3)):
        assert len(sqlite_batches.read(connection, PARTITION, 0, 0, EVERYTHING, most)) == count


def test_neighbouring_partitions_are_not_read(connection: sqlite3.Connection) -> None:
    for partition in (PARTITION - 1, PARTITION + 1):
        position = sqlite_batches.first_position(partition)
        connection.executemany(
            "INSERT INTO batches VALUES (?, ?)", sqlite_batches.packed(position, numbered(3))
        )
    assert offsets(connection, 0) == []
    add(connection, 2, numbered(2))
    assert offsets(connection, 0) == offsets(connection, 1) == [2, 3]
    assert offsets(connection, LAST_OFFSET + 5) == []
    sqlite_batches.remove_before(connection, PARTITION, 100)
    assert sqlite_batches.remove_some(connection, PARTITION, 10) == 1
    assert connection.execute("SELECT count(*) FROM batches").fetchone() == (2,)


def test_only_batches_without_a_kept_record_are_removed(connection: sqlite3.Connection) -> None:
    for start in (0, 10, 20):
        add(connection, start, numbered(10, start))
    for kept, first in ((5, 0), (10, 10), (19, 10), (20, 20), (30, 20)):
        sqlite_batches.remove_before(connection, PARTITION, kept)
        assert offsets(connection, 0)[0] == first


def test_the_first_offset_of_a_time_is_found_within_and_between_batches(
    connection: sqlite3.Connection,
) -> None:
    add(connection, 0, [(10, None, b"", ())] * 3)
    add(connection, 3, [(10, None, b"", ()), (20, None, b"", ())])
    for timestamp, expected in ((0, 0), (10, 0), (11, 4), (20, 4), (21, 5)):
        assert sqlite_batches.offset_at(connection, PARTITION, 5, timestamp) == expected
    assert sqlite_batches.offset_at(connection, PARTITION, 5, 10, beginning=2) == 2
