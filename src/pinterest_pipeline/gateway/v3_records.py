"""Records in the shapes of REST v3: from a request into the log, and from the log into an answer (pure).

A key or a value says what it is: BINARY is base64, STRING the text itself, JSON any JSON, which is kept byte
for byte as a value and in one form as a key.
Null, or a JSON null, is no key, and a value that deletes (a tombstone).
"""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pinterest_pipeline.eventlog.base import Headers, Receipt, Record, StoredRecord
from pinterest_pipeline.gateway.error_codes import MISSING_VALUE, Fault
from pinterest_pipeline.gateway.requests import decoded, json_key, unless_null

TYPES: Final = ("BINARY", "JSON", "STRING")
_LATEST: Final = 253_402_300_799_999  # the last millisecond of year 9999, the last that ISO 8601 writes
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

Time = Annotated[datetime, Meta(tz=True)] | Annotated[int, Meta(ge=0, le=_LATEST)]
"""ISO 8601 with its zone, or milliseconds since 1970."""


class V3Header(msgspec.Struct, forbid_unknown_fields=True):
    """A header of a record; its value in base64."""

    name: Annotated[str, Meta(pattern=r"^[^\u0000]*$")]
    """Without a NUL, where Kafka's client would cut it."""
    value: bytes | None = None


class V3Data(msgspec.Struct, forbid_unknown_fields=True):
    """A key or a value, and what its data is."""

    type: Annotated[str, Meta(extra_json_schema={"enum": list(TYPES)})]
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class V3Record(msgspec.Struct, forbid_unknown_fields=True):
    """A record to be appended."""

    partition_id: Annotated[int, Meta(ge=0)] | None = None
    headers: list[V3Header] = []
    key: V3Data | None = None
    value: V3Data | None = None
    timestamp: Time | None = None


class V3BatchEntry(V3Record, kw_only=True, forbid_unknown_fields=True):
    """A record to be appended, and how the answer calls it."""

    id: Annotated[str, Meta(min_length=1, max_length=80)]


class V3Sized(msgspec.Struct):
    """What a key or a value was, and how many bytes of it were stored."""

    type: Literal["BINARY", "JSON", "STRING"]
    size: int


class V3Placed(msgspec.Struct, kw_only=True):
    """Where a record was appended."""

    cluster_id: str
    topic_name: str
    partition_id: int
    offset: int
    timestamp: str
    key: V3Sized | UnsetType = UNSET
    value: V3Sized | UnsetType = UNSET


class V3Receipt(V3Placed, kw_only=True):
    """Where a record was appended, and that it was: the code is 200."""

    error_code: Literal[200] = 200


class V3Found(msgspec.Struct):
    """A key or a value of the log: as JSON where its bytes are that, else in base64."""

    type: Literal["BINARY", "JSON"]
    data: msgspec.Raw


class V3Stored(msgspec.Struct):
    """A record of the log."""

    partition_id: int
    offset: int
    timestamp: str
    headers: list[V3Header]
    key: V3Found | None
    value: V3Found | None


class Sendable(msgspec.Struct, frozen=True):
    """A record, and what its receipt says of it."""

    record: Record
    key: V3Sized | UnsetType
    value: V3Sized | UnsetType


_record: Final = msgspec.json.Decoder(V3Record)
_text: Final = msgspec.json.Decoder(str)
_json: Final = msgspec.json.Decoder(msgspec.Raw)


def sendable(body: bytes, trace: Headers) -> Sendable | Fault:
    """The record of one JSON object."""
    asked = decoded(_record, body)
    return asked if isinstance(asked, Fault) else from_request(asked, trace)


def from_request(asked: V3Record, trace: Headers) -> Sendable | Fault:
    """A record as it was asked for; the trace context joins its headers unless they have one."""
    key, value = _stored("key", asked.key), _stored("value", asked.value)
    timestamp = milliseconds(asked.timestamp)
    for found in (key, value, timestamp):
        if isinstance(found, Fault):
            return found
    assert not isinstance(key, Fault)
    assert not isinstance(value, Fault)
    assert not isinstance(timestamp, Fault)
    headers = tuple((header.name, header.value) for header in asked.headers)
    if not any(name == "traceparent" for name, _ in headers):
        headers += trace
    record = Record(value, key, asked.partition_id, timestamp, headers)
    return Sendable(record, _sized(asked.key, key), _sized(asked.value, value))


def _stored(field: str, asked: V3Data | None) -> bytes | Fault | None:
    if asked is None:
        return None
    if asked.type not in TYPES:
        wrong = f"the type of the {field} is '{asked.type[:100]}'; {', '.join(TYPES)} are taken"
        return Fault(MISSING_VALUE, wrong)
    data = unless_null(asked.data)
    if data is None:
        return None
    if asked.type == "JSON":
        return json_key(data) if field == "key" else data
    if not data.startswith(b'"'):
        return Fault(MISSING_VALUE, f"the data of the {field} is no string, as {asked.type} asks for")
    text = _text.decode(data)
    if asked.type == "STRING":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return Fault(MISSING_VALUE, f"the data of the {field} is not base64, as BINARY asks for")


def _sized(asked: V3Data | None, stored: bytes | None) -> V3Sized | UnsetType:
    return UNSET if asked is None else V3Sized(asked.type, len(stored or b""))  # type: ignore[arg-type] # checked


def milliseconds(time: datetime | int | None) -> int | Fault | None:
    """A time as milliseconds since 1970."""
    if time is None or isinstance(time, int):
        return time
    since = (time - _EPOCH) // _MILLISECOND
    return since if since >= 0 else Fault(MISSING_VALUE, "the timestamp is before 1970")


def iso(since: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC; what that cannot write becomes the nearest that it can."""
    since = min(max(since, 0), _LATEST)
    time = datetime.fromtimestamp(since / 1000, UTC)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{since % 1000:03}Z"


def receipt(cluster: str, topic: str, sent: Sendable, placed: Receipt) -> V3Receipt:
    return V3Receipt(
        cluster_id=cluster,
        topic_name=topic,
        partition_id=placed.partition,
        offset=placed.offset,
        timestamp=iso(placed.timestamp),
        key=sent.key,
        value=sent.value,
    )


def stored(record: StoredRecord) -> V3Stored:
    headers = [V3Header(name, value) for name, value in record.headers]
    return V3Stored(
        record.partition,
        record.offset,
        iso(record.timestamp),
        headers,
        _read(record.key),
        _read(record.value),
    )


def _read(stored: bytes | None) -> V3Found | None:
    """The bytes themselves where they are JSON without blanks around it; null alone would be a tombstone."""
    if stored is None:
        return None
    found = decoded(_json, stored)
    if not isinstance(found, Fault) and bytes(found) == stored != b"null":
        return V3Found("JSON", found)
    return V3Found("BINARY", msgspec.Raw(msgspec.json.encode(stored)))
