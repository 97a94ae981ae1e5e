"""A commit moves the table and its positions together; a newer row replaces the older one of its `ind`."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from pinterest_pipeline.errors import DamagedTable, SettingError
from pinterest_pipeline.tables.delta import Table, Upkeep

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


@pytest.mark.parametrize("name", ["My%20Project", "100%25", "a\\b"])
def test_a_folder_that_no_table_can_be_in_is_refused_before_one_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match="no Delta table can be in") as raised:
        Table(tmp_path / name / "pin")
    assert "PINPIPE_DATA" in raised.value.remedy
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["é #[1]*?", "100%", "a:b", "%zz"])
def test_other_signs_may_be_in_the_name_of_its_folder(tmp_path: Path, name: str) -> None:
    table = Table(tmp_path / name / "pin")
    for offset in (1, 2):
        table.upsert(rows((offset, "a", 10)), {"t/0": offset}, {})
    assert Table(table.path).positions(["t/0"]) == {"t/0": 2}
    assert [Path(file).exists() for file in table.files()] == [True, True]


def test_a_commit_carries_rows_positions_and_totals(table: Table) -> None:
    table.upsert(rows((1, "a", 10), (2, "b", 10)), {"t/0": 2}, {"read": 2})
    table.upsert(rows((3, "c", 20)), {"t/0": 3, "t/1": 7}, {"read": 1, "rule": 4})
    assert table.rows() == 3
    assert table.positions(["t/0", "t/1", "t/2"]) == {"t/0": 3, "t/1": 7, "t/2": 0}
    assert table.totals() == {"read": 3, "rule": 4}
    assert Table(table.path).positions(["t/0"]) == {"t/0": 3}


def test_totals_outlive_a_change_of_the_table_itself_with_which_the_log_begins_anew(table: Table) -> None:
    table = Table(table.path, Upkeep(log=0))
    done = 0
    while done == 0 or DeltaTable(str(table.path)).version() < 48:
        table.append(rows((1, "a", 10)), {"t/0": done + 1}, {"read": 1})
        done += 1
    wider = rows((1, "a", 10)).append_column("new", pa.array(["x"]))
    table.append(wider, {"t/0": done + 1}, {"read": 1})
    assert DeltaTable(str(table.path)).version() == 50
    assert Table(table.path).totals() == {"read": done + 1}


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


PLACED = pa.schema([*_FIELDS, pa.field("_shard", pa.string()), pa.field("_sequence", pa.string())])


def test_of_rows_of_one_moment_the_later_position_wins(table: Table) -> None:
    def row(title: str, shard: str, sequence: str) -> pa.Table:
        place = {"_timestamp": 10, "_shard": shard, "_sequence": sequence}
        return pa.Table.from_pylist([{"ind": 1, "title": title, **place}], PLACED)

    table.upsert(row("first", "a", "99"), {}, {})
    table.upsert(row("longer is larger", "a", "100"), {}, {})
    table.upsert(row("shorter", "a", "98"), {}, {})
    assert content(table)[0][1] == "longer is larger"
    table.upsert(row("another shard", "b", "1"), {}, {})
    assert content(table)[0][1] == "another shard"


def test_only_files_with_a_replaced_row_are_written_anew(table: Table) -> None:
    for first in (0, 100, 200):
        table.upsert(rows(*((first + n, "old", 10) for n in range(100))), {}, {})
    before = set(table.files())
    table.upsert(rows((150, "new", 20), (500, "more", 20)), {}, {})
    after = set(table.files())
    assert len(before - after) == 1
    assert len(after - before) == 2
    assert len(content(table)) == 301
    assert [row for row in content(table) if row[1] != "old"] == [(150, "new", 20), (500, "more", 20)]


def test_what_another_writer_did_is_seen(table: Table) -> None:
    table.upsert(rows((1, "a", 10)), {"t/0": 1}, {})
    other = Table(table.path)
    other.upsert(rows((1, "b", 20), (2, "b", 20)), {"t/0": 3}, {"read": 2})
    assert table.positions(["t/0"]) == {"t/0": 3}
    table.upsert(rows((2, "c", 30)), {"t/0": 4}, {"read": 1})
    assert content(table) == [(1, "b", 20), (2, "c", 30)]
    assert table.totals() == {"read": 3}


def test_append_keeps_every_version_and_is_never_mixed_with_upsert(tmp_path: Path) -> None:
    every, newest = Table(tmp_path / "every"), Table(tmp_path / "newest")
    every.append(rows((1, "a", 10), (1, "b", 20)), {"t/0": 2}, {})
    newest.upsert(rows((1, "b", 20)), {"t/0": 2}, {})
    assert (every.keeps_versions(), newest.keeps_versions()) == (True, False)
    assert len(content(every)) == 2
    with pytest.raises(SettingError, match="keeps every version"):
        every.upsert(rows((1, "c", 30)), {}, {})
    with pytest.raises(SettingError, match="keeps only the newest"):
        newest.append(rows((1, "c", 30)), {}, {})
    assert every.newest_timestamp() == newest.newest_timestamp() == 20


@pytest.mark.parametrize("kind", ["append", "upsert"])
def test_a_loop_of_commits_leaves_no_more_behind_than_it_must(tmp_path: Path, kind: str) -> None:
    table = Table(tmp_path / "pin", Upkeep(files=0, log=0))
    write = table.append if kind == "append" else table.upsert
    for number in range(140):
        write(rows((number, "x", number)), {"t/0": number + 1}, {"read": 1})
    assert len(list(table.path.glob("*.parquet"))) < 80
    assert len(list((table.path / "_delta_log").glob("*.json"))) < 80
    again = Table(table.path)
    assert [row[0] for row in content(again)] == list(range(140))
    assert again.positions(["t/0"]) == {"t/0": 140}
    assert again.totals() == {"read": 140}


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    table = Table(tmp_path / "pin", Upkeep(files=0, log=60))
    table.append(rows((0, "x", 0)), {}, {})
    orphan = table.path / "part-of-nobody.parquet"
    orphan.write_bytes(b"half a file")
    for number in range(40):
        table.append(rows((number, "x", number)), {}, {})
    assert not orphan.exists()
    assert len(content(table)) == 41


def test_settings_that_change_reach_a_table_that_is_there(table: Table) -> None:
    table.append(rows((0, "x", 0)), {"t/0": 1}, {"read": 1})
    again = Table(table.path, Upkeep(files=7, log=8))
    again.append(rows((1, "x", 0)), {"t/0": 2}, {"read": 1})
    properties = DeltaTable(str(table.path)).metadata().configuration
    assert properties["delta.deletedFileRetentionDuration"] == "interval 7 seconds"
    assert properties["delta.appendOnly"] == "true"
    assert again.totals() == {"read": 2}


def test_files_that_are_replaced_again_and_again_do_not_pile_up(tmp_path: Path) -> None:
    for number in range(40):  # each time as a process of its own
        table = Table(tmp_path / "pin", Upkeep(files=0, log=0))
        table.upsert(rows((1, "x" * 100, number)), {"t/0": number + 1}, {"read": 1})
    assert len(list(table.path.glob("*.parquet"))) <= 33
    assert table.rows() == 1


def test_a_process_that_looked_at_some_rows_ends(table: Table) -> None:
    """Threads that read ahead were met by the end of Python: a signal, or no end."""
    for number in range(12):
        table.append(rows(*((ind, "x" * 100, number) for ind in range(200))), {"t/0": number}, {})
    script = (
        "import sys; from pathlib import Path; from pinterest_pipeline.tables.delta import Table;"
        " print(len(Table(Path(sys.argv[1])).head(20)))"
    )
    command = [sys.executable, "-c", script, str(table.path)]
    ended = [subprocess.run(command, capture_output=True, timeout=60, check=False) for _ in range(3)]
    assert [(process.returncode, process.stdout) for process in ended] == [(0, b"20\n")] * 3


def test_some_rows_are_no_more_than_there_are(table: Table) -> None:
    table.append(rows((1, "a", 1), (2, "b", 1)), {"t/0": 2}, {})
    table.append(rows((3, "c", 2)), {"t/0": 3}, {})
    assert sorted(row["ind"] for row in table.head(9)) == [1, 2, 3]
    assert len(table.head(2)) == 2


def test_damaged_files_are_named(table: Table) -> None:
    table.append(rows((1, "a", 1)), {"t/0": 1}, {})
    (file,) = table.files()
    whole = Path(file).read_bytes()
    Path(file).unlink()
    with pytest.raises(FileNotFoundError):  # tidied up meanwhile: not damaged
        table.head(1)
    Path(file).write_bytes(whole[:-100] + bytes(92) + whole[-8:])
    with pytest.raises(DamagedTable, match=Path(file).name):
        table.head(1)
    Path(file).write_bytes(b"")
    with pytest.raises(DamagedTable, match=Path(file).name):
        table.head(1)
    newest = max((table.path / "_delta_log").glob("*.json"))
    newest.write_text("{")
    with pytest.raises(DamagedTable, match="pin"):
        Table(table.path).rows()


def test_a_table_that_is_removed_while_it_is_open_is_made_again(table: Table) -> None:
    for position in (1, 2):
        table.upsert(rows((position, "old", 10)), {"t/0": position}, {})
    assert table.positions(["t/0"]) == {"t/0": 2}
    shutil.rmtree(table.path)
    assert table.positions(["t/0"]) == {"t/0": 0}
    table.upsert(rows((1, "new", 20)), {"t/0": 1}, {"read": 1})
    assert content(table) == [(1, "new", 20)]
    assert Table(table.path).positions(["t/0"]) == {"t/0": 1}


@pytest.mark.parametrize("content", [b"", b"x" * 5_000])
def test_a_damaged_file_is_named_when_its_rows_are_replaced(table: Table, content: bytes) -> None:
    table.upsert(rows((1, "old", 10), (2, "b", 10)), {"t/0": 2}, {})
    damaged = table.files()[0]
    Path(damaged).write_bytes(content)
    with pytest.raises(DamagedTable, match=damaged):
        Table(table.path).upsert(rows((1, "new", 20)), {"t/0": 3}, {})
