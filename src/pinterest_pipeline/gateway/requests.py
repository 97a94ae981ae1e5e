"""Bodies of requests as records of the log, or as the fault to answer with (pure).

Only valid JSON in UTF-8 becomes a record, byte for byte as it was sent; blanks around a value are not part
of it. The decoder reads no further into a value than its syntax (this already refuses NaN, lone surrogates
and too deep nesting), so the encoding of the whole body is checked first.
"""

import re
from typing import Annotated, Any, Final, TypeVar

import msgspec

from pinterest_pipeline.eventlog.base import Headers, Record
from pinterest_pipeline.gateway import encodings
from pinterest_pipeline.gateway.error_codes import (
    FORBIDDEN,
    INVALID_NAME,
    MISSING_VALUE,
    NOT_JSON,
    TOO_LARGE,
    Fault,
)

T = TypeVar("T")
B = TypeVar("B", "Produce", "ProduceBinary", "PutRecords")

_TOPIC_NAME: Final = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")
_STREAM_NAME: Final = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9_.-]{1,128}")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_BACKSLASH: Final = ord("\\")  # a number is found in bytes several times faster than bytes are
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
_HALF_A_PAIR: Final = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
"""An escape of a surrogate that is alone.

Both kinds begin alike, so that a body without one is passed over quickly (measured: 10 MB in 4 ms, not 600).
"""
_MAX_SHARDS: Final = 1_000
_MAX_PARTITION_KEY: Final = 256
INTERNAL: Final = "__"
"""How the names of the cluster's own topics begin, as `__consumer_offsets`."""

_UNCOUNTED_BYTES: Final = 2**17
"""Of a body as small as this, all records may be made before they are counted: 8 MB at most."""

MAX_PUT_RECORDS: Final = 500
"""Kinesis takes no more records in one request."""


PartitionNumber = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 2)]


class ProduceRecord(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A record as JSON; a value of null is a tombstone, and what is left out is the empty text here."""

    value: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    key: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    partition: PartitionNumber | None = None


class BinaryRecord(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A record in base64; a value of null is a tombstone."""

    value: bytes | None = None
    key: bytes | None = None
    partition: PartitionNumber | None = None


class _Produce(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    key_schema: Any = None  # these belong to formats with a schema; the others take and ignore them
    key_schema_id: Any = None
    value_schema: Any = None
    value_schema_id: Any = None


class Produce(_Produce, kw_only=True):
    """Records to append, as JSON."""

    records: list[ProduceRecord]


class ProduceBinary(_Produce, kw_only=True):
    """Records to append, in base64."""

    records: list[BinaryRecord]


_PartitionKey = (
    Annotated[str, msgspec.Meta(extra_json_schema={"minLength": 1, "maxLength": _MAX_PARTITION_KEY})] | int
)
_Data = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"not": {"type": "null"}})]


class PutRecord(msgspec.Struct):
    """The record of PutRecord: the text of a string, the JSON of anything else."""

    data: _Data = msgspec.field(name="Data")
    key: _PartitionKey = msgspec.field(name="PartitionKey")


class PutRecordsEntry(msgspec.Struct):
    """A record of PutRecords."""

    data: _Data
    key: _PartitionKey = msgspec.field(name="partition-key")


_Entries = Annotated[
    list[PutRecordsEntry],
    msgspec.Meta(extra_json_schema={"minItems": 1, "maxItems": MAX_PUT_RECORDS}),
]


class PutRecords(msgspec.Struct):
    """The records of PutRecords."""

    records: _Entries


class CreateStream(msgspec.Struct):
    """The stream to be; the gateway's own number of shards when it says none."""

    shards: Annotated[int, msgspec.Meta(ge=1, le=_MAX_SHARDS)] | None = msgspec.field(
        name="ShardCount", default=None
    )


_produce: Final = msgspec.json.Decoder(Produce)
_produce_binary: Final = msgspec.json.Decoder(ProduceBinary)
_put_record: Final = msgspec.json.Decoder(PutRecord)
_put_records: Final = msgspec.json.Decoder(PutRecords)
_create_stream: Final = msgspec.json.Decoder(CreateStream)
_text: Final = msgspec.json.Decoder(str)


def is_topic_name(name: str) -> bool:
    """Whether a topic can have this name."""
    return _TOPIC_NAME.fullmatch(name) is not None


def topic_fault(name: str) -> Fault | None:
    """Why nothing is appended to a topic of this name."""
    if name.startswith(INTERNAL):
        return Fault(FORBIDDEN, f"'{name}' is a topic of the cluster's own: nobody else writes to it")
    if is_topic_name(name):
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
    request = _counted(_produce, body, max_records)
    if isinstance(request, Fault):
        return request
    return [
        Record(
            unless_null(record.value),
            json_key(bytes(record.key)) if record.key else None,
            record.partition,
            headers=headers,
        )
        for record in request.records
    ]


def produced_binary(body: bytes, max_records: int, headers: Headers = ()) -> list[Record] | Fault:
    """The records of `{"records":[{"value":"base64","key"?:"base64","partition"?:n}]}`."""
    request = _counted(_produce_binary, body, max_records)
    if isinstance(request, Fault):
        return request
    return [Record(record.value, record.key, record.partition, headers=headers) for record in request.records]


