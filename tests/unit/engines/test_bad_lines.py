"""Nothing is dropped: what cannot be cleaned is kept with its reason, its text and where it was."""

import json
from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.engines.base import Engine
from pinterest_pipeline.records.names import TABLES, Table
from tests.landing import land, line, position


def quarantined(engine: Engine, table: Table, *files: Path) -> list[dict[str, Any]]:
    with engine.clean(table, "batch", list(files)) as result:
        assert result.read == result.good + len(result.quarantined)
        rows: list[dict[str, Any]] = result.quarantined.to_pylist()
    return rows


REASONS: list[tuple[Table, Any, str]] = [
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
]


@pytest.mark.parametrize("table", TABLES)
def test_a_bad_row_keeps_its_reason_its_line_and_its_position(
    engine: Engine, tmp_path: Path, table: Table
) -> None:
    cases = [(row, reason) for of, row, reason in REASONS if of == table]
    file = land(tmp_path / "rows.json", "batch", [{"ind": 5}, *(row for row, _ in cases)])
    found = sorted(quarantined(engine, table, file), key=lambda bad: bad["_offset"])
    assert [bad["reason"] for bad in found] == [reason for _, reason in cases]
    assert [bad["raw"] for bad in found] == file.read_text().splitlines()[1:]
    for number, bad in enumerate(found, start=1):
        assert bad["table_name"] == table
        assert (bad["_topic"], bad["_partition"], bad["_offset"]) == ("124df56aef51.pin", 0, number)


def test_a_long_wrong_value_is_cut_in_the_reason_only(engine: Engine, tmp_path: Path) -> None:
    (bad,) = quarantined(engine, "user", land(tmp_path / "u.json", "batch", [{"ind": 1, "age": "é" * 5_000}]))
    assert bad["reason"].endswith('got "' + "é" * 100 + '"')
    assert json.loads(bad["raw"])["age"] == "é" * 5_000


def test_a_row_without_its_position_is_bad(engine: Engine, tmp_path: Path) -> None:
    whole = position("batch", 3)
    cut = [{name: value for name, value in whole.items() if name != missing} for missing in whole]
    (tmp_path / "pin.json").write_bytes(b"".join(line({"index": 1}, where) for where in cut))
    found = {
        bad["reason"].partition(": expected ")[0]: bad
        for bad in quarantined(engine, "pin", tmp_path / "pin.json")
    }
    assert found.keys() == whole.keys()
    assert all((bad["ind"], bad[missing]) == ("1", None) for missing, bad in found.items())


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


def test_lines_that_are_no_object_keep_text_and_line_number(engine: Engine, tmp_path: Path) -> None:
    good = line({"index": 1}, position("batch", 0))
    file = tmp_path / "pin.json"
    file.write_bytes(good + b"\n  \t\r\n" + b"\n".join(NO_OBJECTS) + b"\r\n" + good.rstrip() + b"\n{")
    found = sorted(quarantined(engine, "pin", file), key=lambda bad: int(bad["reason"].split()[1]))
    assert [bad["reason"] for bad in found] == [
        f"line {number} of pin.json: expected a JSON object" for number in (*range(4, 14), 15)
    ]
    assert [bad["raw"] for bad in found] == [
        text.decode(errors="backslashreplace") for text in (*NO_OBJECTS, b"{")
    ]


def test_an_empty_object_is_an_object(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "pin.json").write_bytes(b"{}")
    (bad,) = quarantined(engine, "pin", tmp_path / "pin.json")
    assert bad["reason"] == "_topic: expected a position in the log, got nothing"


def test_a_lone_surrogate_keeps_its_position(engine: Engine, tmp_path: Path) -> None:
    fields = {"index": 1, "title": "\ud800"} | position("batch", 7)
    (tmp_path / "pin.json").write_text(json.dumps(fields))
    (bad,) = quarantined(engine, "pin", tmp_path / "pin.json")
    assert bad["reason"] == "line 1 of pin.json: expected JSON in sound Unicode"
    assert (bad["_partition"], bad["_offset"], bad["ind"]) == (0, 7, "1")


def test_bad_rows_are_found_in_their_own_file_and_line(engine: Engine, tmp_path: Path) -> None:
    files = []
    for number in range(4):
        rows = [{"ind": n, "age": "old" if n % 1_000 == number else 30} for n in range(5_000)]
        files.append(land(tmp_path / f"{number}.json", "batch", rows))
    found = quarantined(engine, "user", *files)
    assert sorted((bad["_offset"], bad["ind"]) for bad in found) == sorted(
        (n + number, str(n + number)) for number in range(4) for n in range(0, 5_000, 1_000)
    )
    assert all(json.loads(bad["raw"])["ind"] == bad["_offset"] for bad in found)


