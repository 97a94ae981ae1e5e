"""Streams, shards and records out of the answers of Kinesis (pure)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pinterest_pipeline.eventlog.base import StoredRecord
from pinterest_pipeline.eventlog.sequence import offset_of, partition_of
from pinterest_pipeline.eventlog.streams import Shard, Stream, hexadecimal


def stream_of(
    summary: Mapping[str, Any], shards: Iterable[Mapping[str, Any]], ends: Mapping[int, int]
) -> Stream:
    """A stream from the answers of DescribeStreamSummary and ListShards; `ends` are shards' known ends."""
    found = [shard_of(shard, ends) for shard in shards]
    return Stream(
        name=summary["StreamName"],
        arn=summary["StreamARN"],
        id=0,
        created_ms=milliseconds(summary["StreamCreationTimestamp"]),
        status=summary["StreamStatus"],
        retention_hours=summary["RetentionPeriodHours"],
        tags={},
        shards=tuple(sorted(found, key=lambda shard: shard.number)),
        horizon_ms=0,
    )


def shard_of(found: Mapping[str, Any], ends: Mapping[int, int]) -> Shard:
    number = partition_of(found["ShardId"])
    hash_keys, numbers = found["HashKeyRange"], found["SequenceNumberRange"]
    start = offset_of(numbers["StartingSequenceNumber"])
    last = numbers.get("EndingSequenceNumber")
    return Shard(
        number=number,
        id=number,
        first_hash=hexadecimal(int(hash_keys["StartingHashKey"])),
        last_hash=hexadecimal(int(hash_keys["EndingHashKey"])),
        parent=_number(found.get("ParentShardId")),
        adjacent_parent=_number(found.get("AdjacentParentShardId")),
        start=start,
        beginning=start,
        end=start if last is None else ends.get(number, offset_of(last)),
        created_ms=0,
        closed_ms=None if last is None else 0,
    )


def records_of(shard: int, found: Iterable[Mapping[str, Any]]) -> list[StoredRecord]:
    return [
        StoredRecord(
            shard,
            offset_of(record["SequenceNumber"]),
            milliseconds(record["ApproximateArrivalTimestamp"]),
            record["PartitionKey"].encode(),
            record["Data"],
        )
        for record in found
    ]


def milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _number(shard: str | None) -> int | None:
    return None if shard is None else partition_of(shard)
