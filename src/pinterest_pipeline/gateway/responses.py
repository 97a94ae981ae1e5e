"""What the gateway answers, in the shapes of the REST proxy and of Kinesis (pure)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pinterest_pipeline.eventlog.base import (
    PartitionDescription,
    Receipt,
    Refusal,
    StoredRecord,
    TopicDescription,
)
from pinterest_pipeline.eventlog.partitioners import hash_range
from pinterest_pipeline.eventlog.sequence import sequence_number, shard_id
from pinterest_pipeline.gateway.error_codes import (
    RECORD_TOO_LARGE,
    REFUSED,
    RETRIABLE,
    RETRY_AFTER_SECONDS,
    Fault,
    kinesis_status,
)

KAFKA_MEDIA: Final = "application/vnd.kafka.v2+json"
KINESIS_MEDIA: Final = "application/json"
_ARN: Final = "arn:aws:kinesis:us-east-1:000000000000:stream/"
_RETENTION_HOURS: Final = 8_760  # the longest Kinesis knows; the log keeps everything


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over HTTP; further headers in lower case."""

    body: bytes
    media: str
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    records: int = 0
    """How many records it acknowledges or holds; only counted, not sent."""


class KafkaError(msgspec.Struct):
    """An error of the Kafka half, in the shape of Confluent's REST proxy."""

    error_code: int
    message: str


class ProducedOffset(msgspec.Struct):
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


def kafka(content: Any, status: int = 200, records: int = 0) -> Answer:
    return Answer(msgspec.json.encode(content), KAFKA_MEDIA, status, records=records)


def kinesis(content: Any, records: int = 0) -> Answer:
    return Answer(msgspec.json.encode(content), KINESIS_MEDIA, records=records)


def _headers(fault: Fault) -> tuple[tuple[str, str], ...]:
    if fault.kind in RETRIABLE:
        return (*fault.headers, ("retry-after", str(RETRY_AFTER_SECONDS)))
    return fault.headers


def kafka_fault(fault: Fault) -> Answer:
    """`{"error_code":…,"message":…}` at the kind's own status."""
    body = msgspec.json.encode(KafkaError(fault.kind.kafka, fault.message))
    return Answer(body, KAFKA_MEDIA, fault.kind.status, _headers(fault))


def kinesis_fault(fault: Fault) -> Answer:
    """`{"__type":…,"message":…}` at the status that Kinesis itself gives."""
    body = msgspec.json.encode({"__type": fault.kind.kinesis, "message": fault.message})
    return Answer(body, KINESIS_MEDIA, kinesis_status(fault.kind), _headers(fault))


def refusal(fault: Fault) -> Answer:
    """A fault found before it is known which half of the API is meant, as both halves write theirs."""
    content = {"error_code": fault.kind.kafka, "__type": fault.kind.kinesis, "message": fault.message}
    return Answer(msgspec.json.encode(content), KINESIS_MEDIA, fault.kind.status, _headers(fault))


def produced(outcomes: Sequence[Receipt | Refusal]) -> Answer | Fault:
    """One entry per record; an error as a whole only when every record was too large."""
    if all(isinstance(outcome, Refusal) and outcome.code == "record_too_large" for outcome in outcomes):
        return Fault(RECORD_TOO_LARGE, "every record is larger than the log takes")
    return kafka(Produced([_offset(outcome) for outcome in outcomes]), records=_received(outcomes))


def _received(outcomes: Sequence[Receipt | Refusal]) -> int:
    return sum(isinstance(outcome, Receipt) for outcome in outcomes)


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


def record_put(outcome: Receipt | Refusal) -> Answer | Fault:
    if isinstance(outcome, Refusal):
        return Fault(REFUSED[outcome.code], outcome.reason)
    return kinesis(_placed(outcome), records=1)


def records_put(outcomes: Sequence[Receipt | Refusal]) -> Answer:
    """One entry per record; `FailedRecordCount` says how many of them are errors."""
    received = _received(outcomes)
    content = {
        "FailedRecordCount": len(outcomes) - received,
        "Records": [_placed(outcome) for outcome in outcomes],
    }
    return kinesis(content, received)


def _placed(outcome: Receipt | Refusal) -> dict[str, str]:
    if isinstance(outcome, Refusal):
        return {"ErrorCode": REFUSED[outcome.code].kinesis, "ErrorMessage": outcome.reason}
    return {"SequenceNumber": sequence_number(outcome.offset), "ShardId": shard_id(outcome.partition)}


def records(stored: Iterable[StoredRecord], next_iterator: str, behind_ms: int) -> Answer:
    """Records as GetRecords gives them: data in base64, arrival in seconds since 1970."""
    entries = [
        {
            "SequenceNumber": sequence_number(record.offset),
            "ApproximateArrivalTimestamp": record.timestamp / 1000,
            "Data": record.value or b"",
            "PartitionKey": (record.key or b"").decode(errors="replace"),
        }
        for record in stored
    ]
    content = {"Records": entries, "NextShardIterator": next_iterator, "MillisBehindLatest": behind_ms}
    return kinesis(content, len(entries))


def streams(descriptions: Sequence[TopicDescription]) -> Answer:
    names = [description.name for description in descriptions]
    summaries = [_summary(description) for description in descriptions]
    return kinesis({"HasMoreStreams": False, "StreamNames": names, "StreamSummaries": summaries})


def stream(description: TopicDescription) -> Answer:
    shards = [_shard(number, description.partitions) for number in range(description.partitions)]
    details = {
        "Shards": shards,
        "HasMoreShards": False,
        "RetentionPeriodHours": _RETENTION_HOURS,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
    }
    return kinesis({"StreamDescription": _summary(description) | details})


def _summary(description: TopicDescription) -> dict[str, Any]:
    return {
        "StreamName": description.name,
        "StreamARN": _ARN + description.name,
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "StreamCreationTimestamp": description.created_ms / 1000,
    }


def _shard(number: int, shards: int) -> dict[str, Any]:
    first, last = hash_range(number, shards)
    return {
        "ShardId": shard_id(number),
        "HashKeyRange": {"StartingHashKey": str(first), "EndingHashKey": str(last)},
        "SequenceNumberRange": {"StartingSequenceNumber": sequence_number(0)},
    }