# Lines as no gateway lets them in, but as other writers of objects may leave them.
ODD_LINES: list[tuple[bytes, str | None]] = [
    (b'{"index":1,"title":"first","title":"second"}', "first"),
    (b'{"index":2,"Title":"a","TITLE":"b"}', None),
    (b'{"index":3,"title":{"a": [1, "x"]}}', '{"a":[1,"x"]}'),
    (b'{"index":4,"title":true}', "true"),
    (b'{"index":5,"title":-0}', "0"),
    (b'{"index":6,"title":1.50}', "1.5"),
    (b'{"index":7,"title":NaN}', "NaN"),
    (b'{"index":8,"title":"\\ud83d\\ude00 \\\\ud83d \\u0000 \\/"}', "\U0001f600 \\ud83d \0 /"),
    (b'{"index":9,"title":"' + b"9" * 2_000 + b'"}', "9" * 2_000),
    (b'{"index":10,"title":' + b"9" * 2_000 + b"}", "9" * 2_000),
    (b'{"index":11,"title":"x"}  \t\r', "x"),
    (b'  {"index"\r:12,"title" : "x"}', "x"),
    (b'{"ind\\u0065x":13,"title":"x"}', "x"),
    (b'{"index":14,"title":"' + b"x" * 2_000_000 + b'"}', "x" * 2_000_000),
]
# And these are no JSON objects, or not in sound Unicode.
SPOILT = [
    b'{"index":1}]',
    b'{"index":1}}',
    b'{"index":1},{"index":2}',
    b'{"index":1}],{"index":2}',
    b"{'index':1}",
    b"{index:1}",
    b'{"index":1 /* one */}',
    b'{"index":01}',
    b'{"index":+1}',
    b'{"index":1.}',
    b'{"index":1,"title":"a\tb"}',
    b'{"index":1,"title":"\\x"}',
    b'{"index":1,"title":"\xc3"}',
    b'{"index":1,"title":"\xed\xa0\x80"}',
    b'{"index":1,"other":["\\ud800"]}',
    b'{"index":1,"title":"\\ude00\\ud83d"}',
    b'{"index":1}\x00',
    b'\xef\xbb\xbf{"index":1}',
    b'{"index":1,"title":tru}',
]


def test_odd_lines_are_read_alike(engine: Engine, tmp_path: Path) -> None:
    where = json.dumps(position("batch", 0)).encode()[1:]
    lines = [text.rstrip()[:-1] + b"," + where for text, _ in ODD_LINES]
    (tmp_path / "pin.json").write_bytes(b"\n".join(lines))
    with engine.clean("pin", "batch", [tmp_path / "pin.json"]) as result:
        found = {row["ind"]: row["title"] for row in result.rows.read_all().to_pylist()}
        assert result.quarantined.to_pylist() == []
    assert found == {number: title for number, (_, title) in enumerate(ODD_LINES, start=1)}


def test_spoilt_lines_are_no_rows(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "pin.json").write_bytes(b"\n".join(SPOILT))
    found = quarantined(engine, "pin", tmp_path / "pin.json")
    assert {bad["raw"] for bad in found} == {text.decode(errors="backslashreplace") for text in SPOILT}
    expected = ("expected a JSON object", "expected JSON in sound Unicode")
    assert all(bad["reason"].endswith(expected) for bad in found)


def test_the_lines_of_a_file_too_large_to_be_read_as_a_whole_have_no_number(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinterest_pipeline.engines.spark_bad_lines.MOST_BYTES", 30, raising=False)
    (tmp_path / "large.json").write_bytes(b"no JSON at all\n" * 3 + b"neither\n")
    (tmp_path / "small.json").write_bytes(b"no JSON\n")
    files = [tmp_path / "large.json", tmp_path / "small.json"]
    with engine.clean("pin", "batch", files) as result:
        rows = result.quarantined.to_pylist()
    assert sorted(row["raw"] for row in rows) == ["neither", "no JSON", *["no JSON at all"] * 3]
    places = {row["raw"]: row["reason"].partition(":")[0] for row in rows}
    assert places["no JSON"] == "line 1 of small.json"
    assert places["neither"] in ("a line of large.json", "line 4 of large.json")
