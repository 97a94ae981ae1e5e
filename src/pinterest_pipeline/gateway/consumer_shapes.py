"""What the consumer operations of Confluent's REST proxy v2 take and answer, and how it is read (pure)."""

import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from pinterest_pipeline.eventlog.base import Part
from pinterest_pipeline.gateway.error_codes import (
    ILLEGAL_STATE,
    INVALID_CONSUMER,
    INVALID_NAME,
    MISSING_VALUE,
    Fault,
)
from pinterest_pipeline.gateway.requests import Offset, PartitionNumber, decoded, is_topic_name

Format = Literal["binary", "json"]
_NEEDS_REGISTRY: Final = ("avro", "jsonschema", "protobuf")
_MAX_NAME: Final = 255
_MAX_BYTES: Final = 2**31 - 1
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")
_PART: Final = re.compile(r"([a-zA-Z0-9._-]{1,249}):([0-9]{1,10})")


def _dotted(name: str) -> str:
    return name.replace("_", ".")


class CreateConsumer(msgspec.Struct, forbid_unknown_fields=True, rename=_dotted):
    """A consumer instance to be made; the last four are as text or as what they are."""

    name: str | None = None
    id: str | None = None
    format: str = "binary"
    auto_offset_reset: str = "latest"
    auto_commit_enable: bool | str = True
    fetch_min_bytes: int | str = 1
    consumer_request_timeout_ms: int | str = 1_000


class InstanceSettings(msgspec.Struct, frozen=True):
    """How an instance reads."""

    format: Format
    reset: Literal["earliest", "latest"]
    auto_commit: bool
    min_bytes: int
    wait_ms: int


class CreatedConsumer(msgspec.Struct):
    """The name of an instance, and the address of all that is done with it."""

    instance_id: str
    base_uri: str


class Subscribe(msgspec.Struct, forbid_unknown_fields=True):
    """Topics by name, or all whose whole name fits a pattern; one of the two."""

    topics: list[str] | None = None
    topic_pattern: str | None = None


class Subscribed(msgspec.Struct):
    """The topics that an instance is subscribed to."""

    topics: list[str]


class TopicAndPartition(msgspec.Struct, frozen=True):
    """One partition of a topic."""

    topic: str
    partition: PartitionNumber


class Partitions(msgspec.Struct):
    """Some partitions of some topics."""

    partitions: list[TopicAndPartition]


class PartitionOffset(msgspec.Struct):
    """An offset in a partition. Metadata is not kept: only null and the empty text are taken."""

    topic: str
    partition: PartitionNumber
    offset: Offset
    metadata: Literal[""] | None = None


class Offsets(msgspec.Struct):
    """An offset for each of some partitions."""

    offsets: list[PartitionOffset]


class PartitionTime(msgspec.Struct):
    """A time in a partition, in ISO 8601 with its zone."""

    topic: str
    partition: PartitionNumber
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    metadata: Literal[""] | None = None


class Seek(msgspec.Struct):
    """Where to read on: at offsets, or at the first record that is not before a time."""

    offsets: list[PartitionOffset] = []
    timestamps: list[PartitionTime] = []


class Committed(msgspec.Struct):
    """The position of a group in a partition: the offset that it reads next."""

    topic: str
    partition: int
    offset: int
    metadata: str = ""


class CommittedOffsets(msgspec.Struct):
    """The positions of a group; a partition without one is not among them."""

    offsets: list[Committed]


class JsonRecord(msgspec.Struct):
    """A record of an instance of format json; one of format binary has key and value in base64, or null."""

    topic: str
    key: msgspec.Raw
    value: msgspec.Raw
    partition: int
    offset: int


