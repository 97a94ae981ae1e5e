"""A commit moves the table and its positions together; a newer row replaces the older one of its `ind`."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from pinterest_pipeline.tables.delta import Table

_FIELDS: "list[pa.Field[Any]]" = [
    pa.field("ind", pa.int64()),
    pa.field("title", pa.string()),
    pa.field("_timestamp", pa.int64()),
]
SCHEMA = pa.schema(_FIELDS)


def rows(*values: tuple[int, str, int]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, value, strict=True)) for value in values], SCHEMA)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path / "pin")


def content(table: Table) -> list[tuple[int, str, int]]:
    found = DeltaTable(str(table.path)).to_pyarrow_table().to_pylist()
    return sorted(tuple(row.values()) for row in found)


def test_a_table_that_is_not_there_is_empty(table: Table) -> None:
    assert not table.exists()
    assert table.rows() == 0
    assert table.files() == []
    assert table.head(5) == []
    assert table.totals() == {}
    assert table.positions(["a/0"]) == {"a/0": 0}


def test_a_commit_carries_rows_positions_and_totals(table: Table) -> None:
    table.upsert(rows((1, "a", 10), (2, "b", 10)), {"t/0": 2}, {"read": 2})
    table.upsert(rows((3, "c", 20)), {"t/0": 3, "t/1": 7}, {"read": 1, "rule": 4})
    assert table.rows() == 3
    assert table.positions(["t/0", "t/1", "t/2"]) == {"t/0": 3, "t/1": 7, "t/2": 0}
    assert table.totals() == {"read": 3, "rule": 4}
    assert Table(table.path).positions(["t/0"]) == {"t/0": 3}


def test_the_newer_row_of_an_ind_wins(table: Table) -> None:
    table.upsert(rows((1, "old", 10), (2, "b", 10)), {"t/0": 2}, {})
    table.upsert(rows((1, "new", 20)), {"t/0": 3}, {})
    assert content(table) == [(1, "new", 20), (2, "b", 10)]


def test_an_older_row_does_not_come_back(table: Table) -> None:
    table.upsert(rows((1, "new", 20)), {"t/0": 1}, {})
    table.upsert(rows((1, "old", 10)), {"t/1": 1}, {})
    assert content(table) == [(1, "new", 20)]
    assert table.positions(["t/1"]) == {"t/1": 1}


def test_positions_move_without_rows(table: Table) -> None:
    table.upsert(rows(), {"t/0": 5}, {"quarantined": 5})
    assert table.positions(["t/0"]) == {"t/0": 5}
    table.upsert(rows(), {"t/0": 6}, {"quarantined": 1})
    assert table.positions(["t/0"]) == {"t/0": 6}
    assert table.totals() == {"quarantined": 6}


def test_many_small_commits_are_compacted_and_keep_everything(table: Table) -> None:
    for number in range(130):
        table.append(rows((number, "x", number)), {"t/0": number + 1}, {"read": 1})
    assert len(table.files()) < 60
    assert [row[0] for row in content(table)] == list(range(130))
    assert table.positions(["t/0"]) == {"t/0": 130}
    assert table.totals() == {"read": 130}


def test_positions_of_any_size_are_kept(table: Table) -> None:
    """A Delta transaction has 64 bits, a sequence number of AWS 186."""
    far = 9_579_844_037_727_333_356_165_064_238_440_708_846_556_371_693_205_002_259
    for step, position in enumerate((far, far + 1, far + 2**124, 2**186 - 1)):
        table.upsert(rows((1, "a", step)), {"a/0": position, "b/0": step}, {})
        assert Table(table.path).positions(["a/0", "b/0", "c/0"]) == {"a/0": position, "b/0": step, "c/0": 0}


def test_a_small_position_is_one_version_as_it_always_was(table: Table) -> None:
    table.append(rows((1, "a", 1)), {"a/0": 2**62 - 1}, {})
    handle = DeltaTable(str(table.path))
    assert (handle.transaction_version("a/0"), handle.transaction_version("a/0#1")) == (2**62 - 1, None)


def test_large_positions_outlive_a_checkpoint(table: Table) -> None:
    table.append(rows((1, "a", 1)), {"a/0": 2**181 + 5}, {})
    DeltaTable(str(table.path)).create_checkpoint()
    assert Table(table.path).positions(["a/0"]) == {"a/0": 2**181 + 5}
