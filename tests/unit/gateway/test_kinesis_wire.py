"""Kinesis' own API: every operation, by the model of AWS and a clock that the tests set."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.eventlog.partitioners import HASH_SPACE
from pinterest_pipeline.eventlog.sequence import sequence_number, shard_id
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.streams import HOUR_MS
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.scopes import Grant
from tests.unit.gateway.kinesis_asking import Asking, Json, encoded

SHARDS = [shard_id(number) for number in range(10)]


class Clock:
    """Milliseconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[SqliteStreamLog]:
    log = SqliteStreamLog(tmp_path / "wire.sqlite", 2**20, transition_seconds=1, clock=clock)
    yield log
    log.close()


@pytest.fixture
def kinesis(log: SqliteStreamLog, topics: SqliteEventLog) -> Asking:
    return Asking(create_app(GatewaySettings(), topics, log))


@pytest.fixture
def stream(kinesis: Asking, clock: Clock) -> str:
    """A stream of one shard that is ACTIVE."""
    kinesis.ok("CreateStream", StreamName="stream", ShardCount=1)
    clock.now += 1_000
    return "stream"


def described(kinesis: Asking, stream: str) -> Json:
    found: Json = kinesis.ok("DescribeStream", StreamName=stream)["StreamDescription"]
    return found


# Streams


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


def test_streams_are_listed_page_by_page(kinesis: Asking, log: SqliteStreamLog, clock: Clock) -> None:
    for number in range(5):
        log.create(f"s{number}", 1)
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


# Records


def test_records_go_in_and_come_out(kinesis: Asking, stream: str) -> None:
    one = kinesis.ok("PutRecord", StreamName=stream, Data=encoded("é"), PartitionKey="ключ")
    assert one == {"SequenceNumber": sequence_number(0), "ShardId": SHARDS[0]}
    assert kinesis.put(stream, "a", "b")["FailedRecordCount"] == 0
    found = kinesis.ok("GetRecords", ShardIterator=kinesis.iterator(stream, SHARDS[0]), Limit=2)
    assert [record["PartitionKey"] for record in found["Records"]] == ["ключ", "a"]
    assert found["MillisBehindLatest"] >= 0
    assert kinesis.data(found["NextShardIterator"]) == ["b"]


