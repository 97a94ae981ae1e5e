"""boto3, unchanged, against a real gateway: every operation, every error, and what kill -9 leaves."""

import itertools
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (  # type: ignore[import-untyped] # it has no types
    BotoCoreError,
    ClientError,
)

from pinterest_pipeline.eventlog.sequence import shard_id
from tests.services.kinesis_process import KinesisGateway, kinesis_gateway

pytestmark = pytest.mark.services

HALF = str(2**127)
SHARDS = [shard_id(number) for number in range(6)]
KILLS = 12


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[KinesisGateway]:
    with kinesis_gateway(tmp_path) as found:
        yield found


@pytest.fixture
def client(gateway: KinesisGateway) -> Any:
    return gateway.client()


def make(gateway: KinesisGateway, client: Any, name: str = "s", shards: int = 1) -> str:
    """A stream that is ACTIVE."""
    client.create_stream(StreamName=name, ShardCount=shards)
    gateway.advance(1)
    return name


def fails(kind: str, call: Any, **body: Any) -> str:
    """The message of an error of boto3's own class for it, or of the plain one."""
    with pytest.raises(ClientError) as caught:
        call(**body)
    assert caught.value.response["Error"]["Code"] == kind
    return str(caught.value.response["Error"]["Message"])


def read(client: Any, stream: str, shard: str) -> list[bytes]:
    """Every record of a shard, to its end or to where it stands."""
    token = client.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    found: list[bytes] = []
    while token:
        answer = client.get_records(ShardIterator=token)
        found += [record["Data"] for record in answer["Records"]]
        if not answer["Records"]:
            break
        token = answer.get("NextShardIterator")
    return found


def everything(client: Any, stream: str) -> list[bytes]:
    shards = [shard["ShardId"] for page in pages(client, stream) for shard in page["Shards"]]
    return [data for shard in shards for data in read(client, stream, shard)]


def pages(client: Any, stream: str) -> Any:
    return client.get_paginator("list_shards").paginate(StreamName=stream)


def test_the_life_of_a_stream(gateway: KinesisGateway, client: Any) -> None:
    client.create_stream(StreamName="s", ShardCount=2, Tags={"team": "pins"})
    assert client.describe_stream(StreamName="s")["StreamDescription"]["StreamStatus"] == "CREATING"
    fails("ResourceInUseException", client.create_stream, StreamName="s", ShardCount=1)
    gateway.advance(1)
    client.get_waiter("stream_exists").wait(StreamName="s")
    summary = client.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]
    assert (summary["StreamStatus"], summary["OpenShardCount"]) == ("ACTIVE", 2)
    client.add_tags_to_stream(StreamName="s", Tags={"a": "1"})
    client.remove_tags_from_stream(StreamName="s", TagKeys=["team"])
    assert client.list_tags_for_stream(StreamName="s")["Tags"] == [{"Key": "a", "Value": "1"}]
    client.increase_stream_retention_period(StreamName="s", RetentionPeriodHours=48)
    client.decrease_stream_retention_period(StreamName="s", RetentionPeriodHours=30)
    assert client.describe_limits()["OpenShardCount"] == 2
    listed = client.get_paginator("list_streams").paginate()
    assert [name for page in listed for name in page["StreamNames"]] == ["s"]
    client.delete_stream(StreamName="s")
    gateway.advance(1)
    client.get_waiter("stream_not_exists").wait(StreamName="s")


def test_records_and_all_iterators(gateway: KinesisGateway, client: Any) -> None:
    stream = make(gateway, client, shards=2)
    one = client.put_record(StreamName=stream, Data=b"\x00\xff", PartitionKey="k", ExplicitHashKey="0")
    assert one["ShardId"] == SHARDS[0]
    data = [b"%d" % number for number in range(500)]
    entries = [{"Data": one, "PartitionKey": str(one)} for one in data]
    put = client.put_records(StreamName=stream, Records=entries)
    assert put["FailedRecordCount"] == 0
    assert sorted(everything(client, stream)) == sorted([b"\x00\xff", *data])
    for more, first in (
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": one["SequenceNumber"]}, 0),
        ({"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": one["SequenceNumber"]}, 1),
        ({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1}, 0),
        ({"ShardIteratorType": "TRIM_HORIZON"}, 0),
    ):
        token = client.get_shard_iterator(StreamName=stream, ShardId=SHARDS[0], **more)["ShardIterator"]
        found = client.get_records(ShardIterator=token, Limit=1)["Records"][0]
        assert (found["Data"] == b"\x00\xff") == (first == 0)
    latest = client.get_shard_iterator(StreamName=stream, ShardId=SHARDS[0], ShardIteratorType="LATEST")
    assert client.get_records(ShardIterator=latest["ShardIterator"])["Records"] == []


