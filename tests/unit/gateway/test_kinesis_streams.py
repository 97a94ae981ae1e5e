"""Kinesis' own API: streams and their shards, by the model of AWS and a clock that the tests set."""

import base64
import itertools
import json
from typing import Any

import pytest

from pinterest_pipeline.eventlog.partitioners import HASH_SPACE
from pinterest_pipeline.eventlog.sequence import shard_id
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.streams import HOUR_MS
from tests.unit.gateway.conftest import Clock
from tests.unit.gateway.kinesis_asking import Asking, Json, encoded

SHARDS = [shard_id(number) for number in range(10)]


def described(kinesis: Asking, stream: str) -> Json:
    found: Json = kinesis.ok("DescribeStream", StreamName=stream)["StreamDescription"]
    return found


def test_a_stream_is_created_described_and_deleted(kinesis: Asking, clock: Clock) -> None:
    kinesis.ok("CreateStream", StreamName="s", ShardCount=2, Tags={"team": "pins"})
    assert described(kinesis, "s")["StreamStatus"] == "CREATING"
    clock.now += 1_000
    found = described(kinesis, "s")
    assert (found["StreamStatus"], found["RetentionPeriodHours"], len(found["Shards"])) == ("ACTIVE", 24, 2)
    assert found["Shards"][1]["HashKeyRange"]["EndingHashKey"] == str(HASH_SPACE - 1)
    summary = kinesis.ok("DescribeStreamSummary", StreamARN=found["StreamARN"])["StreamDescriptionSummary"]
    assert (summary["OpenShardCount"], summary["StreamName"]) == (2, "s")
    kinesis.ok("DeleteStream", StreamName="s", EnforceConsumerDeletion=True)
    assert described(kinesis, "s")["StreamStatus"] == "DELETING"
    clock.now += 1_000
    message = kinesis.error("DescribeStream", "ResourceNotFoundException", StreamName="s")
    assert message == "Stream s under account 000000000000 not found."


def test_a_stream_that_is_not_active_refuses_changes(kinesis: Asking) -> None:
    kinesis.ok("CreateStream", StreamName="s", ShardCount=1)
    kind = "ResourceInUseException"
    assert "already exists" in kinesis.error("CreateStream", kind, StreamName="s", ShardCount=1)
    assert "CREATING" in kinesis.error("DeleteStream", kind, StreamName="s")
    assert "CREATING" in kinesis.error(
        "IncreaseStreamRetentionPeriod", kind, StreamName="s", RetentionPeriodHours=48
    )
    kinesis.error(
        "PutRecord", "ResourceNotFoundException", StreamName="s", Data=encoded("x"), PartitionKey="k"
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"ShardCount": 1}, "ValidationException"),
        ({"StreamName": "a b", "ShardCount": 1}, "ValidationException"),
        ({"StreamName": "a\n", "ShardCount": 1}, "ValidationException"),
        ({"StreamName": "s", "ShardCount": 0}, "ValidationException"),
        ({"StreamName": "s", "ShardCount": "1"}, "SerializationException"),
        ({"StreamName": "s"}, "InvalidArgumentException"),
        ({"StreamName": "s", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}, "InvalidArgumentException"),
        ({"StreamName": "s", "ShardCount": 1, "MaxRecordSizeInKiB": 2_048}, "InvalidArgumentException"),
        ({"StreamName": "s", "ShardCount": 2_000}, "LimitExceededException"),
    ],
)
def test_a_stream_that_cannot_be(kinesis: Asking, body: Json, kind: str) -> None:
    kinesis.error("CreateStream", kind, **body)
    assert kinesis.ok("ListStreams")["StreamNames"] == []


