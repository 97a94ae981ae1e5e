"""One check for each form that is expected of a row: reasons and expectations are made of them."""

from dataclasses import dataclass
from typing import Final

from pinterest_pipeline.cleaning.rules import CONVERSIONS, POSITIONS, Conversion, literal
from pinterest_pipeline.records.names import Branch, Table
from pinterest_pipeline.records.schemas import RAW, RAW_BASE64

_SHOWN: Final = 100  # characters of a wrong value that a reason repeats


@dataclass(frozen=True, slots=True)
class Check:
    """`fails` (never null) and `reason` are Spark SQL over the typed columns of `clean_steps`."""

    name: str
    fails: str
    reason: str


def checks_of(table: Table, branch: Branch) -> tuple[Check, ...]:
    """All checks of a row, in the order in which the first that fails is its reason."""
    conversions = (*POSITIONS[branch], *CONVERSIONS[table])
    whole = (_value("a readable JSON object", RAW), _value("UTF-8 text", RAW_BASE64))
    missing = tuple(_missing(conversion) for conversion in conversions if conversion.required)
    return (*whole, *missing, *map(_unfit, conversions))


def expectations(table: Table, branch: Branch) -> dict[str, str]:
    """Name -> predicate: a row that holds all of them is clean, any other one belongs in quarantine."""
    return {check.name: f"NOT ({check.fails})" for check in checks_of(table, branch)}


def _value(expected: str, column: str) -> Check:
    return Check(f"value: {expected}", f"`{column}` IS NOT NULL", _wrong("value", expected, column))


def _missing(conversion: Conversion) -> Check:
    column, expected = conversion.column, conversion.expected
    reason = literal(f"{column}: expected {expected}, got nothing")
    return Check(f"{column}: present", f"`_text_{column}` IS NULL", reason)


def _unfit(conversion: Conversion) -> Check:
    column, expected = conversion.column, conversion.expected
    fails = f"`{column}` IS NULL AND `_text_{column}` IS NOT NULL"
    return Check(f"{column}: {expected}", fails, _wrong(column, expected, f"_text_{column}"))


def _wrong(column: str, expected: str, found: str) -> str:
    begin = literal(f'{column}: expected {expected}, got "')
    return f"CONCAT({begin}, SUBSTRING(`{found}`, 1, {_SHOWN}), '\"')"
