"""Streams and records out of answers as AWS shows them in its pages."""

from datetime import UTC, datetime

import pytest

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.eventlog.kinesis_shapes import records_of, stream_of
from pinterest_pipeline.eventlog.sequence import sequence_number

START = "49579844037727333356165064238440708846556371693205002258"
END = "49579844037738483728764329549999997671455131063164633090"
NEXT = "49579844037749634101363594861582244564829020124710982674"
SUMMARY = {
    "StreamName": "samplestream",
    "StreamARN": "arn:aws:kinesis:us-west-2:123456789012:stream/samplestream",
    "StreamStatus": "UPDATING",
    "StreamCreationTimestamp": datetime(2026, 11, 26, 7, 30, 0, 123_000, UTC),
    "RetentionPeriodHours": 24,
}
SHARDS = [
    {
        "ShardId": "shardId-000000000002",
        "ParentShardId": "shardId-000000000000",
        "AdjacentParentShardId": "shardId-000000000001",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "340282366920938463463374607431768211455"},
        "SequenceNumberRange": {"StartingSequenceNumber": NEXT},
    },
    {
        "ShardId": "shardId-000000000000",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "170141183460469231731687303715884105727"},
        "SequenceNumberRange": {"StartingSequenceNumber": START, "EndingSequenceNumber": END},
    },
]


def test_a_stream_of_aws() -> None:
    stream = stream_of(SUMMARY, SHARDS, {})
    assert (stream.status, stream.created_ms, stream.arn) == (
        "UPDATING", 1_795_678_200_123, SUMMARY["StreamARN"]
    )  # fmt: skip
    closed, opened = stream.shards
    assert (closed.number, opened.number, opened.parents) == (0, 2, (0, 1))
    assert stream.open_shards == [opened]
    assert [sequence_number(offset) for offset in (closed.start, closed.end, opened.start)] == [
        START,
        END,
        NEXT,
    ]
    assert (opened.first_hash, opened.last_hash) == ("0" * 32, "f" * 32)


def test_a_closed_shard_that_was_read_to_its_end_has_that_end() -> None:
    start = stream_of(SUMMARY, SHARDS, {}).shards[0].start
    assert stream_of(SUMMARY, SHARDS, {0: start + 5}).shards[0].end == start + 5


def test_records_of_aws() -> None:
    (record,) = records_of(
        0,
        [
            {
                "SequenceNumber": NEXT,
                "ApproximateArrivalTimestamp": datetime(2026, 11, 26, 7, 30, 0, 500_000, UTC),
                "Data": b"\x00\xff",
                "PartitionKey": "ключ",
            }
        ],
    )
    assert (sequence_number(record.offset), record.timestamp) == (NEXT, 1_795_678_200_500)
    assert (record.key, record.value) == ("ключ".encode(), b"\x00\xff")


def test_a_sequence_number_that_is_none_of_kinesis_is_refused() -> None:
    with pytest.raises(BadInput, match="sequence number"):
        records_of(0, [{"SequenceNumber": "17"}])
