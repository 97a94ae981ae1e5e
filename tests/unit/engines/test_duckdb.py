"""What DuckDB alone does: its folder, its memory, its zone."""

import errno
import time
from pathlib import Path

import duckdb
import pytest

from pinterest_pipeline.config import EngineSettings
from pinterest_pipeline.engines.base import Answer
from pinterest_pipeline.engines.duckdb import DuckDBEngine, _answer
from pinterest_pipeline.errors import DiskFull, Fatal
from tests.landing import answers_of, land


def test_dates_are_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        with DuckDBEngine(EngineSettings(threads=1), tmp_path / "spill") as engine:
            post = {
                "pin": {"index": 1, "category": "art"},
                "geo": {"ind": 1, "timestamp": "2019-12-31 23:59:59"},
            }
            answers = answers_of(engine, tmp_path, "batch", [post | {"user": {"ind": 1}}])
            with engine.clean("geo", "batch", [tmp_path / "geo.json"]) as result:
                (row,) = result.rows.read_all().to_pylist()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert row["timestamp"].isoformat() == "2019-12-31T23:59:59+00:00"
    assert answers["category_by_year"] == [{"post_year": 2019, "category": "art", "category_count": 1}]


def test_the_spill_folder_is_removed(tmp_path: Path) -> None:
    with DuckDBEngine(EngineSettings(threads=1), tmp_path / "spill"):
        assert len(list((tmp_path / "spill").iterdir())) == 1
    assert list((tmp_path / "spill").iterdir()) == []


def test_more_rows_than_memory_spill_to_disk(tmp_path: Path) -> None:
    rows = [{"index": n, "title": f"{n}" * 400} for n in range(20_000)]
    file = land(tmp_path / "pin.json", "batch", rows + rows)
    small = EngineSettings(threads=1, memory_limit="100MB")
    with DuckDBEngine(small, tmp_path / "spill") as engine, engine.clean("pin", "batch", [file]) as result:
        assert sum(len(batch) for batch in result.rows) == 20_000


def test_a_line_of_any_size_is_read(tmp_path: Path) -> None:
    """The log takes records of the size it is told, and drift repeats a part of a line in front of it."""
    long = {"index": 1, "title": "t", "colour": "x" * 20 * 2**20}
    file = land(tmp_path / "pin.json", "batch", [{"index": 2}, long, "no row"])
    with (
        DuckDBEngine(EngineSettings(threads=1), tmp_path / "spill") as engine,
        engine.clean("pin", "batch", [file]) as result,
    ):
        assert (result.read, result.good, result.quarantined.num_rows) == (3, 2, 1)


def test_too_little_memory_names_the_setting(tmp_path: Path) -> None:
    file = land(tmp_path / "pin.json", "batch", [{"index": 1, "title": "t"}])
    tiny = EngineSettings(threads=1, memory_limit="1MB")
    with (
        DuckDBEngine(tiny, tmp_path / "spill") as engine,
        pytest.raises(Fatal, match="PINPIPE_ENGINE__MEMORY_LIMIT"),
    ):
        engine.clean("pin", "batch", [file])


def test_no_bar_is_drawn_among_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB draws one on standard output when a query takes longer than two seconds."""
    bars = []

    def look(cursor: duckdb.DuckDBPyConnection, sql: str) -> Answer:
        bars.append(cursor.sql("SELECT current_setting('enable_progress_bar')").fetchall())
        return _answer(cursor, sql)

    monkeypatch.setattr("pinterest_pipeline.engines.duckdb._answer", look)
    with DuckDBEngine(EngineSettings(threads=1), tmp_path / "spill") as engine:
        bars.append(engine._connection.sql("SELECT current_setting('enable_progress_bar')").fetchall())
        engine.answers({"pin": [], "geo": [], "user": []})
    assert bars == [[(False,)]] * 9


def test_a_full_disk_is_told_when_lines_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pinterest_pipeline.engines.rescue._copied", full)
    file = land(tmp_path / "pin.json", "batch", [{"index": 1, "colour": "red"}])
    with DuckDBEngine(EngineSettings(threads=1), tmp_path / "spill") as engine, pytest.raises(DiskFull):
        engine.clean("pin", "batch", [file])
