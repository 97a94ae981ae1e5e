"""JSON lines as a Parquet file (pure).

JSON brings no schema, so each file's columns are those of its lines: a column is boolean, int64, double or
text when all its values are; else it is text, and holds each value as JSON. Lines without any field at all
make a column of nulls, for Parquet keeps no rows without one, and readers refuse the file.
"""

import io
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

_NO_FIELD: Final = "_empty"
_row_decoder = msgspec.json.Decoder(dict[str, Any])
Codec = Literal["none", "gzip", "snappy", "zstd"]


def check_row(line: bytes) -> None:
    """Raises msgspec.DecodeError for a line that is no row: no object, or with a number beyond a double's."""
    _row_decoder.decode(line)


def parquet_content(lines: Sequence[bytes], codec: Codec) -> bytes:
    """The file as Parquet's `codec` packs it."""
    rows = [_row_decoder.decode(line) for line in lines]
    names = dict.fromkeys(name for row in rows for name in row) or {_NO_FIELD: None}
    table = pa.table({name: _column([row.get(name) for row in rows]) for name in names})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression=codec)
    return buffer.getvalue()


def _column(values: list[Any]) -> "pa.Array[Any]":
    kinds = {type(value) for value in values if value is not None}
    if not kinds or not (kinds <= {bool} or kinds <= {int, float} or kinds <= {str}):
        return _as_json(values)
    try:
        return pa.array(values, pa.string()) if str in kinds else pa.array(values)
    except (pa.ArrowInvalid, OverflowError):  # a number that no column of numbers keeps as it is
        return _as_json(values)


def _as_json(values: list[Any]) -> "pa.Array[Any]":
    texts = [None if value is None else msgspec.json.encode(value).decode() for value in values]
    return pa.array(texts, pa.string())
