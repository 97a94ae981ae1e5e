"""What each value becomes, run on the default engine."""

from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.engines.duckdb import DuckDBEngine
from pinterest_pipeline.records.names import Table
from tests.landing import land


def clean_one(engine: DuckDBEngine, folder: Path, table: Table, row: dict[str, Any]) -> dict[str, Any] | None:
    """The clean row of one raw row; None when it was quarantined."""
    file = land(folder / "row.json", "batch", [{"ind": 1} | row])
    with engine.clean(table, "batch", [file]) as result:
        rows: list[dict[str, Any]] = result.rows.read_all().to_pylist()
    return rows[0] if rows else None


@pytest.mark.parametrize(
    ("column", "dirty", "clean"),
    [
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
    ],
)
def test_a_pin(engine: DuckDBEngine, tmp_path: Path, column: str, dirty: Any, clean: Any) -> None:
    row = clean_one(engine, tmp_path, "pin", {column: dirty})
    assert row is not None
    assert row[column] == clean


@pytest.mark.parametrize("text", ["2020-08-28 03:52:47", "2020-08-28T03:52:47", "08/28/2020, 03:52:47"])
@pytest.mark.parametrize(("table", "column"), [("geo", "timestamp"), ("user", "date_joined")])
def test_the_three_forms_of_a_date(
    engine: DuckDBEngine, tmp_path: Path, table: Table, column: str, text: str
) -> None:
    row = clean_one(engine, tmp_path, table, {column: text})
    assert row is not None
    assert row[column].isoformat() == "2020-08-28T03:52:47+00:00"


@pytest.mark.parametrize(
    ("latitude", "longitude", "coordinates"),
    [
        (-89.9787, -173.293, [-89.9787, -173.293]),
        ("1e-05", "-1.5E+2", [1e-05, -150.0]),
        (90, -180, [90.0, -180.0]),
        (None, 5, None),
    ],
)
def test_coordinates(
    engine: DuckDBEngine, tmp_path: Path, latitude: Any, longitude: Any, coordinates: list[float] | None
) -> None:
    row = clean_one(engine, tmp_path, "geo", {"latitude": latitude, "longitude": longitude})
    assert row is not None
    assert row["coordinates"] == coordinates


@pytest.mark.parametrize(
    ("first", "last", "name"),
    [("Ann", "Lee", "Ann Lee"), ("Ann", None, "Ann"), (None, "Lee", "Lee"), (None, None, None)],
)
def test_a_user_name(
    engine: DuckDBEngine, tmp_path: Path, first: str | None, last: str | None, name: str | None
) -> None:
    row = clean_one(engine, tmp_path, "user", {"first_name": first, "last_name": last})
    assert row is not None
    assert row["user_name"] == name


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
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
    ],
)
def test_what_does_not_fit_is_quarantined(
    engine: DuckDBEngine, tmp_path: Path, table: Table, column: str, value: Any
) -> None:
    assert clean_one(engine, tmp_path, table, {column: value}) is None