def test_an_explicit_hash_key_chooses_the_shard(kinesis: Asking, log: SqliteStreamLog) -> None:
    log.create("two", 2)
    for number in range(2):
        key = str(number * HASH_SPACE // 2)
        put = kinesis.ok(
            "PutRecord", StreamName="two", Data="", PartitionKey="k", ExplicitHashKey=key,
            SequenceNumberForOrdering="0",
        )  # fmt: skip
        assert put["ShardId"] == SHARDS[number]
    message = kinesis.error(
        "PutRecord", "InvalidArgumentException", StreamName="two", Data="", PartitionKey="k",
        ExplicitHashKey=str(HASH_SPACE),
    )  # fmt: skip
    assert str(HASH_SPACE) in message


def entry(**changes: Any) -> Json:
    return {"Data": encoded("x"), "PartitionKey": "k"} | changes


@pytest.mark.parametrize(
    ("records", "kind", "said"),
    [
        (
            [],
            "ValidationException",
            "at 'records' failed to satisfy constraint: Member must have length",
        ),
        ([entry()] * 501, "ValidationException", "less than or equal to 500"),
        ([entry(), entry(PartitionKey="")], "ValidationException", "'records.2.member.partitionKey'"),
        ([entry(PartitionKey="k" * 257)], "ValidationException", "less than or equal to 256"),
        ([entry(ExplicitHashKey="01")], "ValidationException", "regular expression pattern: (0|"),
        ([{"Data": ""}], "ValidationException", "Value null at 'records.1.member.partitionKey'"),
        ([entry(Data="not base64!")], "SerializationException", "records.1.member.data"),
        ([entry(Data=7)], "SerializationException", "records.1.member.data"),
        ("x", "SerializationException", "'records'"),
        ([entry(), entry(Data=encoded("x" * 2**20))], "ValidationException", "records.2.member.data"),
    ],
)
def test_records_that_cannot_be(kinesis: Asking, stream: str, records: Any, kind: str, said: str) -> None:
    assert said in kinesis.error("PutRecords", kind, StreamName=stream, Records=records)
    assert kinesis.data(kinesis.iterator(stream, SHARDS[0])) == []


def test_five_kinds_of_iterators(kinesis: Asking, stream: str, clock: Clock) -> None:
    numbers = []
    for key in "abc":
        clock.now += 1_000
        numbers.append(kinesis.put(stream, key)["Records"][0]["SequenceNumber"])

    def read(kind: str, **more: Any) -> list[str]:
        return kinesis.data(kinesis.iterator(stream, SHARDS[0], kind, **more))

    assert read("TRIM_HORIZON") == ["a", "b", "c"]
    assert read("LATEST") == []
    assert read("AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == ["b", "c"]
    assert read("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == ["c"]
    assert read("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2]) == []
    assert read("AT_TIMESTAMP", Timestamp=(clock.now - 1_000) / 1000) == ["b", "c"]
    assert read("AT_TIMESTAMP", Timestamp=clock.now / 1000) == ["c"]
    latest = kinesis.iterator(stream, SHARDS[0], "LATEST")
    kinesis.put(stream, "d")
    assert kinesis.data(latest) == ["d"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"ShardIteratorType": "SOMETIMES"}, "ValidationException"),
        ({"ShardIteratorType": "LATEST", "StartingSequenceNumber": "0"}, "InvalidArgumentException"),
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER"}, "InvalidArgumentException"),
        ({"ShardIteratorType": "AT_TIMESTAMP"}, "InvalidArgumentException"),
        ({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 9e9}, "InvalidArgumentException"),
        (
            {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "7"},
            "InvalidArgumentException",
        ),
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "x"}, "ValidationException"),
        (
            {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": sequence_number(9)},
            "InvalidArgumentException",
        ),
        ({"ShardIteratorType": "LATEST", "ShardId": SHARDS[1]}, "ResourceNotFoundException"),
        ({"ShardIteratorType": "LATEST", "ShardId": "one"}, "InvalidArgumentException"),
        ({"ShardIteratorType": "LATEST", "StreamName": "nobody"}, "ResourceNotFoundException"),
        ({"ShardIteratorType": "LATEST", "DryRun": True}, "InvalidArgumentException"),
    ],
)
def test_iterators_that_cannot_be(kinesis: Asking, stream: str, body: Json, kind: str) -> None:
    kinesis.error("GetShardIterator", kind, **({"StreamName": stream, "ShardId": SHARDS[0]} | body))


def test_an_iterator_expires_after_five_minutes(kinesis: Asking, stream: str, clock: Clock) -> None:
    token = kinesis.iterator(stream, SHARDS[0])
    clock.now += 300_000
    following = kinesis.ok("GetRecords", ShardIterator=token)["NextShardIterator"]
    clock.now += 1
    assert "300000" in kinesis.error("GetRecords", "ExpiredIteratorException", ShardIterator=token)
    kinesis.ok("GetRecords", ShardIterator=following)
    kinesis.error("GetRecords", "InvalidArgumentException", ShardIterator="x")
    kinesis.error("GetRecords", "ValidationException", ShardIterator=following, Limit=10_001)


def test_an_iterator_of_a_stream_that_is_gone(kinesis: Asking, stream: str, log: SqliteStreamLog) -> None:
    token = kinesis.iterator(stream, SHARDS[0])
    log.delete(stream)
    kinesis.error("GetRecords", "ResourceNotFoundException", ShardIterator=token)
    log.create(stream, 1)
    kinesis.error("GetRecords", "InvalidArgumentException", ShardIterator=token)


def test_a_read_has_ten_mebibytes_at_most(kinesis: Asking, stream: str, log: SqliteStreamLog) -> None:
    log.append(stream, [Record(bytes(1_000_000), b"k")] * 12).result()
    found = kinesis.ok("GetRecords", ShardIterator=kinesis.iterator(stream, SHARDS[0]))
    assert len(found["Records"]) == 10
    assert len(kinesis.ok("GetRecords", ShardIterator=found["NextShardIterator"])["Records"]) == 2


def test_how_far_behind_a_read_is(kinesis: Asking, stream: str, clock: Clock) -> None:
    kinesis.put(stream, "a", "b")
    clock.now += 5_000
    found = kinesis.ok("GetRecords", ShardIterator=kinesis.iterator(stream, SHARDS[0]), Limit=1)
    assert found["MillisBehindLatest"] == 5_000
    assert kinesis.ok("GetRecords", ShardIterator=found["NextShardIterator"])["MillisBehindLatest"] == 0


