"""What every engine does with the same files."""

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pinterest_pipeline.engines.base import Engine, clean_schema, quarantine_schema
from pinterest_pipeline.errors import DiskFull, Fatal
from pinterest_pipeline.records.names import BRANCHES, TABLES, Branch, Table
from tests.landing import answers_of, land, line, position


def cleaned(engine: Engine, table: Table, branch: Branch, file: Path) -> list[dict[str, Any]]:
    with engine.clean(table, branch, [file]) as result:
        rows: list[dict[str, Any]] = result.rows.read_all().to_pylist()
    return sorted(rows, key=lambda row: row["ind"])


def pin(ind: int, title: str) -> dict[str, Any]:
    return {"index": ind, "title": title}


OLDER_AND_NEWER = [
    ({"_timestamp": 1, "_offset": 9}, {"_timestamp": 2, "_offset": 1}),
    ({"_timestamp": 1, "_partition": 1, "_offset": 9}, {"_timestamp": 1, "_partition": 2, "_offset": 1}),
    ({"_timestamp": 1, "_offset": 9}, {"_timestamp": 1, "_offset": 10}),
    ({"_timestamp": 9, "_offset": 1}, {"_timestamp": 10, "_offset": 1}),
]


def test_the_newest_position_of_a_topic_wins(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "pin.json"
    lines = []
    for ind, pair in enumerate(OLDER_AND_NEWER):
        for title, where in zip(("old", "new"), pair, strict=True):
            lines.append(line(pin(ind, title), position("batch", 0, **where)))
    for order in (lines, lines[::-1]):
        file.write_bytes(b"".join(order))
        assert [row["title"] for row in cleaned(engine, "pin", "batch", file)] == ["new"] * 4


def test_a_longer_sequence_number_is_the_newer(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "pin.json"
    new = line(pin(1, "new"), position("stream", 0, _sequence="10"))
    old = line(pin(1, "old"), position("stream", 0, _sequence="9"))
    file.write_bytes(new + old)
    assert [row["title"] for row in cleaned(engine, "pin", "stream", file)] == ["new"]


def test_a_good_row_is_not_overtaken_by_a_bad_one(engine: Engine, tmp_path: Path) -> None:
    file = land(tmp_path / "user.json", "batch", [{"ind": 1, "age": 30}, {"ind": 1, "age": "old"}])
    with engine.clean("user", "batch", [file]) as result:
        assert result.rows.read_all().column("age").to_pylist() == [30]
        assert (result.read, result.good, len(result.quarantined)) == (2, 1, 1)


@pytest.mark.parametrize("branch", BRANCHES)
def test_every_version_of_a_row_can_be_had_and_the_newest_one_answers(
    engine: Engine, tmp_path: Path, branch: Branch
) -> None:
    old = {"index": 1, "poster_name": "old", "follower_count": "9k"}
    new = {"index": 1, "poster_name": "new", "follower_count": "8k"}
    bad = {"index": 1, "follower_count": "many"}
    files = {
        "pin": land(tmp_path / "pin.json", branch, [old, new, bad]),
        "geo": land(tmp_path / "geo.json", branch, [{"ind": 1, "country": "Chad"}]),
        "user": land(tmp_path / "user.json", branch, []),
    }
    stored: dict[Table, list[str]] = {}
    for table in TABLES:
        path = tmp_path / f"{table}.parquet"
        with engine.clean(table, branch, [files[table]]) as result:
            pq.write_table(result.versions.read_all(), path)
        stored[table] = [str(path)]
    assert pq.read_table(stored["pin"][0]).schema.names == clean_schema("pin", branch).names
    assert set(pq.read_table(stored["pin"][0])["poster_name"].to_pylist()) == {"new", "old"}
    top = engine.answers(stored, {"pin": branch})["top_user_by_country"]
    assert [(row["poster_name"], row["follower_count"]) for row in top] == [("new", 8_000)]


def test_the_account_of_one_cleaning(engine: Engine, tmp_path: Path) -> None:
    rows = [pin(n % 6, "No Title Data Available" if n % 2 else "t") for n in range(10)] + [
        {"title": "no ind"}
    ]
    with engine.clean("pin", "batch", [land(tmp_path / "pin.json", "batch", rows)]) as result:
        assert (result.read, result.good, result.rows.read_all().num_rows, len(result.quarantined)) == (
            11,
            10,
            6,
            1,
        )
        assert result.changes["pin.title.no_title"] == 5  # in every good row, also where a newer one wins
        assert result.changes["pin.tag_list.no_tags"] == 0


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("branch", BRANCHES)
def test_no_file_gives_empty_tables_in_their_shape(engine: Engine, table: Table, branch: Branch) -> None:
    with engine.clean(table, branch, []) as result:
        assert result.rows.read_all() == clean_schema(table, branch).empty_table()
        assert result.quarantined == quarantine_schema(branch).empty_table()
        assert (result.read, result.good, sum(result.changes.values())) == (0, 0, 0)


def test_empty_tables_give_empty_answers(engine: Engine) -> None:
    answers = engine.answers({"pin": [], "geo": [], "user": []})
    assert len(answers) == 8
    assert not any(answers.values())


def test_answers_are_the_same_from_parquet_files_and_from_datasets(engine: Engine, tmp_path: Path) -> None:
    post = {
        "pin": {"index": 1, "category": "art", "follower_count": "3k", "poster_name": "it's"},
        "geo": {"ind": 1, "country": "Côte d'Ivoire", "timestamp": "2019-12-31T23:59:59"},
        "user": {"ind": 1, "first_name": "A", "age": 50, "date_joined": "01/02/2016, 03:04:05"},
    }
    expected = answers_of(engine, tmp_path, "batch", [post])
    files: dict[Table, list[str]] = {}
    for table in TABLES:
        files[table] = [str(tmp_path / f"{table} it's.parquet")]
        with engine.clean(table, "batch", [tmp_path / f"{table}.json"]) as result:
            pq.write_table(result.rows.read_all(), files[table][0])
    assert engine.answers(files) == expected
    assert expected["category_by_age_group"] == [
        {"age_group": "36-50", "category": "art", "category_count": 1}
    ]
    assert expected["category_by_year"][0]["post_year"] == 2019
    assert isinstance(expected["followers_by_age_group"][0]["median_follower_count"], float)
    assert type(expected["users_joined_by_year"][0]["posts"]) is int


def test_a_reader_outlives_its_cleaning_and_other_work(engine: Engine, tmp_path: Path) -> None:
    file = land(tmp_path / "pin.json", "batch", [pin(n, "t") for n in range(5_000)])
    with engine.clean("pin", "batch", [file]) as first:
        reader = first.rows
        with engine.clean("user", "batch", []) as second:
            assert second.read == 0
        assert first.rows.read_all().num_rows == 5_000
    assert sum(len(batch) for batch in reader) == 5_000


def test_a_file_that_is_gone_is_fatal(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"gone\.json"):
        engine.clean("pin", "batch", [tmp_path / "gone.json"])


def test_a_full_disk_is_told_apart(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="spill"):
        engine.answers({"pin": [str(tmp_path / "no space left")], "geo": [], "user": []})


@pytest.mark.parametrize("empty", TABLES)
def test_an_empty_table_among_full_ones(engine: Engine, tmp_path: Path, empty: Table) -> None:
    rows: dict[Table, dict[str, Any]] = {
        "pin": {"index": 1, "category": "art"},
        "geo": {"ind": 1, "country": "Chad"},
        "user": {"ind": 1, "age": 20},
    }
    files: dict[Table, list[str]] = {table: [str(tmp_path / f"{table}.parquet")] for table in TABLES}
    for table in TABLES:
        with engine.clean(table, "batch", [land(tmp_path / table, "batch", [rows[table]])]) as result:
            pq.write_table(result.rows.read_all(), files[table][0])
    answers = engine.answers(files | {empty: []})
    assert bool(answers["category_by_country"]) == (empty == "user")
    assert bool(answers["category_by_age_group"]) == (empty == "geo")


def test_a_dataset_of_a_folder_is_a_table(engine: Engine, tmp_path: Path) -> None:
    file = land(tmp_path / "user.json", "batch", [{"ind": 1, "date_joined": "2016-01-01 00:00:00"}])
    with engine.clean("user", "batch", [file]) as result:
        pq.write_table(result.rows.read_all(), tmp_path / "user.parquet")
    answers = engine.answers({"pin": [], "geo": [], "user": ds.dataset(tmp_path / "user.parquet")})
    assert answers["users_joined_by_year"] == [{"join_year": 2016, "users_joined": 1, "posts": 1}]


@pytest.mark.parametrize("branch", BRANCHES)
def test_fields_that_drift_are_kept_beside_their_row_and_counted(
    engine: Engine, tmp_path: Path, branch: Branch
) -> None:
    whole = {"ind": 1, "first_name": "A", "last_name": "B", "age": 30, "date_joined": "2020-01-01T00:00:00"}
    drifted = {name: value for name, value in whole.items() if name != "age"} | {
        "ind": 2,
        "Age": 3,
        "é": [1.0],
    }
    retyped = whole | {"ind": 3, "first_name": ["A", None]}
    bad = whole | {"ind": 4, "age": "old", "more": True}
    file = land(tmp_path / "user.json", branch, [whole, drifted, retyped, bad, b"no JSON", whole])
    with engine.clean("user", branch, [file]) as result:
        rows = {row["ind"]: row for row in result.rows.read_all().to_pylist()}
        assert {ind: row["_rescued_data"] for ind, row in rows.items()} == {
            1: None,
            2: '{"letter_case":{"Age":3},"missing":["age"],"new":{"é":[1.0]}}',
            3: '{"retyped":{"first_name":["A", null]}}',
        }
        assert rows[2]["age"] is None
        assert rows[3]["user_name"] == '["A",null] B'
        assert result.drift == {
            "letter_case Age": 1,
            "missing age": 1,
            "new é": 1,
            "retyped first_name": 1,
        }
        raws = {row["ind"]: row["raw"] for row in result.quarantined.to_pylist()}
    lines = file.read_bytes().decode().splitlines()
    assert raws == {"4": lines[3], None: lines[4]}


def test_a_record_may_not_name_its_own_rescue(engine: Engine, tmp_path: Path) -> None:
    rows = [{"ind": 1, "_rescued_data": "mine"}, {"ind": 2, "country": "Chad"}]
    file = land(tmp_path / "geo.json", "batch", rows)
    with engine.clean("geo", "batch", [file]) as result:
        found = {row["ind"]: row["_rescued_data"] for row in result.rows.read_all().to_pylist()}
    missing = '"missing":["timestamp","latitude","longitude"'
    assert found == {
        1: f'{{{missing},"country"],"new":{{"_rescued_data":"mine"}}}}',
        2: f"{{{missing}]}}",
    }
