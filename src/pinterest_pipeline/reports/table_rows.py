"""The tables of the page as columns and rows of text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pinterest_pipeline.records.names import BRANCHES, Branch
from pinterest_pipeline.records.schemas import POSITION_COLUMNS
from pinterest_pipeline.reports.shapes import Row, is_number, is_ordered, title

FIRST_ROWS: Final = 20  # rows of an answer shown at once
SAMPLE: Final = 20  # quarantined records shown of each branch
LONGEST_RAW: Final = 400  # characters shown of a raw record
LONGEST_CELL: Final = 300  # characters shown of a text


def answer(rows: Sequence[Row]) -> dict[str, Any]:
    """`columns`, and the rows as texts: `first` to be seen at once, `rest` on demand."""
    names = list(rows[0]) if rows else []
    figures = {
        name
        for name in names
        if not is_ordered(name) and all(is_number(row[name], none=True) for row in rows)
    }
    texts = [[_text(row[name], name in figures) for name in names] for row in rows]
    columns = [{"title": title(name), "figure": name in figures} for name in names]
    return {"columns": columns, "first": texts[:FIRST_ROWS], "rest": texts[FIRST_ROWS:]}


def changes(
    counts: Mapping[str, Mapping[str, Mapping[str, int]]], rules: Mapping[str, str]
) -> dict[str, Any]:
    """A row for each table and rule, a column for each branch; a rule counts 0 where it met nothing."""
    branches = [branch for branch in BRANCHES if branch in counts]
    keys = dict.fromkeys(
        (table, rule) for branch in branches for table, found in counts[branch].items() for rule in found
    )
    heads = ["Table", "Rule", *(["What it does"] if rules else [])]
    return {
        "columns": [{"title": head, "figure": False} for head in heads]
        + [{"title": branch.capitalize(), "figure": True} for branch in branches],
        "rows": [
            [table, rule, *([rules.get(rule, "")] if rules else [])]
            + [f"{counts[branch].get(table, {}).get(rule, 0):,}" for branch in branches]
            for table, rule in keys
        ],
    }


def quarantine(rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """A sample of each branch's quarantined records, and a note that says how many were left out."""
    sample = [_quarantined(branch, row) for branch in BRANCHES for row in rows.get(branch, ())[:SAMPLE]]
    total = sum(len(rows.get(branch, ())) for branch in BRANCHES)
    note = f"{len(sample):,} of {total:,} are shown." if len(sample) < total else ""
    return {"rows": sample, "note": note}


def _quarantined(branch: Branch, row: Row) -> dict[str, str]:
    position = [str(row[name]) for name in POSITION_COLUMNS[branch][:3] if row.get(name) is not None]
    return {
        "branch": branch,
        "table": _text(row.get("table_name"), figure=False),
        "position": " / ".join(position) or "unknown",
        "reason": _text(row.get("reason"), figure=False),
        "raw": _cut(str(row["raw"]), LONGEST_RAW) if row.get("raw") is not None else "–",
    }


def _text(value: Any, figure: bool) -> str:
    if value is None:
        return "–"
    if figure:
        return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")
    return _cut(
        json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value), LONGEST_CELL
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"
