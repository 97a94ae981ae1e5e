"""How records become the bytes of an object: JSON lines, raw bytes, Parquet (pure).

The same records and the same shape always give the same bytes: a plan is finished by making them again.
"""

import base64
import gzip
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from pinterest_pipeline.eventlog.base import Headers, StoredRecord
from pinterest_pipeline.records.codec import landed_line, open_object
from pinterest_pipeline.sink.parquet import check_row, parquet_content
from pinterest_pipeline.sink.poison import Poison
from pinterest_pipeline.sink.shape import NO_POSITIONS, Positions, Shape

Write = Callable[[StoredRecord], bytes]
"""One record as one item of an object; raises Poison."""

_JSON_CONVERTER: Final = "org.apache.kafka.connect.json.JsonConverter"
_STRING_CONVERTER: Final = "org.apache.kafka.connect.storage.StringConverter"
_PARQUET_FORMAT: Final = "io.confluent.connect.s3.format.parquet.ParquetFormat"
_INSERT_FIELD: Final = "org.apache.kafka.connect.transforms.InsertField$Value"
_encoder = msgspec.json.Encoder()
_raw_decoder = msgspec.json.Decoder(msgspec.Raw)
_CODEC_EXTENSIONS: Final = {"none": "", "gzip": ".gz", "snappy": ".snappy", "zstd": ".zstd"}


def value_writer(topic: str, partition: int, shape: Shape) -> Write:
    """What writes values of one topic-partition."""
    write = _line_writer(topic, partition, shape)
    return _row_writer(write) if shape.format == "parquet" else write


def _line_writer(topic: str, partition: int, shape: Shape) -> Write:
    if shape.format == "bytes":
        return lambda record: record.value or b""
    if shape.converter != "json":
        return lambda record: _converted(record.value, shape.converter)
    if shape.positions == NO_POSITIONS:
        return lambda record: _converted(record.value, "json")
    position = _position_writer(topic, partition, shape.positions)
    return _positioned_writer(position, keep=shape.errors == "keep")


def key_item(record: StoredRecord, shape: Shape) -> bytes:
    if shape.keys == "bytes":
        return record.key or b""
    return _converted(record.key, shape.key_converter)


def headers_item(headers: Headers) -> bytes:
    """Headers as Connect's JSON has them: `[{"key":"a","value":"1"}]`, bytes that are no text in base64."""
    return _encoder.encode([{"key": name, "value": _text(value)} for name, value in headers])


def value_content(items: Sequence[bytes], shape: Shape) -> bytes:
    if shape.format == "parquet":
        return parquet_content(items, shape.codec)
    separator = shape.separator.encode() if shape.format == "bytes" else b"\n"
    return _compressed(_ended(items, separator), shape)


def side_content(items: Sequence[bytes], is_json: bool, shape: Shape) -> bytes:
    """An object of keys or headers."""
    return _compressed(_ended(items, b"\n" if is_json else shape.separator.encode()), shape)


def value_extension(shape: Shape) -> str:
    if shape.format == "parquet":
        return f"{_CODEC_EXTENSIONS[shape.codec]}.parquet"
    return side_extension(shape.format == "json", shape)


def side_extension(is_json: bool, shape: Shape) -> str:
    return (".json" if is_json else shape.extension) + (".gz" if shape.gzip_level is not None else "")


def _position_writer(topic: str, partition: int, positions: Positions) -> Write:
    """What writes the position fields, in the order of InsertField, and closes the object."""
    fields = [
        (positions.topic, _escaped(topic)),
        (positions.partition, b"%d" % partition),
        (positions.offset, b"%d"),
        (positions.timestamp, b"%d"),
    ]
    template = b",".join(_escaped(name) + b":" + value for name, value in fields if name) + b"}"
    if positions.offset and positions.timestamp:
        return lambda record: template % (record.offset, record.timestamp)
    if positions.offset:
        return lambda record: template % record.offset
    if positions.timestamp:
        return lambda record: template % record.timestamp
    return lambda record: template % ()


def _escaped(text: str) -> bytes:
    return _encoder.encode(text).replace(b"%", b"%%")


def _positioned_writer(position: Write, *, keep: bool) -> Write:
    def strict(record: StoredRecord) -> bytes:
        opened = open_object(record.value or b"")
        if opened is None:
            raise _not_an_object(record.value or b"")
        return opened + position(record)

    return (lambda record: landed_line(record.value, position(record))) if keep else strict


def _row_writer(write: Write) -> Write:
    """Lines that Parquet can take: a single other one would spoil the object of all."""

    def row(record: StoredRecord) -> bytes:
        line = write(record)
        try:
            check_row(line)
        except msgspec.DecodeError as error:
            raise Poison(f"the value is no row of Parquet: {error}", _PARQUET_FORMAT) from None
        return line

    return row


def _not_an_object(value: bytes) -> Poison:
    """As Connect tells them apart: what is no JSON fails in the converter, what is no object later."""
    _converted(value, "json")
    return Poison(
        "the value is no JSON object, or brings a field of a reserved name", _INSERT_FIELD, "TRANSFORMATION"
    )


def _converted(value: bytes | None, converter: str) -> bytes:
    """A value as one line of JSON; raises Poison."""
    if value is None:
        return b"null"
    if converter == "bytes":
        return b'"' + base64.b64encode(value) + b'"'
    try:
        text = value.decode()
        if converter == "string":
            return _encoder.encode(text)
        raw = bytes(_raw_decoder.decode(value)).strip(b" \t\r\n")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        component = _STRING_CONVERTER if converter == "string" else _JSON_CONVERTER
        raise Poison(f"the value is no {converter}: {error}", component, "VALUE_CONVERTER") from None
    return msgspec.json.format(raw, indent=-1) if 10 in raw or 13 in raw else raw


def _text(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _ended(items: Sequence[bytes], separator: bytes) -> bytes:
    return separator.join([*items, b""])


def _compressed(content: bytes, shape: Shape) -> bytes:
    return content if shape.gzip_level is None else gzip.compress(content, shape.gzip_level, mtime=0)