def test_reshards_keep_every_record(gateway: KinesisGateway, client: Any) -> None:
    stream, sent = make(gateway, client), 0

    def put() -> int:
        entries = [{"Data": b"%d" % (sent + n), "PartitionKey": str(n)} for n in range(50)]
        assert client.put_records(StreamName=stream, Records=entries)["FailedRecordCount"] == 0
        gateway.advance(1)
        return sent + 50

    sent = put()
    client.split_shard(StreamName=stream, ShardToSplit=SHARDS[0], NewStartingHashKey=HALF)
    sent = put()
    client.merge_shards(StreamName=stream, ShardToMerge=SHARDS[1], AdjacentShardToMerge=SHARDS[2])
    sent = put()
    client.update_shard_count(StreamName=stream, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    sent = put()
    assert sorted(map(int, everything(client, stream))) == list(range(sent))


def test_errors_have_the_classes_of_boto3(gateway: KinesisGateway, client: Any) -> None:
    stream = make(gateway, client)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_stream(StreamName="nobody")
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.get_records(ShardIterator="x")
    token = client.get_shard_iterator(StreamName=stream, ShardId=SHARDS[0], ShardIteratorType="LATEST")[
        "ShardIterator"
    ]
    gateway.advance(301)
    with pytest.raises(client.exceptions.ExpiredIteratorException):
        client.get_records(ShardIterator=token)
    with pytest.raises(client.exceptions.LimitExceededException):
        client.create_stream(StreamName="wide", ShardCount=5_000)
    with pytest.raises(client.exceptions.ResourceInUseException):
        client.create_stream(StreamName=stream, ShardCount=1)
    fails("ValidationException", client.put_records, StreamName=stream, Records=[])
    fails("ValidationException", client.create_stream, StreamName="a b", ShardCount=1)
    fails("SerializationException", client.create_stream, StreamName="s2", ShardCount="one")
    supported = fails("UnknownOperationException", client.list_stream_consumers, StreamARN="x")
    assert "PutRecords" in supported


def test_a_writer_beyond_the_limits_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with kinesis_gateway(tmp_path, limits="limits") as gateway:
        client = gateway.client()
        stream = make(gateway, client)
        waiting = [{"Data": b"%d" % number, "PartitionKey": "k"} for number in range(3_000)]
        throttled = 0
        while waiting:
            batch = waiting[:500]
            outcomes = client.put_records(StreamName=stream, Records=batch)["Records"]
            failed = [entry for entry, one in zip(batch, outcomes, strict=True) if "ErrorCode" in one]
            assert {one["ErrorCode"] for one in outcomes if "ErrorCode" in one} <= {
                "ProvisionedThroughputExceededException"
            }
            throttled += len(failed)
            waiting = failed + waiting[500:]
            if failed:
                gateway.advance(0.5)
        assert throttled > 0
        gateway.advance(10)
        found = read(client, stream, SHARDS[0])
        assert sorted(map(int, found)) == list(range(3_000))
        gateway.advance(10)
        token = client.get_shard_iterator(StreamName=stream, ShardId=SHARDS[0], ShardIteratorType="LATEST")[
            "ShardIterator"
        ]
        with pytest.raises(client.exceptions.ProvisionedThroughputExceededException):
            read_again_and_again(client, token)


def read_again_and_again(client: Any, token: str) -> None:
    for _ in range(1_000):
        client.get_records(ShardIterator=token)


def test_keys_hold_for_the_wire_api(tmp_path: Path) -> None:
    with kinesis_gateway(tmp_path, access="keys") as gateway:
        fails("UnrecognizedClientException", gateway.client().list_streams)
        fails("InvalidSignatureException", gateway.client(pair=(gateway.pair[0], "any")).list_streams)
        assert gateway.client(gateway.key).list_streams()["StreamNames"] == []
        mine = gateway.client(pair=gateway.pair)
        assert mine.list_streams()["StreamNames"] == []
        body = {"Data": b"\xff" * 100_000, "PartitionKey": "k"}
        fails("ResourceNotFoundException", mine.put_record, StreamName="mine", **body)
        fails("AccessDeniedException", mine.put_record, StreamName="other", **body)
        arn = "arn:aws:kinesis:us-east-1:000000000000:stream/other"
        fails("AccessDeniedException", mine.put_record, StreamARN=arn, **body)
        fails("AccessDeniedException", mine.create_stream, StreamName="mine", ShardCount=1)


def test_kill_9_during_put_records_and_reshards_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged: set[bytes] = set()
    with kinesis_gateway(tmp_path) as gateway:
        make(gateway, gateway.client(), shards=3)
    for kill in range(KILLS):
        with kinesis_gateway(tmp_path) as gateway:
            put_until_killed(gateway, kill, acknowledged)
    assert len(acknowledged) >= KILLS * 60
    with kinesis_gateway(tmp_path) as gateway:
        found = everything(gateway.client(), "s")
    assert acknowledged <= set(found)
    assert len(found) == len(set(found))


def put_until_killed(gateway: KinesisGateway, kill: int, acknowledged: set[bytes]) -> None:
    """Four writers and reshards; the process is killed once some of what they sent was acknowledged."""
    enough, before = threading.Event(), len(acknowledged)

    def write(writer: int) -> None:
        client, number = gateway.client(), 0
        while True:
            data = [b"%d %d %d" % (kill, writer, number + one) for one in range(20)]
            entries = [{"Data": one, "PartitionKey": str(one)} for one in data]
            try:
                outcomes = client.put_records(StreamName="s", Records=entries)["Records"]
            except BotoCoreError:
                return
            acknowledged.update(
                one for one, outcome in zip(data, outcomes, strict=True) if "SequenceNumber" in outcome
            )
            number += 20
            if len(acknowledged) >= before + 60 + 40 * kill:
                enough.set()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    threads.append(threading.Thread(target=reshard_until_killed, args=(gateway,)))
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    gateway.process.send_signal(signal.SIGKILL)
    for thread in threads:
        thread.join(60)


def reshard_until_killed(gateway: KinesisGateway) -> None:
    client = gateway.client()
    for target in itertools.cycle((3, 2, 4)):
        gateway.advance(2)  # what was there before, or is under way since the last kill, is over
        try:
            client.update_shard_count(StreamName="s", TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        except client.exceptions.InvalidArgumentException:
            continue  # more than double or less than half of what the last gateway left
        except BotoCoreError:
            return
