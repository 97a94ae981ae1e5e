"""In which folder a record lands: Confluent's partitioners (pure).

https://docs.confluent.io/kafka-connectors/s3-sink/current/overview.html#s3-object-partitioning
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from pinterest_pipeline.eventlog.base import StoredRecord
from pinterest_pipeline.sink.path_format import bucket, formatter, time_zone
from pinterest_pipeline.sink.poison import Poison
from pinterest_pipeline.sink.shape import Shape

Extract = Callable[[StoredRecord], int]
"""Milliseconds since 1970; raises Poison."""
Encode = Callable[[StoredRecord], str]
"""The encoded partition; raises Poison."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
PARTITIONERS: Final = "io.confluent.connect.storage.partitioner"
_UNSAFE: Final = {
    ord(character): f"%{ord(character):02X}" for character in [*map(chr, range(32)), *'/\\%"\x7f\ufffe\uffff']
}
_decoder = msgspec.json.Decoder()


def encoder(shape: Shape, wallclock_ms: int) -> Encode:
    """What gives each record its encoded partition; `wallclock_ms` is what Wallclock gives."""
    if shape.partitioner == "field":
        return lambda record: _by_fields(record, shape)
    if shape.partitioner == "time":
        return _by_time(shape, extractor(shape, wallclock_ms))
    return lambda record: f"partition={record.partition}"


def extractor(shape: Shape, wallclock_ms: int) -> Extract:
    """What gives each record its time."""
    if shape.extractor == "record":
        return lambda record: record.timestamp
    if shape.extractor == "record_field":
        return lambda record: _time_in(record, shape.timestamp_field)
    return lambda record: wallclock_ms


def _by_time(shape: Shape, extract: Extract) -> Encode:
    zone, write = time_zone(shape.timezone), formatter(shape.path_format, shape.locale)

    @lru_cache(maxsize=1024)
    def folder(second: int) -> str:
        return write(bucket(second * 1000, shape.duration_ms, zone))

    @lru_cache(maxsize=1024)
    def exact_folder(milliseconds: int) -> str:
        return write(bucket(milliseconds, shape.duration_ms, zone))

    whole_seconds = shape.duration_ms % 1000 == 0

    def encode(record: StoredRecord) -> str:
        milliseconds = extract(record)
        try:
            return folder(milliseconds // 1000) if whole_seconds else exact_folder(milliseconds)
        except OverflowError:
            raise Poison(f"the time {milliseconds} ms is outside the years 1 to 9999", PARTITIONERS) from None

    return encode


def _by_fields(record: StoredRecord, shape: Shape) -> str:
    row = _row(record)
    return shape.directory_delimiter.join(f"{name}={_folder_text(row, name)}" for name in shape.fields)


def _folder_text(row: Mapping[str, Any], name: str) -> str:
    value = _field(row, name)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value.translate(_UNSAFE)
    raise Poison(
        f"the field '{name}' is {_kind(value)}, which names no folder", f"{PARTITIONERS}.FieldPartitioner"
    )


def _time_in(record: StoredRecord, name: str) -> int:
    value = _field(_row(record), name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise Poison(f"the field '{name}' is no ISO 8601 time: {value[:80]!r}", PARTITIONERS) from None
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (zoned - _EPOCH) // _MILLISECOND
    raise Poison(
        f"the field '{name}' is {_kind(value)}, which is no time", f"{PARTITIONERS}.TimeBasedPartitioner"
    )


def _row(record: StoredRecord) -> Mapping[str, Any]:
    try:
        row = _decoder.decode(record.value or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise Poison("the value is no JSON object, so it has no field to go by", PARTITIONERS)
    return row


def _field(row: Mapping[str, Any], name: str) -> Any:
    """A field by its name, or by the path `a.b` into nested objects."""
    if name in row:
        return row[name]
    value: Any = row
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _kind(value: Any) -> str:
    names = {type(None): "missing or null", dict: "an object", list: "an array", float: "a fraction"}
    return names.get(type(value), type(value).__name__)
