"""What the gateway answers, in the shapes of the REST proxy and of Kinesis (pure)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pinterest_pipeline.eventlog.base import Receipt, Refusal, StoredRecord, TopicDescription
from pinterest_pipeline.eventlog.partitioners import hash_range
from pinterest_pipeline.eventlog.sequence import sequence_number, shard_id
from pinterest_pipeline.gateway.error_codes import (
    RECORD_TOO_LARGE,
    REFUSED,
    RETRY_AFTER_SECONDS,
    UNAVAILABLE,
    Fault,
    kinesis_status,
)

KAFKA_MEDIA: Final = "application/vnd.kafka.v2+json"
KINESIS_MEDIA: Final = "application/json"
_ARN: Final = "arn:aws:kinesis:us-east-1:000000000000:stream/"
_RETENTION_HOURS: Final = 8_760  # the longest Kinesis knows; the log keeps everything


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over HTTP; `retry_after` in seconds."""

    body: bytes
    media: str
    status: int = 200
    retry_after: int | None = None


def kafka(content: Any, status: int = 200) -> Answer:
    return Answer(msgspec.json.encode(content), KAFKA_MEDIA, status)


def kinesis(content: Any) -> Answer:
    return Answer(msgspec.json.encode(content), KINESIS_MEDIA)


def _retry_after(fault: Fault) -> int | None:
    return RETRY_AFTER_SECONDS if fault.kind is UNAVAILABLE else None


def kafka_fault(fault: Fault) -> Answer:
    """`{"error_code":…,"message":…}` at the kind's own status."""
    body = msgspec.json.encode({"error_code": fault.kind.kafka, "message": fault.message})
    return Answer(body, KAFKA_MEDIA, fault.kind.status, _retry_after(fault))


def kinesis_fault(fault: Fault) -> Answer:
    """`{"__type":…,"message":…}` at the status that Kinesis itself gives."""
    body = msgspec.json.encode({"__type": fault.kind.kinesis, "message": fault.message})
    return Answer(body, KINESIS_MEDIA, kinesis_status(fault.kind), _retry_after(fault))


def produced(outcomes: Sequence[Receipt | Refusal]) -> Answer:
    """One entry per record; an error as a whole only when every record was too large."""
    if all(isinstance(outcome, Refusal) and outcome.code == "record_too_large" for outcome in outcomes):
        return kafka_fault(Fault(RECORD_TOO_LARGE, "every record is larger than the log takes"))
    offsets = [_offset(outcome) for outcome in outcomes]
    return kafka({"offsets": offsets, "key_schema_id": None, "value_schema_id": None})


def _offset(outcome: Receipt | Refusal) -> dict[str, Any]:
    if isinstance(outcome, Refusal):
        code = REFUSED[outcome.code].kafka
        return {"partition": None, "offset": None, "error_code": code, "error": outcome.reason}
    return {"partition": outcome.partition, "offset": outcome.offset, "error_code": None, "error": None}


def topic(description: TopicDescription) -> Answer:
    """A topic as a cluster of one broker shows it."""
    replicas = [{"broker": 0, "leader": True, "in_sync": True}]
    partitions = [
        {"partition": number, "leader": 0, "replicas": replicas} for number in range(description.partitions)
    ]
    return kafka({"name": description.name, "configs": {}, "partitions": partitions})


def record_put(outcome: Receipt | Refusal) -> Answer:
    if isinstance(outcome, Refusal):
        return kinesis_fault(Fault(REFUSED[outcome.code], outcome.reason))
    return kinesis(_placed(outcome))


def records_put(outcomes: Sequence[Receipt | Refusal]) -> Answer:
    """One entry per record; `FailedRecordCount` says how many of them are errors."""
    failed = sum(isinstance(outcome, Refusal) for outcome in outcomes)
    return kinesis({"FailedRecordCount": failed, "Records": [_placed(outcome) for outcome in outcomes]})


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
    return kinesis({"Records": entries, "NextShardIterator": next_iterator, "MillisBehindLatest": behind_ms})


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
