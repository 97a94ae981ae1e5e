"""The lines that could not be cleaned, as they stand in their files: rare, so read once more in Python."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinterest_pipeline.records.names import Branch, Table
from pinterest_pipeline.records.schemas import POSITION_COLUMNS


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line by its place among its file's lines (from 1, blank ones not counted), and why it is bad."""

    place: int
    reason: str
    ind: str | None
    position: tuple[Any, ...]


def quarantine_rows(
    table: Table, branch: Branch, file: Path, bad: Iterable[BadLine]
) -> Iterator[dict[str, Any]]:
    """The rows of the quarantine for the bad lines of one file."""
    wanted = {line.place: line for line in bad}
    with file.open("rb") as lines:
        for place, (number, text) in enumerate(numbered(lines), start=1):
            if place in wanted:
                yield _row(table, branch, wanted[place], f"line {number} of {file.name}", text)


def numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Every line that is not blank, without blanks around it, with its number from 1."""
    for number, line in enumerate(lines, start=1):
        if text := line.strip():
            yield number, text


def _row(table: Table, branch: Branch, bad: BadLine, where: str, text: bytes) -> dict[str, Any]:
    names = POSITION_COLUMNS[branch]
    row = {
        "table_name": table,
        "ind": bad.ind,
        "reason": bad.reason,
        "raw": shown(text),
        **dict(zip(names, bad.position, strict=True)),
    }
    if bad.ind is None and not any(value is not None for value in bad.position):
        row |= rescued(branch, where, text)
    return row


def shown(text: bytes) -> str:
    """A line as text; a byte that is no UTF-8 by its number."""
    return text.decode("utf-8", errors="backslashreplace")


def rescued(branch: Branch, where: str, text: bytes) -> dict[str, Any]:
    """What can be said of a line in which the engine saw no field: often it is no JSON object at all.

    A lone surrogate makes engines refuse a line that Python reads: then the position can be saved.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return {"reason": f"{where}: expected a JSON object"}
    if not fields.keys() & {*POSITION_COLUMNS[branch], "ind", "index"}:
        return {}
    ind = fields.get("ind", fields.get("index"))
    saved = {"ind": None if ind is None else str(ind), **_saved_position(branch, fields)}
    return {"reason": f"{where}: expected JSON in sound Unicode", **saved}


def _saved_position(branch: Branch, fields: dict[str, Any]) -> dict[str, Any]:
    kinds = {"_partition": int, "_offset": int, "_timestamp": int}
    return {
        name: fields[name]
        for name in POSITION_COLUMNS[branch]
        if isinstance(fields.get(name), kinds.get(name, str)) and not isinstance(fields[name], bool)
    }
