"""Bodies of requests as records of the log, or as the fault to answer with (pure).

Only valid JSON in UTF-8 becomes a record, byte for byte as it was sent; blanks around a value are not part
of it. The decoder reads no further into a value than its syntax (this already refuses NaN, lone surrogates
and too deep nesting), so the encoding of the whole body is checked first.
"""

import re
from typing import Annotated, Any, Final, TypeVar

import msgspec

from pinterest_pipeline.eventlog.base import Headers, Record
from pinterest_pipeline.gateway.error_codes import INVALID_NAME, MISSING_VALUE, NOT_JSON, TOO_LARGE, Fault

T = TypeVar("T")

_TOPIC_NAME: Final = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")
_STREAM_NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_NULL: Final = msgspec.Raw(b"null")
_MAX_SHARDS: Final = 1_000
_MAX_PARTITION_KEY: Final = 256
MAX_PUT_RECORDS: Final = 500
"""Kinesis takes no more records in one request."""


class ProduceRecord(msgspec.Struct, forbid_unknown_fields=True):
    value: msgspec.Raw = _NULL
    key: msgspec.Raw = _NULL
    partition: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Produce(msgspec.Struct, forbid_unknown_fields=True):
    records: list[ProduceRecord]
    key_schema: Any = None  # what follows belongs to formats with a schema; JSON takes and ignores it
    key_schema_id: Any = None
    value_schema: Any = None
    value_schema_id: Any = None


class PutRecord(msgspec.Struct):
    data: msgspec.Raw = msgspec.field(name="Data")
    key: str | int = msgspec.field(name="PartitionKey")


class PutRecordsEntry(msgspec.Struct):
    data: msgspec.Raw
    key: str | int = msgspec.field(name="partition-key")


class PutRecords(msgspec.Struct):
    records: list[PutRecordsEntry]


class CreateStream(msgspec.Struct):
    shards: Annotated[int, msgspec.Meta(ge=1, le=_MAX_SHARDS)] | None = msgspec.field(
        name="ShardCount", default=None
    )


_produce: Final = msgspec.json.Decoder(Produce)
_put_record: Final = msgspec.json.Decoder(PutRecord)
_put_records: Final = msgspec.json.Decoder(PutRecords)
_create_stream: Final = msgspec.json.Decoder(CreateStream)
_text: Final = msgspec.json.Decoder(str)


def topic_fault(name: str) -> Fault | None:
    """What is wrong with a topic's name."""
    if _TOPIC_NAME.fullmatch(name):
        return None
    return Fault(
        INVALID_NAME, "a topic's name has 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-'"
    )


def stream_fault(name: str) -> Fault | None:
    """What is wrong with a stream's name."""
    if _STREAM_NAME.fullmatch(name):
        return None
    return Fault(
        INVALID_NAME, "a stream's name has 1 to 128 of the characters a-z, A-Z, 0-9, '.', '_' and '-'"
    )


def produced(body: bytes, max_records: int, headers: Headers = ()) -> list[Record] | Fault:
    """The records of `{"records":[{"value":…,"key"?:…,"partition"?:n}]}`; a value of null is a tombstone."""
    request = _decoded(_produce, body)
    if isinstance(request, Fault):
        return request
    fault = _count_fault(len(request.records), max_records)
    if fault is not None:
        return fault
    return [
        Record(_unless_null(record.value), _key(bytes(record.key)), record.partition, headers=headers)
        for record in request.records
    ]


def put_record(body: bytes, headers: Headers = ()) -> list[Record] | Fault:
    """The one record of `{"Data":…,"PartitionKey":"…"}`; other fields are left alone."""
    request = _decoded(_put_record, body)
    if isinstance(request, Fault):
        return request
    record = _stream_record(request.data, request.key, headers)
    return record if isinstance(record, Fault) else [record]


def put_records(body: bytes, max_records: int, headers: Headers = ()) -> list[Record] | Fault:
    """The records of `{"records":[{"data":…,"partition-key":"…"}]}`; other fields are left alone."""
    request = _decoded(_put_records, body)
    if isinstance(request, Fault):
        return request
    fault = _count_fault(len(request.records), min(max_records, MAX_PUT_RECORDS))
    if fault is not None:
        return fault
    records: list[Record] = []
    for number, entry in enumerate(request.records):
        record = _stream_record(entry.data, entry.key, headers)
        if isinstance(record, Fault):
            return Fault(record.kind, f"records[{number}]: {record.message}")
        records.append(record)
    return records


def shard_count(body: bytes, default: int) -> int | Fault:
    """The shards asked for by `{"ShardCount":n}`, or the default when the body says nothing."""
    request = _decoded(_create_stream, body or b"{}")
    if isinstance(request, Fault):
        return request
    return default if request.shards is None else request.shards


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T | Fault:
    try:
        if not body.isascii():
            body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        return Fault(MISSING_VALUE, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Fault(NOT_JSON, f"the body is not valid JSON: {error}")
    except RecursionError:
        return Fault(NOT_JSON, "the body is nested too deeply")


def _count_fault(count: int, most: int) -> Fault | None:
    if count == 0:
        return Fault(MISSING_VALUE, "records must not be empty")
    if count > most:
        return Fault(TOO_LARGE, f"the request has {count} records, {most} are taken; send them in several")
    return None


def _unless_null(raw: msgspec.Raw) -> bytes | None:
    value = bytes(raw)
    return None if value == b"null" else value


def _key(raw: bytes) -> bytes | None:
    """A key as JSON in one form only, so that equal keys meet in one partition however they were written."""
    if raw == b"null":
        return None
    if not raw.startswith(b'"'):
        return msgspec.json.format(raw, indent=-1)
    return msgspec.json.encode(_text.decode(raw)) if b"\\" in raw else raw


def _stream_record(data: msgspec.Raw, key: str | int, headers: Headers) -> Record | Fault:
    """A record of a stream: the text of a string, the JSON of anything else; a number may be the key."""
    value = _unless_null(data)
    if value is None:
        return Fault(MISSING_VALUE, "the data must not be null")
    partition_key = str(key)
    if not 1 <= len(partition_key) <= _MAX_PARTITION_KEY:
        return Fault(MISSING_VALUE, f"a partition key has 1 to {_MAX_PARTITION_KEY} characters")
    if value.startswith(b'"'):
        value = _text.decode(value).encode()
    return Record(value, partition_key.encode(), headers=headers)
