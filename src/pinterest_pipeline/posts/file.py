"""Posts from a file: one JSON object a line, `{"pin": {…}, "geo": {…}, "user": {…}}`, plain or gzip."""

import gzip
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.records.names import TABLES, Table
from pinterest_pipeline.records.schemas import SOURCE_COLUMNS, SOURCE_KEYS, Post

_GZIP: Final = b"\x1f\x8b"
_TOO_LARGE: Final = 2**63  # no database has larger integers
_KEYS: Final = ("ind", "index")  # rows of the wild carry either, in every table
_DAY_LAST: Final = "%m/%d/%Y, %H:%M:%S"  # the original's own form


class _Line(msgspec.Struct):
    pin: dict[str, Any]
    geo: dict[str, Any]
    user: dict[str, Any]


_decoder: Final = msgspec.json.Decoder(_Line)


def read_posts(path: Path, count: int | None = None) -> Iterator[Post]:
    """The first `count` posts of a file (None: all), as the source database holds them, in the file's order.

    Only the columns of the source are kept, missing ones are None; dates become datetimes without zone (UTC).
    Raises BadInput, which names the line, for what cannot be read, also for a file that was cut off.
    """
    found = False
    for number, line in islice(_lines(path), count):
        found = True
        yield _post(line, f"line {number} of {path}")
    if not found and count != 0:
        raise BadInput(
            f"{path} holds no posts", "it must hold one JSON object a line, with pin, geo and user"
        )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers from 1 on."""
    number = 0
    try:
        with _open(path) as lines:
            for number, line in enumerate(lines, start=1):
                if not line.isspace():
                    yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(
            f"{path} is cut off or damaged after line {number}: {error}", "fetch it again"
        ) from None
    except OSError as error:
        raise BadInput(f"the posts file {path} cannot be read: {error.strerror or error}") from None


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as start:
        compressed = start.read(2) == _GZIP
    return cast(BinaryIO, gzip.open(path)) if compressed else path.open("rb")


def _post(line: bytes, where: str) -> Post:
    try:
        found = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{where} is no post: {error}",
            "each line must be a JSON object with pin, geo and user; was the file cut off?",
        ) from None
    rows = {table: _row(table, getattr(found, table), where) for table in TABLES}
    if len({rows[table][SOURCE_KEYS[table]] for table in TABLES}) > 1:
        raise BadInput(f"{where}: pin, geo and user are not of the same post")
    return Post(pin=rows["pin"], geo=rows["geo"], user=rows["user"])


def _row(table: Table, found: dict[str, Any], where: str) -> dict[str, Any]:
    key = SOURCE_KEYS[table]
    found[key] = next((found[name] for name in _KEYS if found.get(name) is not None), None)
    row = {}
    for column, kind in SOURCE_COLUMNS[table].items():
        try:
            row[column] = _value(kind, found.get(column))
        except (TypeError, ValueError, OverflowError):
            raise BadInput(
                f"{where}: {table}.{column} must be {_WORDS[kind]}, got {found[column]!r:.100}"
            ) from None
    if not isinstance(row[key], int) or row[key] < 0:
        raise BadInput(f"{where}: {table} has no {key}, which must be an integer from 0 on")
    return row


_WORDS: Final = {"int": "an integer", "float": "a number", "text": "a text", "datetime": "a date and time"}


def _value(kind: str, value: Any) -> Any:
    """The value as the source column holds it; raises TypeError or ValueError when it cannot."""
    if value is None:
        return None
    if kind == "datetime":
        return _moment(value)
    if kind == "text":
        return value if isinstance(value, str) else str(_number(value))
    return float(_number(value)) if kind == "float" else _integer(value)


def _number(value: Any) -> int | float:
    if not isinstance(value, int | float):
        raise TypeError
    return value


def _integer(value: Any) -> int:
    if int(_number(value)) != value or abs(value) >= _TOO_LARGE:
        raise ValueError
    return int(value)


def _moment(text: Any) -> datetime:
    """One of the three forms of the wire; whole seconds, without a zone, in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.strptime(text, _DAY_LAST)  # noqa: DTZ007 -- there is no zone to read
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.replace(microsecond=0)
