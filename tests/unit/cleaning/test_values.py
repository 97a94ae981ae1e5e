"""What each value becomes, on each engine: all values of a table in one cleaning."""

from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.engines.base import Engine
from pinterest_pipeline.records.names import TABLES, Table
from tests.landing import land

Case = tuple[Table, dict[str, Any], dict[str, Any] | None]

PIN_VALUES: list[tuple[str, Any, Any]] = [
    ("title", "No Title Data Available", None),
    ("title", "", None),
    ("title", "no title data available", "no title data available"),
    ("title", 'l\'"été" \\ 🙂\n\u200b', 'l\'"été" \\ 🙂\n\u200b'),
    ("title", None, None),
    ("title", {"a": 1}, '{"a":1}'),
    ("description", "No description available Story format", None),
    ("description", "No description available", None),
    ("description", "cut…\u00a0", "cut…"),
    ("description", "not cut\u00a0", "not cut\u00a0"),
    ("description", "in …\u00a0 the middle", "in …\u00a0 the middle"),
    ("poster_name", "User Info Error", None),
    ("poster_name", "  blanks stay ", "  blanks stay "),
    ("tag_list", "N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e", None),
    ("image_src", "Image src error.", None),
    ("image_src", "Image src error", "Image src error"),
    ("save_location", "Local save in /data/art", "/data/art"),
    ("save_location", "/data/art", "/data/art"),
    ("follower_count", "User Info Error", None),
    ("follower_count", None, None),
    ("follower_count", "437", 437),
    ("follower_count", 437, 437),
    ("follower_count", "437.00", 437),
    ("follower_count", "26k", 26_000),
    ("follower_count", "26K", 26_000),
    ("follower_count", "1.5M", 1_500_000),
    ("follower_count", "1.1m", 1_100_000),
    ("follower_count", "0.0005k", 1),
    ("follower_count", "999999999B", 999_999_999 * 10**9),
    ("follower_count", "999999999.999999999b", 999_999_999_999_999_999),
    ("follower_count", "999999999999999999", 999_999_999_999_999_999),
]
BAD_VALUES: list[tuple[Table, str, Any]] = [
    *(
        ("pin", "follower_count", text)
        for text in ("", "k", "1.5", "-3", "1,000", "26 k", "26kk", "26k\n", "437\n")
    ),
    *(("geo", "latitude", value) for value in (90.5, -91, "NaN", "north", "", "1.", "1\n", True)),
    *(("geo", "longitude", value) for value in (180.1, "1e999")),
    *(("user", "age", value) for value in (-1, 20.5, "1000", "", "20\n")),
    *(
        ("geo", "timestamp", text)
        for text in (
            "2019-02-29 00:00:00",
            "2018-13-01 00:00:00",
            "2018-01-01 24:00:00",
            "2018-01-01",
            "2018-01-01T00:00:00Z",
            "13/01/2018, 00:00:00",
            "02/30/2018, 00:00:00",
            "1/2/2018, 00:00:00",
            "0018-01-01 00:00:00",
            "2018-01-01 00:00:00\n",
            "",
        )
    ),
    *(("user", "ind", value) for value in (-1, 1.5, "x", "", "1 ", "1\n", 10**18)),
]
COORDINATES = [
    (-89.9787, -173.293, [-89.9787, -173.293]),
    ("1e-05", "-1.5E+2", [1e-05, -150.0]),
    (1e-05, -1e-17, [1e-05, -1e-17]),
    (90, -180, [90.0, -180.0]),
    (None, 5, None),
]
NAMES = [("Ann", "Lee", "Ann Lee"), ("Ann", None, "Ann"), (None, "Lee", "Lee"), (None, None, None)]
MOMENT = "2020-08-28T03:52:47+00:00"
DATES = ["2020-08-28 03:52:47", "2020-08-28T03:52:47", "08/28/2020, 03:52:47"]

# Table, raw row, and what its clean row must hold; None where the row belongs in quarantine.
CASES: list[Case] = [
    *(("pin", {column: dirty}, {column: clean}) for column, dirty, clean in PIN_VALUES),
    *((table, {column: value}, None) for table, column, value in BAD_VALUES),
    *(("geo", {"latitude": y, "longitude": x}, {"coordinates": both}) for y, x, both in COORDINATES),
    *(("user", {"first_name": a, "last_name": b}, {"user_name": name}) for a, b, name in NAMES),
    *(("geo", {"timestamp": text}, {"timestamp": MOMENT}) for text in DATES),
    *(("user", {"date_joined": text}, {"date_joined": MOMENT}) for text in DATES),
]


@pytest.fixture(scope="session")
def cleaned(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """Number of a case -> its clean row, for those that have one."""
    folder = tmp_path_factory.mktemp("values")
    return {number: row for table in TABLES for number, row in _cleaned(engine, folder, table).items()}


def _cleaned(engine: Engine, folder: Path, table: Table) -> dict[int, dict[str, Any]]:
    numbers = [number for number, case in enumerate(CASES) if case[0] == table]
    rows = [{"ind": number} | CASES[number][1] for number in numbers]
    with engine.clean(table, "batch", [land(folder / f"{table}.json", "batch", rows)]) as result:
        assert result.read == len(rows)
        return {numbers[row["_offset"]]: row for row in result.rows.read_all().to_pylist()}


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{number}-{CASES[number][1]}"[:60])
def test_a_value_becomes_what_it_should(cleaned: dict[int, dict[str, Any]], number: int) -> None:
    _, _, expected = CASES[number]
    row = cleaned.get(number)
    if expected is None:
        assert row is None
        return
    assert row is not None
    for column, value in expected.items():
        found = row[column]
        assert (found.isoformat() if value == MOMENT else found) == value
