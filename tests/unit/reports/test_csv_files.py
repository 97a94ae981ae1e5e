import csv
from pathlib import Path

import pytest

from pinterest_pipeline.reports.csv_files import FORMULA_STARTS, write_csvs
from tests.unit.reports.sample import Rows


def written(rows: Rows, folder: Path) -> bytes:
    [path] = write_csvs({"answer": rows}, folder)
    return path.read_bytes()


def test_each_answer_is_a_file_of_its_name(answers: dict[str, Rows], tmp_path: Path) -> None:
    paths = write_csvs(answers, tmp_path / "deep" / "csv")
    assert [path.name for path in paths] == [f"{name}.csv" for name in answers]
    with paths[1].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"post_year": "2017", "category": "home-decor", "category_count": "42"}
    assert len(rows) == 7


def test_lines_and_quotes_are_those_of_rfc_4180(tmp_path: Path) -> None:
    text = written([{"a": 'x"y', "b": "1,2"}, {"a": "two\nlines", "b": None}], tmp_path)
    assert text == b'a,b\r\n"x""y","1,2"\r\n"two\nlines",\r\n'


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_text_that_a_spreadsheet_would_run_is_disarmed(start: str, tmp_path: Path) -> None:
    write_csvs({"answer": [{f"{start}name": f"{start}cmd|' /C calc'!A0"}]}, tmp_path)
    with (tmp_path / "answer.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [[f"'{start}name"], [f"'{start}cmd|' /C calc'!A0"]]


def test_numbers_stay_numbers(tmp_path: Path) -> None:
    assert written([{"a": -1, "b": 41500.5}], tmp_path) == b"a,b\r\n-1,41500.5\r\n"


def test_any_text_is_utf_8_and_lists_are_json(tmp_path: Path) -> None:
    assert (
        written([{"a": "Ольга 🌸", "b": [1.5, "ü"]}], tmp_path).decode()
        == 'a,b\r\nОльга 🌸,"[1.5, ""ü""]"\r\n'
    )
    assert written([{"a": "half \ud800 pair"}], tmp_path) == b"a\r\nhalf ? pair\r\n"


def test_an_answer_without_rows_replaces_an_earlier_one(tmp_path: Path) -> None:
    written([{"a": 1}], tmp_path)
    assert written([], tmp_path) == b""