def test_streams_are_listed_page_by_page(kinesis: Asking, wire_log: SqliteStreamLog, clock: Clock) -> None:
    for number in range(5):
        wire_log.create(f"s{number}", 1)
    first = kinesis.ok("ListStreams", Limit=2)
    assert (first["StreamNames"], first["HasMoreStreams"]) == (["s0", "s1"], True)
    assert first["StreamSummaries"][0]["StreamStatus"] == "ACTIVE"
    second = kinesis.ok("ListStreams", Limit=2, NextToken=first["NextToken"])
    assert second["StreamNames"] == ["s2", "s3"]
    last = kinesis.ok("ListStreams", ExclusiveStartStreamName="s3")
    assert (last["StreamNames"], last["HasMoreStreams"]) == (["s4"], False)
    clock.now += 300_001
    kinesis.error("ListStreams", "ExpiredNextTokenException", NextToken=first["NextToken"])
    kinesis.error("ListStreams", "InvalidArgumentException", NextToken="x")


def test_a_token_that_is_nested_too_deeply_is_not_ours(kinesis: Asking) -> None:
    deep = b'[1,"s","s",1,{"Type":"AT_LATEST","a":' + 2_000 * b"[" + 2_000 * b"]" + b"}]"
    token = base64.urlsafe_b64encode(deep).decode()
    for operation in ("ListStreams", "ListShards"):
        kinesis.error(operation, "InvalidArgumentException", NextToken=token)


def test_a_token_goes_on_with_no_list_but_its_own(kinesis: Asking, wire_log: SqliteStreamLog) -> None:
    for name in ("first", "second"):
        wire_log.create(name, 2)
    of_streams = kinesis.ok("ListStreams", Limit=1)["NextToken"]
    of_shards = kinesis.ok("ListShards", StreamName="first", MaxResults=1)["NextToken"]
    said = "NextToken is not one that was given here."
    assert kinesis.error("ListStreams", "InvalidArgumentException", NextToken=of_shards) == said
    assert kinesis.error("ListShards", "InvalidArgumentException", NextToken=of_streams) == said


def test_a_stream_is_named_by_name_or_arn(kinesis: Asking, stream: str) -> None:
    arn = described(kinesis, stream)["StreamARN"]
    assert kinesis.ok("ListTagsForStream", StreamARN=arn, StreamName=stream)["Tags"] == []
    kind = "InvalidArgumentException"
    assert "either" in kinesis.error("DescribeStream", kind)
    kinesis.error("DescribeStream", kind, StreamName="other", StreamARN=arn)
    kinesis.error("DescribeStream", kind, StreamARN=arn.replace("aws:kinesis", "aws:kinesis:kinesis"))
    kinesis.error("DescribeStream", "ValidationException", StreamARN="arn:aws:s3:::bucket")


def test_tags(kinesis: Asking, stream: str) -> None:
    kinesis.ok("AddTagsToStream", StreamName=stream, Tags={"b": "2", "a": "1", "c": ""})
    kinesis.ok("RemoveTagsFromStream", StreamName=stream, TagKeys=["c", "unknown"])
    first = kinesis.ok("ListTagsForStream", StreamName=stream, Limit=1)
    assert first == {"Tags": [{"Key": "a", "Value": "1"}], "HasMoreTags": True}
    rest = kinesis.ok("ListTagsForStream", StreamName=stream, ExclusiveStartTagKey="a")
    assert rest == {"Tags": [{"Key": "b", "Value": "2"}], "HasMoreTags": False}
    many = {str(number): "" for number in range(49)}
    kinesis.error("AddTagsToStream", "LimitExceededException", StreamName=stream, Tags=many)


def test_only_a_request_with_data_may_be_large(kinesis: Asking, stream: str) -> None:
    """Ten megabytes of tags were all made into objects before they were counted: others waited a second."""
    tags = {f"{number:x}": "" for number in range(120_000)}
    body = json.dumps({"StreamName": stream, "Tags": tags}).encode()
    answer = kinesis.raw("AddTagsToStream", body)
    assert (answer.status_code, answer.json()["__type"]) == (400, "RequestEntityTooLargeException")
    most = {"😀" * 125 + f"{number:03}": "😀" * 256 for number in range(200)}
    message = kinesis.error("AddTagsToStream", "LimitExceededException", StreamName=stream, Tags=most)
    assert "50 tags" in message


