"""What the Kinesis half answers, in the shapes of AWS (pure)."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from pinterest_pipeline.eventlog.base import Receipt, Refusal, StoredRecord, TopicDescription
from pinterest_pipeline.eventlog.partitioners import hash_range
from pinterest_pipeline.eventlog.sequence import sequence_number, shard_id
from pinterest_pipeline.gateway.error_codes import REFUSED, Fault
from pinterest_pipeline.gateway.responses import Answer, kinesis

_ARN: Final = "arn:aws:kinesis:us-east-1:000000000000:stream/"
_RETENTION_HOURS: Final = 8_760  # the longest Kinesis knows; the log keeps everything

Seconds = Annotated[float, msgspec.Meta(description="Seconds since 1970")]


class Nothing(Struct):
    """An empty object."""


class Placed(Struct, rename="pascal"):
    """Where a record was appended."""

    sequence_number: str
    shard_id: str


class PlacedOrNot(Struct, rename="pascal"):
    """Where a record was appended, or why not: the first two fields or the last two."""

    sequence_number: str | UnsetType = UNSET
    shard_id: str | UnsetType = UNSET
    error_code: str | UnsetType = UNSET
    error_message: str | UnsetType = UNSET


class PlacedRecords(Struct, rename="pascal"):
    """One entry for each record of the request, in order; how many of them are errors."""

    failed_record_count: int
    records: list[PlacedOrNot]


class StreamRecord(Struct, rename="pascal"):
    """A record of a shard; data in base64."""

    sequence_number: str
    approximate_arrival_timestamp: Seconds
    data: bytes
    partition_key: str


class Records(Struct, rename="pascal"):
    """Records of a shard, and how to go on behind them."""

    records: list[StreamRecord]
    next_shard_iterator: str
    millis_behind_latest: int


class ShardIterator(Struct, rename="pascal"):
    """A place in a shard."""

    shard_iterator: str


class StreamMode(Struct, rename="pascal"):
    """How the number of shards is decided."""

    stream_mode: Literal["PROVISIONED"] = "PROVISIONED"


class StreamSummary(Struct, rename="pascal", kw_only=True):
    """A stream."""

    stream_name: str
    stream_arn: str = msgspec.field(name="StreamARN")
    stream_status: Literal["ACTIVE"] = "ACTIVE"
    stream_mode_details: StreamMode
    stream_creation_timestamp: Seconds


class HashKeyRange(Struct, rename="pascal"):
    """The hash keys of a shard, both included."""

    starting_hash_key: str
    ending_hash_key: str


class SequenceNumberRange(Struct, rename="pascal"):
    """The sequence numbers of a shard; an open one has no end."""

    starting_sequence_number: str


class Shard(Struct, rename="pascal"):
    """A shard of a stream."""

    shard_id: str
    hash_key_range: HashKeyRange
    sequence_number_range: SequenceNumberRange


class Metrics(Struct, rename="pascal"):
    """Metrics of single shards; none are kept."""

    shard_level_metrics: list[str]


class StreamDescription(StreamSummary, rename="pascal", kw_only=True):
    """A stream and its shards."""

    shards: list[Shard]
    has_more_shards: bool = False
    retention_period_hours: int = _RETENTION_HOURS
    enhanced_monitoring: list[Metrics]
    encryption_type: Literal["NONE"] = "NONE"


class DescribedStream(Struct, rename="pascal"):
    """The answer of DescribeStream."""

    stream_description: StreamDescription


class Streams(Struct, rename="pascal"):
    """All streams."""

    has_more_streams: bool
    stream_names: list[str]
    stream_summaries: list[StreamSummary]


def record_put(outcome: Receipt | Refusal) -> Answer | Fault:
    if isinstance(outcome, Refusal):
        return Fault(REFUSED[outcome.code], outcome.reason)
    return kinesis(Placed(sequence_number(outcome.offset), shard_id(outcome.partition)), records=1)


def records_put(outcomes: Sequence[Receipt | Refusal]) -> Answer:
    failed = sum(isinstance(outcome, Refusal) for outcome in outcomes)
    return kinesis(
        PlacedRecords(failed, [_placed(outcome) for outcome in outcomes]), records=len(outcomes) - failed
    )


def _placed(outcome: Receipt | Refusal) -> PlacedOrNot:
    if isinstance(outcome, Refusal):
        return PlacedOrNot(error_code=REFUSED[outcome.code].kinesis, error_message=outcome.reason)
    return PlacedOrNot(sequence_number(outcome.offset), shard_id(outcome.partition))


def records(stored: Iterable[StoredRecord], next_iterator: str, behind_ms: int) -> Answer:
    entries = [
        StreamRecord(
            sequence_number(record.offset),
            record.timestamp / 1000,
            record.value or b"",
            (record.key or b"").decode(errors="replace"),
        )
        for record in stored
    ]
    return kinesis(Records(entries, next_iterator, behind_ms), records=len(entries))


def streams(descriptions: Sequence[TopicDescription]) -> Answer:
    names = [description.name for description in descriptions]
    return kinesis(Streams(False, names, [_summary(description) for description in descriptions]))


def _summary(known: TopicDescription) -> StreamSummary:
    return StreamSummary(
        stream_name=known.name,
        stream_arn=_ARN + known.name,
        stream_mode_details=StreamMode(),
        stream_creation_timestamp=known.created_ms / 1000,
    )


def stream(known: TopicDescription) -> Answer:
    description = StreamDescription(
        stream_name=known.name,
        stream_arn=_ARN + known.name,
        stream_mode_details=StreamMode(),
        stream_creation_timestamp=known.created_ms / 1000,
        shards=[_shard(number, known.partitions) for number in range(known.partitions)],
        enhanced_monitoring=[Metrics([])],
    )
    return kinesis(DescribedStream(description))


def _shard(number: int, shards: int) -> Shard:
    first, last = hash_range(number, shards)
    return Shard(
        shard_id(number), HashKeyRange(str(first), str(last)), SequenceNumberRange(sequence_number(0))
    )