# Shards


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


def test_shards_are_listed_page_by_page(kinesis: Asking, log: SqliteStreamLog, clock: Clock) -> None:
    log.create("five", 5)
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


def test_true_limits_and_true_partial_failures(tmp_path: Path, topics: SqliteEventLog, clock: Clock) -> None:
    log = SqliteStreamLog(tmp_path / "limited.sqlite", 2**20, limits=True, clock=clock)
    log.create("s", 1)
    kinesis = Asking(create_app(GatewaySettings(), topics, log))
    outcomes = [kinesis.put("s", *(str(number) for number in range(500))) for _ in range(3)]
    assert [outcome["FailedRecordCount"] for outcome in outcomes] == [0, 0, 500]
    assert outcomes[2]["Records"][0] == {
        "ErrorCode": "ProvisionedThroughputExceededException",
        "ErrorMessage": f"Rate exceeded for shard {SHARDS[0]} in stream s under account 000000000000",
    }
    kind = "ProvisionedThroughputExceededException"
    body = {"StreamName": "s", "Data": encoded("x"), "PartitionKey": "k"}
    assert SHARDS[0] in kinesis.error("PutRecord", kind, **body)
    token = kinesis.iterator("s", SHARDS[0])
    for _ in range(5):
        assert len(kinesis.data(token)) == 1_000
    assert SHARDS[0] in kinesis.error("GetRecords", kind, ShardIterator=token)
    clock.now += 1_000
    kinesis.ok("PutRecord", **body)
    log.close()


# The wire


def test_what_is_not_answered_says_what_is(kinesis: Asking) -> None:
    for target in ("SubscribeToShard", "Nonsense"):
        assert "PutRecords" in kinesis_error(kinesis.raw(target, b"{}"), "UnknownOperationException")


def kinesis_error(answer: Any, kind: str, status: int = 400) -> str:
    assert (answer.status_code, answer.json()["__type"]) == (status, kind)
    assert answer.headers["x-amzn-requestid"]
    return str(answer.json()["message"])


def test_bodies_that_are_no_request(kinesis: Asking) -> None:
    for body in (b"{", b"[]", b'{"StreamName":"\xff"}', b"null", b"[" * 100_000):
        kinesis_error(kinesis.raw("DescribeStream", body), "SerializationException")
    cbor = kinesis.raw("DescribeStream", b"{}", Content_Type="application/x-amz-cbor-1.1")
    assert "x-amz-json-1.1" in kinesis_error(cbor, "UnsupportedMediaTypeException")


def test_a_caller_without_a_target_gets_the_root_of_the_rest_proxy(client: Any) -> None:
    assert client.send("POST", "/").json() == {}


def test_scopes_hold_for_the_stream_in_the_body(
    log: SqliteStreamLog, topics: SqliteEventLog, clock: Clock
) -> None:
    for name in ("mine", "other"):
        log.create(name, 1)
    grant = Grant(["read:stream:mine", "write:stream:mine"])
    refused: list[str] = []

    def guard(request: Any, _: Any) -> None:
        request.scope["grant"] = grant
        request.scope["refuse"] = lambda name, _: refused.append(name)

    kinesis = Asking(create_app(GatewaySettings(), topics, log, guards=(guard,)))
    assert kinesis.put("mine", "a")["FailedRecordCount"] == 0
    assert kinesis.ok("ListStreams")["StreamNames"] == ["mine"]
    arn = kinesis.ok("DescribeStream", StreamName="mine")["StreamDescription"]["StreamARN"]
    token = Asking(create_app(GatewaySettings(), topics, log)).iterator("other", SHARDS[0])
    kind = "AccessDeniedException"
    kinesis.error("PutRecord", kind, StreamName="other", Data="", PartitionKey="k")
    kinesis.error("PutRecord", kind, StreamARN=arn.replace("mine", "other"), Data="", PartitionKey="k")
    kinesis.error("GetRecords", kind, ShardIterator=token)
    kinesis.error("DeleteStream", kind, StreamName="mine")
    kinesis.error("CreateStream", kind, StreamName="new", ShardCount=1)
    assert refused == ["other", "other", "other", "mine", "new"]