def test_retention(kinesis: Asking, stream: str, clock: Clock) -> None:
    kinesis.put(stream, "old")
    clock.now += 30 * HOUR_MS
    assert kinesis.data(kinesis.iterator(stream, SHARDS[0])) == []
    kinesis.ok("IncreaseStreamRetentionPeriod", StreamName=stream, RetentionPeriodHours=48)
    assert kinesis.data(kinesis.iterator(stream, SHARDS[0])) == ["old"]
    kind = "InvalidArgumentException"
    for operation, hours, word in (
        ("Increase", 47, "shorter"), ("Increase", 8_761, "too long"), ("Decrease", 23, "too short"),
        ("Decrease", 49, "longer"),
    ):  # fmt: skip
        name = f"{operation}StreamRetentionPeriod"
        assert word in kinesis.error(name, kind, StreamName=stream, RetentionPeriodHours=hours)
    kinesis.ok("DecreaseStreamRetentionPeriod", StreamName=stream, RetentionPeriodHours=24)
    assert described(kinesis, stream)["RetentionPeriodHours"] == 24


def test_limits(kinesis: Asking, stream: str) -> None:
    assert kinesis.ok("DescribeLimits")["OpenShardCount"] == 1


def test_a_closed_shard_is_read_to_its_end_and_names_its_children(
    kinesis: Asking, stream: str, clock: Clock
) -> None:
    before = kinesis.put(stream, "a")["Records"][0]
    kinesis.ok(
        "SplitShard", StreamName=stream, ShardToSplit=SHARDS[0], NewStartingHashKey=str(HASH_SPACE // 2)
    )
    assert described(kinesis, stream)["StreamStatus"] == "UPDATING"
    after = kinesis.put(stream, "a")["Records"][0]
    assert after["ShardId"] in SHARDS[1:3]
    assert after["SequenceNumber"] > before["SequenceNumber"]
    ended = kinesis.ok("GetRecords", ShardIterator=kinesis.iterator(stream, SHARDS[0]))
    assert ended["NextShardIterator"] is None
    assert [child["ShardId"] for child in ended["ChildShards"]] == SHARDS[1:3]
    parent, child, _ = described(kinesis, stream)["Shards"]
    last = parent["SequenceNumberRange"]["EndingSequenceNumber"]
    assert last > before["SequenceNumber"]
    assert child["ParentShardId"] == SHARDS[0]
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        at_end = kinesis.iterator(stream, SHARDS[0], kind, StartingSequenceNumber=last)
        assert kinesis.ok("GetRecords", ShardIterator=at_end)["NextShardIterator"] is None
    clock.now += 1_000
    kinesis.ok("MergeShards", StreamName=stream, ShardToMerge=SHARDS[1], AdjacentShardToMerge=SHARDS[2])
    merged = described(kinesis, stream)["Shards"][-1]
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == (SHARDS[1], SHARDS[2])


def test_what_cannot_be_reshaped(kinesis: Asking, stream: str) -> None:
    half, kind = str(HASH_SPACE // 2), "InvalidArgumentException"
    for changes in ({"NewStartingHashKey": "0"}, {"ShardToSplit": "one"}):
        body = {"StreamName": stream, "ShardToSplit": SHARDS[0], "NewStartingHashKey": half} | changes
        kinesis.error("SplitShard", kind, **body)
    kinesis.error(
        "SplitShard", "ResourceNotFoundException", StreamName=stream, ShardToSplit=SHARDS[7],
        NewStartingHashKey=half,
    )  # fmt: skip
    kinesis.error(
        "MergeShards", kind, StreamName=stream, ShardToMerge=SHARDS[0], AdjacentShardToMerge=SHARDS[0]
    )
    scaling = {"StreamName": stream, "ScalingType": "UNIFORM_SCALING"}
    assert "double" in kinesis.error("UpdateShardCount", kind, TargetShardCount=3, **scaling)
    kinesis.ok("UpdateShardCount", TargetShardCount=2, **scaling)
    kinesis.error("UpdateShardCount", "ResourceInUseException", TargetShardCount=4, **scaling)


def test_the_count_of_shards_is_updated(kinesis: Asking, stream: str, clock: Clock) -> None:
    body = {"StreamName": stream, "ScalingType": "UNIFORM_SCALING"}
    for current, target in itertools.pairwise((1, 2, 3, 5, 3)):
        found = kinesis.ok("UpdateShardCount", TargetShardCount=target, **body)
        assert (found["CurrentShardCount"], found["TargetShardCount"]) == (current, target)
        clock.now += 1_000
    summary = kinesis.ok("DescribeStreamSummary", StreamName=stream)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 3


def test_shards_are_listed_page_by_page(kinesis: Asking, wire_log: SqliteStreamLog, clock: Clock) -> None:
    wire_log.create("five", 5)
    found = kinesis.ok("ListShards", StreamName="five", MaxResults=2)
    seen = [shard["ShardId"] for shard in found["Shards"]]
    while "NextToken" in found:
        last = found["NextToken"]
        found = kinesis.ok("ListShards", NextToken=last, MaxResults=2)
        seen += [shard["ShardId"] for shard in found["Shards"]]
    assert seen == SHARDS[:5]
    kinesis.error("ListShards", "InvalidArgumentException", NextToken=last, StreamName="five")
    clock.now += 300_001
    kinesis.error("ListShards", "ExpiredNextTokenException", NextToken=last)
    described = kinesis.ok("DescribeStream", StreamName="five", Limit=3, ExclusiveStartShardId=SHARDS[0])
    assert [shard["ShardId"] for shard in described["StreamDescription"]["Shards"]] == SHARDS[1:4]
    assert described["StreamDescription"]["HasMoreShards"] is True
    kinesis.error("ListShards", "ResourceNotFoundException", StreamName="five", StreamCreationTimestamp=1)


def test_filters_of_shards(kinesis: Asking, stream: str, clock: Clock) -> None:
    created = clock.now - 1_000
    clock.now += HOUR_MS
    kinesis.ok("UpdateShardCount", StreamName=stream, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    reshaped = clock.now
    clock.now += HOUR_MS

    def listed(kind: str, **more: Any) -> list[int]:
        found = kinesis.ok("ListShards", StreamName=stream, ShardFilter={"Type": kind, **more})
        return [SHARDS.index(shard["ShardId"]) for shard in found["Shards"]]

    assert listed("AT_LATEST") == [1, 2]
    assert listed("AT_TRIM_HORIZON") == [0]
    assert listed("FROM_TRIM_HORIZON") == [0, 1, 2]
    assert listed("AFTER_SHARD_ID", ShardId=SHARDS[0]) == [1, 2]
    assert listed("AT_TIMESTAMP", Timestamp=created / 1000) == [0]
    assert listed("AT_TIMESTAMP", Timestamp=reshaped / 1000) == [1, 2]
    assert listed("FROM_TIMESTAMP", Timestamp=created / 1000) == [0, 1, 2]
    assert listed("FROM_TIMESTAMP", Timestamp=reshaped / 1000) == [1, 2]
    clock.now += 24 * HOUR_MS
    assert listed("FROM_TRIM_HORIZON") == [1, 2]
    kind = "InvalidArgumentException"
    for wanted in (
        {"Type": "AT_TIMESTAMP"},
        {"Type": "AFTER_SHARD_ID"},
        {"Type": "AT_TIMESTAMP", "Timestamp": 9e9},
    ):
        kinesis.error("ListShards", kind, StreamName=stream, ShardFilter=wanted)
