"""What the gateway answers, and the shapes of the REST proxy v2 (pure)."""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from pinterest_pipeline.eventlog.base import (
    PartitionDescription,
    Receipt,
    Refusal,
    TopicDescription,
)
from pinterest_pipeline.gateway import cbor
from pinterest_pipeline.gateway.error_codes import (
    FORBIDDEN,
    NOT_ACKNOWLEDGED,
    RECORD_TOO_LARGE,
    REFUSED,
    RETRIABLE,
    RETRY_AFTER_SECONDS,
    THROTTLED,
    Fault,
    Kind,
    kafka_v3_code,
    kinesis_status,
    kinesis_wire_status,
)

KAFKA_MEDIA: Final = "application/vnd.kafka.v2+json"
JSON_MEDIA: Final = "application/json"
KINESIS_MEDIA: Final = JSON_MEDIA
KINESIS_WIRE_MEDIA: Final = "application/x-amz-json-1.1"
KINESIS_CBOR_MEDIA: Final = "application/x-amz-cbor-1.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over HTTP; further headers in lower case."""

    body: bytes
    media: str
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    records: int = 0
    """How many records it acknowledges or holds; only counted, not sent."""
    fault: Fault | None = None
    """What it says was wrong, or was with some of its records; only noted, not sent."""
    handed_over: Callable[[bool], Awaitable[None]] | None = None
    """Told, once the sending is over, whether the caller was there for all of the answer."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer that is sent piece by piece, while its request may still be read."""

    pieces: AsyncGenerator[tuple[bytes, int], None]
    """Each with how many records it acknowledges."""
    media: str
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class KafkaError(msgspec.Struct):
    """An error of the Kafka half, in the shape of Confluent's REST proxy."""

    error_code: int
    message: str


class KinesisError(msgspec.Struct):
    """An error of the Kinesis half, in the shape of AWS."""

    type: str = msgspec.field(name="__type")
    message: str


class Status(msgspec.Struct):
    """How the gateway is."""

    status: str


class ProducedOffset(msgspec.Struct, gc=False):
    """Where a record was appended, or why not."""

    partition: int | None
    offset: int | None
    error_code: int | None
    error: str | None


class Produced(msgspec.Struct):
    """One entry for each record of the request, in order."""

    offsets: list[ProducedOffset]
    key_schema_id: None = None
    value_schema_id: None = None


class Replica(msgspec.Struct):
    """A broker's copy of a partition."""

    broker: int
    leader: bool
    in_sync: bool


class TopicPartition(msgspec.Struct):
    """A partition and who keeps it."""

    partition: int
    leader: int
    replicas: list[Replica]


class Topic(msgspec.Struct):
    """A topic, its settings and its partitions."""

    name: str
    configs: dict[str, str]
    partitions: list[TopicPartition]


class PartitionOffsets(msgspec.Struct):
    """Where a partition begins, and the offset that is written next."""

    beginning_offset: int
    end_offset: int


class Brokers(msgspec.Struct):
    """The ids of the brokers."""

    brokers: list[int]


def kafka(content: Any, status: int = 200, records: int = 0) -> Answer:
    return Answer(msgspec.json.encode(content), KAFKA_MEDIA, status, records=records)


def kafka_v3(content: Any, status: int = 200, records: int = 0) -> Answer:
    return Answer(msgspec.json.encode(content), JSON_MEDIA, status, records=records)


def kinesis(content: Any, records: int = 0) -> Answer:
    return Answer(msgspec.json.encode(content), KINESIS_MEDIA, records=records)


def _headers(fault: Fault) -> tuple[tuple[str, str], ...]:
    if fault.kind in RETRIABLE and "retry-after" not in dict(fault.headers):
        return (*fault.headers, ("retry-after", str(RETRY_AFTER_SECONDS)))
    return fault.headers


def kafka_fault(fault: Fault) -> Answer:
    """`{"error_code":…,"message":…}` at the kind's own status."""
    body = msgspec.json.encode(KafkaError(fault.kind.kafka, fault.message))
    return Answer(body, KAFKA_MEDIA, fault.kind.status, _headers(fault), fault=fault)


def kafka_v3_error(fault: Fault) -> KafkaError:
    return KafkaError(kafka_v3_code(fault.kind), fault.message)


