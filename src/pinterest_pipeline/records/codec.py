"""How a row is written on the wire, and how a record is written as one line of an object."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from pinterest_pipeline.records.schemas import POSITION_COLUMNS, RAW, RAW_BASE64

RESERVED: Final = frozenset({RAW, RAW_BASE64}.union(*POSITION_COLUMNS.values()))

_encoder = msgspec.json.Encoder()
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def wire_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A source row as it travels: datetimes in ISO form without a zone, numbers and texts as they are."""
    return {
        name: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
        for name, value in row.items()
    }


def landed_line(value: bytes | None, position: bytes) -> bytes:
    """One line of an object: the record's own JSON object with its position fields added, or its raw text.

    `position` is the JSON object of the position fields without its opening brace, e.g. `"_offset":7}`.
    A value that is not a JSON object, or that brings a field of a reserved name, is kept whole under `_raw`.
    """
    if value is None:
        return b'{"_raw":null,' + position
    try:
        value.decode()  # the decoder below skips over nested values without looking at their text
        fields = _object_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _raw_line(value, position)
    if not RESERVED.isdisjoint(fields):
        return _raw_line(value, position)
    text = value.strip(b" \t\r\n")
    if b"\n" in text or b"\r" in text:  # only between tokens: inside JSON strings they are always escaped
        text = msgspec.json.format(text, indent=-1)
    separator = b"," if fields else b""
    return text[:-1] + separator + position


def _raw_line(value: bytes, position: bytes) -> bytes:
    try:
        raw = {RAW: value.decode()}
    except UnicodeDecodeError:
        raw = {RAW_BASE64: base64.b64encode(value).decode()}
    return _encoder.encode(raw)[:-1] + b"," + position


def position_suffix(position: Mapping[str, Any]) -> bytes:
    """The position fields as `landed_line` takes them."""
    return _encoder.encode(position)[1:]
