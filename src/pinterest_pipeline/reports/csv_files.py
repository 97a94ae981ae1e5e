"""Each answer as one CSV file (RFC 4180, UTF-8) that a spreadsheet opens without running anything in it."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

# A spreadsheet takes a cell that begins so for a formula; posters choose their names themselves.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csvs(answers: Mapping[str, Sequence[Mapping[str, object]]], folder: Path) -> list[Path]:
    """Write `<folder>/<name>.csv` for each answer of one branch and return the paths in the same order.

    The folder is made if need be and files of an earlier run are replaced. An answer without rows gives an
    empty file, since its columns are not known. Raises OSError when a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / f"{name}.csv", rows) for name, rows in answers.items()]


def _write(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    # A lone half of a surrogate pair is no character and has no UTF-8 form: it becomes a question mark.
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        if rows:
            writer.writerow(_cells(rows[0]))
            writer.writerows(_cells(row.values()) for row in rows)
    return path


def _cells(values: Iterable[object]) -> list[object]:
    return [_cell(value) for value in values]


def _cell(value: object) -> object:
    """A null as an empty cell, a number as it is, a list as JSON, text with its formula start disarmed."""
    if value is None or isinstance(value, (int, float)):
        return value
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