class BinaryRecord(msgspec.Struct):
    """A record whose key and value are in base64."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int
    offset: int


_create: Final = msgspec.json.Decoder(CreateConsumer)
_subscribe: Final = msgspec.json.Decoder(Subscribe)
_partitions: Final = msgspec.json.Decoder(Partitions)
_offsets: Final = msgspec.json.Decoder(Offsets)
_seek: Final = msgspec.json.Decoder(Seek)


def name_fault(kind: str, name: str) -> Fault | None:
    """What is wrong with the name of a group or of an instance."""
    if 1 <= len(name) <= _MAX_NAME and name.isprintable() and "/" not in name:
        return None
    return Fault(
        INVALID_CONSUMER,
        f"the name of {kind} has 1 to {_MAX_NAME} characters, all of them visible and none '/'",
    )


def created(body: bytes) -> tuple[str, InstanceSettings] | Fault:
    """The name and the settings of a new instance."""
    request = decoded(_create, body or b"{}")
    if isinstance(request, Fault):
        # A field that is unknown or of a wrong type is a wrong setting; what is no JSON stays what it is.
        return Fault(INVALID_CONSUMER, request.message) if request.kind is MISSING_VALUE else request
    name = request.id or request.name or f"rest-consumer-{secrets.token_hex(8)}"
    settings = _settings(request)
    return name_fault("an instance", name) or (settings if isinstance(settings, Fault) else (name, settings))


def _settings(request: CreateConsumer) -> InstanceSettings | Fault:
    if request.format.lower() in _NEEDS_REGISTRY:
        return Fault(
            INVALID_CONSUMER,
            f"the format '{request.format}' needs a schema registry, and this gateway has none; "
            "choose binary or json",
        )
    given = {
        "format": request.format.lower(),
        "reset": request.auto_offset_reset,
        "auto_commit": _plain(request.auto_commit_enable),
        "min_bytes": _plain(request.fetch_min_bytes),
        "wait_ms": _plain(request.consumer_request_timeout_ms),
    }
    for field, right, expected in _RULES:
        if not right(given[field]):
            return Fault(INVALID_CONSUMER, f"{expected}, not {str(given[field])[:100]!r}")
    return msgspec.convert(given, InstanceSettings)


def _plain(value: bool | int | str) -> bool | int | str:
    """The number or truth that a text says, as Confluent's own clients send them."""
    if not isinstance(value, str):
        return value
    return {"true": True, "false": False}.get(value, int(value) if _NUMBER.fullmatch(value) else value)


def _whole(value: Any, least: int) -> bool:
    return type(value) is int and least <= value <= _MAX_BYTES


_RULES: Final[tuple[tuple[str, Callable[[Any], bool], str], ...]] = (
    ("format", lambda value: value in ("binary", "json"), "format is binary or json"),
    ("reset", lambda value: value in ("earliest", "latest"), "auto.offset.reset is earliest or latest"),
    ("auto_commit", lambda value: isinstance(value, bool), "auto.commit.enable is true or false"),
    ("min_bytes", lambda value: value == -1 or _whole(value, 0), "fetch.min.bytes is a number of bytes"),
    ("wait_ms", lambda value: _whole(value, 0), "consumer.request.timeout.ms is a number of milliseconds"),
)


def subscription(body: bytes) -> Subscribe | Fault:
    """The topics or the pattern to subscribe to."""
    request = decoded(_subscribe, body)
    if isinstance(request, Fault):
        return request
    if request.topics is not None and request.topic_pattern is not None:
        return Fault(
            ILLEGAL_STATE, "subscription to topics, partitions and pattern are mutually exclusive: send one"
        )
    if not request.topics and not request.topic_pattern:
        return Fault(MISSING_VALUE, "send topics or topic_pattern; DELETE ends a subscription")
    for name in request.topics or ():
        if not is_topic_name(name):
            return Fault(INVALID_NAME, f"'{name[:100]}' cannot be the name of a topic")
    return request


def partitions(body: bytes) -> list[Part] | Fault:
    """The partitions of `{"partitions":[{"topic":"…","partition":n}]}`."""
    request = decoded(_partitions, body)
    return request if isinstance(request, Fault) else _parts(request.partitions)


def _parts(named: Sequence[TopicAndPartition]) -> list[Part]:
    return list(dict.fromkeys((part.topic, part.partition) for part in named))


def partitions_of_query(texts: Sequence[str]) -> list[Part] | Fault:
    """The partitions of `partitions=topic:0,topic:1`."""
    found: list[Part] = []
    for text in ",".join(texts).split(","):
        part = _PART.fullmatch(text)
        if part is None:
            return Fault(
                MISSING_VALUE, f"'{text[:100]}' names no partition; write partitions=topic:0,topic:1"
            )
        found.append((part[1], int(part[2])))
    return list(dict.fromkeys(found))


def offsets(body: bytes) -> list[PartitionOffset] | Fault | None:
    """The offsets to commit; None for a request that leaves them to the gateway."""
    if not body.strip() or body.strip() == b"null":
        return None
    request = decoded(_offsets, body)
    return request if isinstance(request, Fault) else request.offsets


def seek(body: bytes) -> Seek | Fault:
    """Where to read on, for at least one partition."""
    request = decoded(_seek, body)
    if isinstance(request, Fault) or request.offsets or request.timestamps:
        return request
    return Fault(MISSING_VALUE, "send offsets or timestamps, for at least one partition")


def query_number(name: str, text: str | None) -> int | Fault | None:
    """A number of a query; None without one, which clients also send as -1."""
    if text is None:
        return None
    if _NUMBER.fullmatch(text):
        return None if text.startswith("-") else int(text)
    return Fault(MISSING_VALUE, f"{name} is a whole number, not '{text[:100]}'")
