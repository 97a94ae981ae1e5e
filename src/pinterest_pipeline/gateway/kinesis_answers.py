"""What the Kinesis half answers, in the shapes of AWS (pure)."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from pinterest_pipeline.eventlog import streams
from pinterest_pipeline.eventlog.base import Receipt, Refusal, StoredRecord
from pinterest_pipeline.eventlog.sequence import sequence_number, shard_id
from pinterest_pipeline.eventlog.streams import Status, Stream
from pinterest_pipeline.gateway.error_codes import REFUSED, Fault
from pinterest_pipeline.gateway.responses import Answer, kinesis

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


class Counted(NamedTuple):
    """What to answer with, and how many records it acknowledges or holds."""

    content: Any
    records: int


class PlacedRecords(Struct, rename="pascal"):
    """One entry for each record of the request, in order; how many of them are errors."""

    failed_record_count: int
    records: list[PlacedOrNot]


class RecordPut(Placed, rename="pascal"):
    """Where a record was appended; a hint when its data look as if they were encoded twice."""

    hint: str | UnsetType = UNSET


class RecordsPut(PlacedRecords, rename="pascal"):
    """One entry for each record; a hint when data look as if they were encoded twice."""

    hint: str | UnsetType = UNSET


class StreamRecord(Struct, rename="pascal"):
    """A record of a shard; data in base64."""

    sequence_number: str
    approximate_arrival_timestamp: Seconds
    data: bytes
    partition_key: str


class HashKeyRange(Struct, rename="pascal"):
    """The hash keys of a shard, both included."""

    starting_hash_key: str
    ending_hash_key: str


class ChildShard(Struct, rename="pascal"):
    """A shard that goes on where one ended."""

    shard_id: str
    parent_shards: list[str]
    hash_key_range: HashKeyRange


class Records(Struct, rename="pascal"):
    """Records of a shard, and how to go on behind them: in its children, when the iterator is null."""

    records: list[StreamRecord]
    next_shard_iterator: str | None
    millis_behind_latest: int
    child_shards: list[ChildShard] | UnsetType = UNSET


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
    stream_status: Status
    stream_mode_details: StreamMode
    stream_creation_timestamp: Seconds


class SequenceNumberRange(Struct, rename="pascal"):
    """The sequence numbers of a shard; an open one has no end."""

    starting_sequence_number: str
    ending_sequence_number: str | UnsetType = UNSET


class Shard(Struct, rename="pascal"):
    """A shard of a stream."""

    shard_id: str
    hash_key_range: HashKeyRange
    sequence_number_range: SequenceNumberRange
    parent_shard_id: str | UnsetType = UNSET
    adjacent_parent_shard_id: str | UnsetType = UNSET


class Metrics(Struct, rename="pascal"):
    """Metrics of single shards; none are kept."""

    shard_level_metrics: list[str]


class StreamDescription(StreamSummary, rename="pascal", kw_only=True):
    """A stream and its shards."""

    shards: list[Shard]
    has_more_shards: bool = False
    retention_period_hours: int
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
    next_token: str | UnsetType = UNSET


def record_placed(outcome: Receipt | Refusal) -> Placed | Fault:
    if isinstance(outcome, Refusal):
        return Fault(REFUSED[outcome.code], outcome.reason)
    return Placed(sequence_number(outcome.offset), shard_id(outcome.partition))


def records_placed(outcomes: Sequence[Receipt | Refusal]) -> PlacedRecords:
    failed = sum(isinstance(outcome, Refusal) for outcome in outcomes)
    return PlacedRecords(failed, [_placed(outcome) for outcome in outcomes])


def record_put(outcome: Receipt | Refusal, hint: str | None) -> Answer | Fault:
    placed = record_placed(outcome)
    if isinstance(placed, Fault):
        return placed
    return kinesis(RecordPut(placed.sequence_number, placed.shard_id, hint or UNSET), records=1)


def records_put(outcomes: Sequence[Receipt | Refusal], hint: str | None) -> Answer:
    placed = records_placed(outcomes)
    content = RecordsPut(placed.failed_record_count, placed.records, hint or UNSET)
    return kinesis(content, records=len(outcomes) - placed.failed_record_count)


def _placed(outcome: Receipt | Refusal) -> PlacedOrNot:
    if isinstance(outcome, Refusal):
        return PlacedOrNot(error_code=REFUSED[outcome.code].kinesis, error_message=outcome.reason)
    return PlacedOrNot(sequence_number(outcome.offset), shard_id(outcome.partition))


def records(
    stored: Iterable[StoredRecord],
    next_iterator: str | None,
    behind_ms: int,
    children: Iterable[streams.Shard] | None,
) -> Records:
    """Records of a shard; `children` are told at its end."""
    entries = [
        StreamRecord(
            sequence_number(record.offset),
            record.timestamp / 1000,
            record.value or b"",
            (record.key or b"").decode(errors="replace"),
        )
        for record in stored
    ]
    found = UNSET if children is None else [_child(child) for child in children]
    return Records(entries, next_iterator, behind_ms, found)


def _child(shard: streams.Shard) -> ChildShard:
    return ChildShard(shard_id(shard.number), [shard_id(parent) for parent in shard.parents], _range(shard))


def listed(known: Sequence[Stream], next_token: str | UnsetType = UNSET) -> Streams:
    """Streams; a token says that there are more of them."""
    names = [stream.name for stream in known]
    return Streams(next_token is not UNSET, names, [summary(stream) for stream in known], next_token)


def summary(known: Stream) -> StreamSummary:
    return StreamSummary(
        stream_name=known.name,
        stream_arn=known.arn,
        stream_status=known.status,
        stream_mode_details=StreamMode(),
        stream_creation_timestamp=known.created_ms / 1000,
    )


def stream(known: Stream, shards: Sequence[streams.Shard], *, has_more: bool = False) -> DescribedStream:
    """A stream with these of its shards."""
    return DescribedStream(
        StreamDescription(
            stream_name=known.name,
            stream_arn=known.arn,
            stream_status=known.status,
            stream_mode_details=StreamMode(),
            stream_creation_timestamp=known.created_ms / 1000,
            shards=[shard(one) for one in shards],
            has_more_shards=has_more,
            retention_period_hours=known.retention_hours,
            enhanced_monitoring=[Metrics([])],
        )
    )


def shard(known: streams.Shard) -> Shard:
    end = UNSET if known.closed_ms is None else sequence_number(known.end)
    return Shard(
        shard_id(known.number),
        _range(known),
        SequenceNumberRange(sequence_number(known.start), end),
        UNSET if known.parent is None else shard_id(known.parent),
        UNSET if known.adjacent_parent is None else shard_id(known.adjacent_parent),
    )


def _range(known: streams.Shard) -> HashKeyRange:
    return HashKeyRange(str(int(known.first_hash, 16)), str(int(known.last_hash, 16)))
