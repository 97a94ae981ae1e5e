"""The rules written out as Spark SQL: one projection from raw text to clean columns."""

from collections.abc import Iterable, Sequence
from typing import Final

from pinterest_pipeline.cleaning.checks import checks_of
from pinterest_pipeline.cleaning.rules import CLEAN_COLUMNS, CONVERSIONS, POSITIONS, Rule, rules_of
from pinterest_pipeline.records.names import Branch, Table
from pinterest_pipeline.records.schemas import POSITION_COLUMNS, RAW, RAW_BASE64, RESCUED, SOURCE_COLUMNS

_NEWEST_FIRST: Final[dict[Branch, tuple[str, ...]]] = {
    "batch": ("`_timestamp` DESC", "`_partition` DESC", "`_offset` DESC"),
    # Sequence numbers are numbers in text form: the longer is the larger.
    "stream": ("`_timestamp` DESC", "`_shard` DESC", "LENGTH(`_sequence`) DESC", "`_sequence` DESC"),
}


def raw_columns(table: Table, branch: Branch) -> tuple[str, ...]:
    """The columns of the raw relation, all text: `ind` under both its names, the row's own, position.

    Beside them it has the column `RESCUED`, which is no field of a record.
    """
    own = [name for name in SOURCE_COLUMNS[table] if name not in ("ind", "index")]
    return ("ind", "index", *own, RAW, RAW_BASE64, *POSITION_COLUMNS[branch])


def clean_columns(table: Table, branch: Branch) -> tuple[str, ...]:
    """The columns of the clean table: a row's own, its position, what was rescued of its record."""
    return (*CLEAN_COLUMNS[table], *POSITION_COLUMNS[branch], RESCUED)


def newest_first(branch: Branch) -> list[str]:
    """ORDER BY expressions over a clean table that put the newest position of an `ind` first."""
    return list(_NEWEST_FIRST[branch])


def newness(branch: Branch, alias: str = "") -> str:
    """Spark SQL for the position of a row of a clean table as one value: the larger, the newer."""
    columns = [f"`{name}`" for name in POSITION_COLUMNS[branch]]
    parts = [part.removesuffix(" DESC") for part in newest_first(branch)]
    if alias:
        for column in columns:
            parts = [part.replace(column, f"{alias}.{column}") for part in parts]
    return f"STRUCT({', '.join(parts)})"


def clean_select(table: Table, branch: Branch, source: str, carry: Sequence[str] = ()) -> str:
    """Spark SQL that cleans the raw relation `source`, row by row: a stream has no DISTINCT, no window.

    Gives the columns of `clean_columns`, then `carry` as they are in the source, then
    `_ind`     the row's `ind` as the text it was found as,
    `_rules`   int, bit n set: rule n of `rules_of(table)` replaced a value,
    `_reason`  why the row belongs in quarantine; null when it is good.
    """
    inner = source
    for columns in clean_steps(table, branch, carry):
        sql = _select(columns, inner)
        inner = f"(\n{sql}\n)"
    return sql


def clean_steps(table: Table, branch: Branch, carry: Sequence[str] = ()) -> tuple[list[str], ...]:
    """The three projections that `clean_select` puts into each other, for frames instead of SQL.

    First the rules; then each column in its type beside its text, as a `Check` needs it; then the result.
    """
    kept = [f"`{name}`" for name in carry]
    return (_ruled(table, branch, kept), _converted(table, branch, kept), _finished(table, branch, kept))


def is_before(moment: int | None) -> str:
    """Spark SQL over the result of `clean_select`: whether a row came before a moment (ms since 1970).

    One without a time stays, for it belongs in quarantine; without a moment all stay.
    """
    return "TRUE" if moment is None else f"(`_timestamp` IS NULL OR `_timestamp` < {moment})"


def changes_select(table: Table, source: str) -> str:
    """Spark SQL over the result of `clean_select`: one row, one count per rule, over the good rows."""
    counts = [
        f"COUNT(CASE WHEN `_reason` IS NULL AND (`_rules` & {1 << bit}) <> 0 THEN 1 END) AS `{rule.id}`"
        for bit, rule in enumerate(rules_of(table))
    ]
    return _select(counts or ["COUNT(*) AS `rows`"], source)


def _ruled(table: Table, branch: Branch, kept: Sequence[str]) -> list[str]:
    """Raw text with the rules applied, still text."""
    rules = rules_of(table)
    columns = []
    for name in raw_columns(table, branch):
        mine = [rule for rule in rules if rule.column == name]
        if name == "ind":
            columns.append("COALESCE(`ind`, `index`) AS `ind`")
        elif name != "index":
            columns.append(f"{_replaced(name, mine)} AS `{name}`" if mine else f"`{name}`")
    return [*columns, f"{_mask(rules)} AS `_rules`", f"`{RESCUED}`", *kept]


def _replaced(column: str, rules: Iterable[Rule]) -> str:
    branches = " ".join(f"WHEN {rule.when} THEN {rule.then}" for rule in rules)
    return f"CASE {branches} ELSE `{column}` END"


def _mask(rules: Sequence[Rule]) -> str:
    columns = dict.fromkeys(rule.column for rule in rules)
    masks = []
    for column in columns:
        branches = " ".join(
            f"WHEN {rule.when} THEN {1 << bit}" for bit, rule in enumerate(rules) if rule.column == column
        )
        masks.append(f"CASE {branches} ELSE 0 END")
    return " + ".join(masks) or "0"


def _converted(table: Table, branch: Branch, kept: Sequence[str]) -> list[str]:
    """Every column in its type, beside the text it was read from."""
    conversions = (*POSITIONS[branch], *CONVERSIONS[table])
    typed = {conversion.column: conversion for conversion in conversions}
    plain = [f"`{name}`" for name in SOURCE_COLUMNS[table] if name not in typed and name != "index"]
    converted = [f"{c.sql} AS `{c.column}`" for c in conversions]
    texts = [f"`{c.column}` AS `_text_{c.column}`" for c in conversions]
    return [
        *plain,
        *converted,
        *texts,
        *(f"`{name}`" for name in (RAW, RAW_BASE64, "_rules", RESCUED)),
        *kept,
    ]


def _finished(table: Table, branch: Branch, kept: Sequence[str]) -> list[str]:
    finals = [f"{sql} AS `{name}`" for name, sql in CLEAN_COLUMNS[table].items()]
    positions = [f"`{name}`" for name in POSITION_COLUMNS[branch]]
    marks = ["`_text_ind` AS `_ind`", "`_rules`", f"{_reason(table, branch)} AS `_reason`"]
    return [*finals, *positions, f"`{RESCUED}`", *kept, *marks]


def _reason(table: Table, branch: Branch) -> str:
    failures = [f"WHEN {check.fails} THEN {check.reason}" for check in checks_of(table, branch)]
    return "CASE\n  " + "\n  ".join(failures) + "\nEND"


def _select(columns: Iterable[str], source: str) -> str:
    return "SELECT\n  " + ",\n  ".join(columns) + f"\nFROM {source}"
