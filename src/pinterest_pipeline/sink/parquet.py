"""JSON lines as a Parquet file (pure).

JSON brings no schema, so each file's columns are those of its lines: a column is boolean, int64, double or text
when all its values are; else it is text, and holds each value as JSON.
"""

import io
from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

_row_decoder = msgspec.json.Decoder(dict[str, Any])
_SCALARS = (pa.bool_(), pa.int64(), pa.float64(), pa.string())


def parquet_content(lines: Sequence[bytes], codec: str) -> bytes:
    """The file; `codec` is none, uncompressed, gzip, snappy or zstd."""
    rows = [_row_decoder.decode(line) for line in lines]
    names = dict.fromkeys(name for row in rows for name in row)
    table = pa.table({name: _column([row.get(name) for row in rows]) for name in names})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="none" if codec == "uncompressed" else codec)
    return buffer.getvalue()


def _column(values: list[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} or kinds <= {int, float} or kinds <= {str}:
        try:
            found = pa.array(values)
        except (pa.ArrowInvalid, OverflowError):  # a number that no column of numbers keeps as it is
            return _as_json(values)
        return found.cast(pa.string()) if pa.types.is_null(found.type) else _checked(found, values)
    return _as_json(values)


def _checked(found: pa.Array, values: list[Any]) -> pa.Array:
    return found if found.type in _SCALARS else _as_json(values)


def _as_json(values: list[Any]) -> pa.Array:
    texts = [None if value is None else msgspec.json.encode(value).decode() for value in values]
    return pa.array(texts, pa.string())