def to_partition(records: list[Record], partition: int) -> list[Record] | Fault:
    """The records, each of them asking for this partition and none for another one."""
    for number, record in enumerate(records):
        if record.partition not in (None, partition):
            return Fault(
                MISSING_VALUE,
                f"records[{number}] asks for partition {record.partition}, the path for {partition}",
            )
    return [Record(record.value, record.key, partition, headers=record.headers) for record in records]


def partition_number(text: str) -> int | None:
    """The number of a partition in a path; None when it cannot be one."""
    return int(text) if _NUMBER.fullmatch(text) and int(text) < 2**31 else None


def put_record(body: bytes, headers: Headers = ()) -> list[Record] | Fault:
    """The one record of `{"Data":…,"PartitionKey":"…"}`; other fields are left alone."""
    request = decoded(_put_record, body)
    if isinstance(request, Fault):
        return _with_hint(request, body)
    record = _stream_record(request.data, request.key, headers)
    return record if isinstance(record, Fault) else [record]


def put_records(body: bytes, max_records: int, headers: Headers = ()) -> list[Record] | Fault:
    """The records of `{"records":[{"data":…,"partition-key":"…"}]}`; other fields are left alone."""
    request = _counted(_put_records, body, min(max_records, MAX_PUT_RECORDS))
    if isinstance(request, Fault):
        return _with_hint(request, body)
    records: list[Record] = []
    for number, entry in enumerate(request.records):
        record = _stream_record(entry.data, entry.key, headers)
        if isinstance(record, Fault):
            return Fault(record.kind, f"records[{number}]: {record.message}")
        records.append(record)
    return records


def shard_count(body: bytes, default: int) -> int | Fault:
    """The shards asked for by `{"ShardCount":n}`, or the default when the body says nothing."""
    request = decoded(_create_stream, body or b"{}")
    if isinstance(request, Fault):
        return request
    return default if request.shards is None else request.shards


def decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T | Fault:
    """What a decoder makes of a body, or what is wrong with it."""
    try:
        if not body.isascii():
            body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        return Fault(MISSING_VALUE, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        half = _HALF_A_PAIR.search(body)  # the decoder says of some that the body was cut off
        reason = f"{half[0].decode()} is half of a pair, without the other one" if half else error
        return Fault(NOT_JSON, f"the body is not valid JSON: {reason}")
    except RecursionError:
        return Fault(NOT_JSON, "the body is nested too deeply")


def _counted(decoder: msgspec.json.Decoder[B], body: bytes, most: int) -> B | Fault:
    """A body of 1 to `most` records; of a large body that has more, none is made, however small they are."""
    if len(body) <= _UNCOUNTED_BYTES or not has_more(body, most, "records"):
        request = decoded(decoder, body)
        if isinstance(request, Fault) or 0 < len(request.records) <= most:
            return request
        if not request.records:
            return Fault(MISSING_VALUE, "records must not be empty")
    return Fault(TOO_LARGE, f"the request has more than {most} records; send them in several")


class _TooMany(Exception):
    pass


def has_more(body: bytes, most: int, of: str) -> bool:
    """Whether a body has more objects than that in its list `of`; it is read no further than it must be."""
    if body.count(b"{") <= most + 1:
        return False
    left = most

    class Counted(msgspec.Struct):
        def __post_init__(self) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise _TooMany

    try:
        decoded(msgspec.json.Decoder(msgspec.defstruct("Body", [(of, list[Counted])])), body)
    except _TooMany:
        return True
    return False


def unless_null(raw: msgspec.Raw) -> bytes | None:
    """The JSON text of a value; None for null, and for what was left out."""
    value = bytes(raw)
    return value if value != b"null" and value else None


def json_key(raw: bytes) -> bytes | None:
    """A key as JSON in one form only, so that equal keys meet in one partition however they were written.

    Numbers stay as they were written, and so does the order of fields.
    """
    if raw == b"null":
        return None
    compact = raw if raw.startswith(b'"') else msgspec.json.format(raw, indent=-1)
    return _STRING.sub(_unescaped, compact) if _BACKSLASH in compact else compact


def _unescaped(string: re.Match[bytes]) -> bytes:
    """A string of JSON without an escape that it does not need."""
    return msgspec.json.encode(_text.decode(string[0]))


def _with_hint(fault: Fault, body: bytes) -> Fault:
    hint = encodings.hint_of_body(body) if fault.kind is MISSING_VALUE else None
    return fault if hint is None else Fault(fault.kind, f"{fault.message}: {hint}")


def _stream_record(data: msgspec.Raw, key: str | int, headers: Headers) -> Record | Fault:
    """A record of a stream: the text of a string, the JSON of anything else; a number may be the key."""
    value = unless_null(data)
    if value is None:
        return Fault(MISSING_VALUE, "the data must not be null")
    partition_key = str(key)
    if not 1 <= len(partition_key) <= _MAX_PARTITION_KEY:
        return Fault(MISSING_VALUE, f"a partition key has 1 to {_MAX_PARTITION_KEY} characters")
    if value.startswith(b'"'):
        value = _text.decode(value).encode()
    return Record(value, partition_key.encode(), headers=headers)
