"""Fields that are not as a table's columns expect them: kept as JSON beside the row, counted, never lost.

A row's rescued text holds, as far as there are any: `letter_case` (fields whose names differ from a column's
only in letter case), `new` (fields of no column) and `retyped` (fields of another JSON type than their
column's), each with the values as they came, and `missing`, the names of columns that are not there at all.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from pinterest_pipeline.records.names import Table
from pinterest_pipeline.records.schemas import RAW, RAW_BASE64, RESCUED, RESERVED, SOURCE_COLUMNS

SAYS: Final = {
    "drift.letter_case": "a field in another letter case than its column: kept in _rescued_data",
    "drift.missing": "a column whose field was not there: null, and named in _rescued_data",
    "drift.new": "a field of no column: kept in _rescued_data",
    "drift.retyped": "a field of another JSON type: as it came in _rescued_data",
}
"""What each kind of drift means, for reports."""
_KEYS: Final = ("ind", "index")
"""The names that a row's key may have."""
_MOST_NAMES: Final = 1_000
_LONGEST_NAME: Final = 80
_OTHERS: Final = "(others)"

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_rescued: Final = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw] | list[str]])
_encoder: Final = msgspec.json.Encoder()
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def rescued_block(table: Table, block: bytes) -> bytes | None:
    """Lines as they are, but a drifted one begins with its rescued text in the field `RESCUED`.

    None when no line has drifted, as usual: to see that costs little. An object that is not read here begins
    with a null, for an engine may read it all the same, and a record may not name its own rescue.
    """
    try:
        _expected(table).decode_lines(block)
    except _UNREADABLE:
        lines = block.split(b"\n")
        found = [_rescued_line(table, line) for line in lines]
        return b"\n".join(found) if found != lines else None
    return None


def rescued(table: Table, line: bytes) -> str | None:
    """The rescued text of one line; None when every field is as expected or the line is no JSON object."""
    return _text(table, _unexpected(table, line))


def counted(texts: Iterable[str]) -> dict[str, int]:
    """How many of the rescued texts name a field, by kind and name: `new colour`; bounded in size."""
    found: Counter[str] = Counter()
    for text in texts:
        for kind, names in _rescued.decode(text).items():
            for name in names:
                _count(found, f"{kind} {_shown(name)}", 1)
    return dict(sorted(found.items()))


def added(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    """The sum of two results of `counted`, as bounded as they are."""
    found = Counter(first)
    for key, count in second.items():
        _count(found, key, count)
    return dict(sorted(found.items()))


def _count(found: Counter[str], key: str, count: int) -> None:
    is_kept = key in found or len(found) < _MOST_NAMES
    found[key if is_kept else f"{key.partition(' ')[0]} {_OTHERS}"] += count


def _shown(name: str) -> str:
    """A name that anybody may have chosen, as a terminal and a report may show it."""
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in name[:_LONGEST_NAME])
    return text if len(name) <= _LONGEST_NAME else f"{text}\u2026"


def kind_counts(drift: Mapping[str, int]) -> dict[str, int]:
    """The counts of `counted` by kind, under the names of `SAYS`."""
    found: Counter[str] = Counter()
    for key, count in drift.items():
        found[f"drift.{key.partition(' ')[0]}"] += count
    return dict(found)


def _unexpected(table: Table, line: bytes) -> dict[str, msgspec.Raw] | None:
    """The fields of a line that is not as expected, none of another one; None when it cannot be read."""
    text = line.strip()  # also of the blanks that are none in JSON
    try:
        _expected(table).decode(text)
    except _UNREADABLE:
        try:
            return _fields.decode(text)
        except _UNREADABLE:
            return None
    return {}


def _rescued_line(table: Table, line: bytes) -> bytes:
    """The field comes first, for of two with one name the first counts."""
    fields, opened = _unexpected(table, line), line.strip()
    text = _text(table, fields)
    is_as_it_was = text is None and fields is not None
    if is_as_it_was or not opened.startswith(b"{"):
        return line
    return _encoder.encode({RESCUED: text})[:-1] + b"," + opened[1:]


def _text(table: Table, fields: Mapping[str, msgspec.Raw] | None) -> str | None:
    if not fields or fields.keys() & {RAW, RAW_BASE64}:
        return None
    columns = SOURCE_COLUMNS[table]
    kinds = columns | dict.fromkeys(_KEYS, "int")
    cases = {name.lower() for name in _known(table)}
    strange = {name: value for name, value in fields.items() if name not in _known(table)}
    found: dict[str, dict[str, msgspec.Raw] | list[str]] = {
        "letter_case": {name: value for name, value in strange.items() if name.lower() in cases},
        "missing": [name for name in columns if name not in _KEYS and name not in fields],
        "new": {name: value for name, value in strange.items() if name.lower() not in cases},
        "retyped": {
            name: fields[name] for name in kinds if name in fields and not _fits(kinds[name], fields[name])
        },
    }
    found = {kind: names for kind, names in found.items() if names}
    return _encoder.encode(found).decode() if found else None


def _fits(kind: str, value: msgspec.Raw) -> bool:
    """Whether a JSON value is of the JSON type of a column of the source, or null."""
    first = bytes(value)[:1]
    return first == b"n" or (first == b'"' if kind in ("text", "datetime") else first in b"-0123456789")


@cache
def _known(table: Table) -> frozenset[str]:
    return RESERVED.union(SOURCE_COLUMNS[table], _KEYS)


@cache
def _expected(table: Table) -> msgspec.json.Decoder[Any]:
    """Refuses every line that `_text` may find something in; it makes no row, so it costs little."""
    types: dict[str, Any] = {
        name: str | None if kind in ("text", "datetime") else float | None
        for name, kind in SOURCE_COLUMNS[table].items()
    }
    keys = {name: types.pop(name, float | None) | msgspec.UnsetType for name in _KEYS}
    optional = keys | dict.fromkeys(sorted(RESERVED), Any)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [*types.items()]
    fields += [(name, kind, msgspec.UNSET) for name, kind in optional.items()]
    return msgspec.json.Decoder(
        msgspec.defstruct(f"_{table}", fields, forbid_unknown_fields=True, gc=False, frozen=True)
    )