def kafka_v3_fault(fault: Fault) -> Answer:
    """As `kafka_fault`, in the media type and with the codes of REST v3."""
    body = msgspec.json.encode(kafka_v3_error(fault))
    return Answer(body, JSON_MEDIA, fault.kind.status, _headers(fault), fault=fault)


def kinesis_fault(fault: Fault) -> Answer:
    """`{"__type":…,"message":…}` at the status that Kinesis itself gives."""
    body = msgspec.json.encode(KinesisError(fault.kind.kinesis, fault.message))
    return Answer(body, KINESIS_MEDIA, kinesis_status(fault.kind), _headers(fault), fault=fault)


def kinesis_wire(content: Any, media: str, records: int = 0) -> Answer:
    """An answer of Kinesis' own API in the form of its request; None is an answer without a body."""
    return Answer(_written(content, media), media, headers=_request_id(), records=records)


def kinesis_wire_fault(fault: Fault, media: str) -> Answer:
    """As `kinesis_fault`, with the one status that Kinesis' own API has for what callers do wrong."""
    media = KINESIS_CBOR_MEDIA if media == KINESIS_CBOR_MEDIA else KINESIS_WIRE_MEDIA
    body = _written(KinesisError(fault.kind.kinesis, fault.message), media)
    headers = (*_headers(fault), *_request_id(), ("x-amzn-errortype", fault.kind.kinesis))
    return Answer(body, media, kinesis_wire_status(fault.kind), headers, fault=fault)


def _written(content: Any, media: str) -> bytes:
    if content is None:
        return b""
    return cbor.encode(content) if media == KINESIS_CBOR_MEDIA else msgspec.json.encode(content)


def _request_id() -> tuple[tuple[str, str], ...]:
    """What clients show when they report a problem."""
    return (("x-amzn-requestid", str(uuid.uuid4())),)


def refusal(fault: Fault) -> Answer:
    """A fault found before it is known which half of the API is meant, as both halves write theirs."""
    content = {"error_code": fault.kind.kafka, "__type": fault.kind.kinesis, "message": fault.message}
    return Answer(msgspec.json.encode(content), KINESIS_MEDIA, fault.kind.status, _headers(fault))


_WHOLE: Final = (RECORD_TOO_LARGE, THROTTLED, NOT_ACKNOWLEDGED)
"""What every record of a request may have met: then the request as a whole has."""


def produced(outcomes: Sequence[Receipt | Refusal], whole: tuple[Kind, ...] = ()) -> Answer | Fault:
    """One entry for each record, at 403 when the log forbade one; or the fault that every record met.

    `whole` names what may be wrong with the request as a whole beside size, quota and acknowledgement.
    """
    received = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
    if len(received) == len(outcomes):
        offsets = [ProducedOffset(receipt.partition, receipt.offset, None, None) for receipt in received]
        return kafka(Produced(offsets), records=len(received))
    refusals = [outcome for outcome in reversed(outcomes) if isinstance(outcome, Refusal)]
    reasons = {REFUSED[refusal.code]: refusal.reason for refusal in refusals}  # the first of each kind
    for kind in (*_WHOLE, *whole):
        if not received and reasons.keys() == {kind}:
            return Fault(kind, f"none of the records landed: {reasons[kind]}")
    answer = kafka(Produced([_offset(outcome) for outcome in outcomes]), records=len(received))
    if FORBIDDEN not in reasons:
        return answer
    return replace(answer, status=FORBIDDEN.status, fault=Fault(FORBIDDEN, reasons[FORBIDDEN]))


def _offset(outcome: Receipt | Refusal) -> ProducedOffset:
    if isinstance(outcome, Refusal):
        return ProducedOffset(None, None, REFUSED[outcome.code].kafka, outcome.reason)
    return ProducedOffset(outcome.partition, outcome.offset, None, None)


def topic(description: TopicDescription) -> Answer:
    return kafka(
        Topic(
            description.name,
            dict(description.configs),
            [topic_partition(partition) for partition in description.layout],
        )
    )


def topic_partition(known: PartitionDescription) -> TopicPartition:
    replicas = [Replica(broker, broker == known.leader, broker in known.in_sync) for broker in known.replicas]
    return TopicPartition(known.partition, known.leader, replicas)
