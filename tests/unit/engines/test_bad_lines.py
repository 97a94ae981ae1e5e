"""Nothing is dropped: what cannot be cleaned is kept with its reason, its text and where it was."""

import json
from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.engines.duckdb import DuckDBEngine
from pinterest_pipeline.records.names import Table
from tests.landing import land, line, position


def quarantined(engine: DuckDBEngine, table: Table, *files: Path) -> list[dict[str, Any]]:
    with engine.clean(table, "batch", list(files)) as result:
        assert result.read == result.good + len(result.quarantined)
        rows: list[dict[str, Any]] = result.quarantined.to_pylist()
    return rows


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        ("pin", {"example_field": "x"}, "ind: expected a whole number of at most 18 digits, got nothing"),
        ("pin", {"index": "seven"}, 'ind: expected a whole number of at most 18 digits, got "seven"'),
        (
            "pin",
            {"index": 1, "follower_count": "many"},
            'follower_count: expected a count such as 437, 26k, 1.5M or 2B, got "many"',
        ),
        ("user", {"ind": 1, "age": 20.5}, 'age: expected a whole number of at most 3 digits, got "20.5"'),
        ("geo", {"ind": 1, "latitude": 91}, 'latitude: expected degrees from -90 to 90, got "91"'),
        ("pin", b"[1]", 'value: expected a readable JSON object, got "[1]"'),
        ("pin", b"\xff", 'value: expected UTF-8 text, got "/w=="'),
    ],
)
def test_a_bad_row_keeps_its_reason_its_line_and_its_position(
    engine: DuckDBEngine, tmp_path: Path, table: Table, row: Any, reason: str
) -> None:
    file = land(tmp_path / "rows.json", "batch", [{"ind": 5}, row])
    (bad,) = quarantined(engine, table, file)
    assert bad["reason"] == reason
    assert bad["table_name"] == table
    assert bad["raw"] == file.read_text().splitlines()[1]
    assert (bad["_topic"], bad["_partition"], bad["_offset"]) == ("124df56aef51.pin", 0, 1)


def test_a_long_wrong_value_is_cut_in_the_reason_only(engine: DuckDBEngine, tmp_path: Path) -> None:
    (bad,) = quarantined(engine, "user", land(tmp_path / "u.json", "batch", [{"ind": 1, "age": "é" * 5_000}]))
    assert bad["reason"].endswith('got "' + "é" * 100 + '"')
    assert json.loads(bad["raw"])["age"] == "é" * 5_000


@pytest.mark.parametrize("missing", ["_topic", "_partition", "_offset", "_timestamp"])
def test_a_row_without_its_position_is_bad(engine: DuckDBEngine, tmp_path: Path, missing: str) -> None:
    where = {name: value for name, value in position("batch", 3).items() if name != missing}
    (tmp_path / "pin.json").write_bytes(line({"index": 1}, where))
    (bad,) = quarantined(engine, "pin", tmp_path / "pin.json")
    assert bad["reason"].startswith(f"{missing}: expected ")
    assert (bad["ind"], bad[missing]) == ("1", None)


NO_OBJECTS = [
    b'{"ind":2',
    b'"text"',
    b"[1]",
    b"null",
    b'{"ind":5}{"ind":6}',
    b'{"ind":7} tail',
    b"\x00",
    b"\xff",
    b"{]",
    b"}",
]


def test_lines_that_are_no_object_keep_text_and_line_number(engine: DuckDBEngine, tmp_path: Path) -> None:
    good = line({"index": 1}, position("batch", 0))
    file = tmp_path / "pin.json"
    file.write_bytes(good + b"\n  \t\r\n" + b"\n".join(NO_OBJECTS) + b"\r\n" + good.rstrip() + b"\n{")
    found = quarantined(engine, "pin", file)
    assert [bad["reason"] for bad in found] == [
        f"line {number} of pin.json: expected a JSON object" for number in (*range(4, 14), 15)
    ]
    assert [bad["raw"] for bad in found] == [
        text.decode(errors="backslashreplace") for text in (*NO_OBJECTS, b"{")
    ]


def test_an_empty_object_is_an_object(engine: DuckDBEngine, tmp_path: Path) -> None:
    (tmp_path / "pin.json").write_bytes(b"{}")
    (bad,) = quarantined(engine, "pin", tmp_path / "pin.json")
    assert bad["reason"] == "_topic: expected a position in the log, got nothing"


def test_a_lone_surrogate_keeps_its_position(engine: DuckDBEngine, tmp_path: Path) -> None:
    fields = {"index": 1, "title": "\ud800"} | position("batch", 7)
    (tmp_path / "pin.json").write_text(json.dumps(fields))
    (bad,) = quarantined(engine, "pin", tmp_path / "pin.json")
    assert bad["reason"] == "line 1 of pin.json: expected JSON in sound Unicode"
    assert (bad["_partition"], bad["_offset"], bad["ind"]) == (0, 7, "1")


def test_bad_rows_are_found_in_their_own_file_and_line(engine: DuckDBEngine, tmp_path: Path) -> None:
    files = []
    for number in range(4):
        rows = [{"ind": n, "age": "old" if n % 1_000 == number else 30} for n in range(5_000)]
        files.append(land(tmp_path / f"{number}.json", "batch", rows))
    found = quarantined(engine, "user", *files)
    assert [(bad["ind"], bad["_offset"]) for bad in found] == [
        (str(n + number), n + number) for number in range(4) for n in range(0, 5_000, 1_000)
    ]
    assert all(json.loads(bad["raw"])["ind"] == bad["_offset"] for bad in found)
