"""Kinesis' own API in CBOR: the same as in JSON, but for bytes and times."""

import json
from typing import Any

import cbor2
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinterest_pipeline.eventlog.sequence import shard_id
from tests.unit.gateway import kinesis_model
from tests.unit.gateway.conftest import Clock
from tests.unit.gateway.kinesis_asking import Asking, Json

MEDIA = "application/x-amz-cbor-1.1"
SHARD = shard_id(0)


class Stamp:
    """A time on the wire: the tag 1, and milliseconds since 1970 as a whole number."""

    def __init__(self, milliseconds: int, _: bool = False) -> None:
        assert isinstance(milliseconds, int)
        self.milliseconds = milliseconds


def sent(kinesis: Asking, operation: str, content: bytes) -> httpx.Response:
    answer = kinesis.raw(operation, content, Content_Type=MEDIA)
    assert answer.headers["content-type"] == MEDIA
    return answer


def ok(kinesis: Asking, operation: str, **body: Any) -> Json:
    answer = sent(kinesis, operation, cbor2.dumps(body))
    assert answer.status_code == 200, answer.content
    found: Json = cbor2.loads(answer.content or b"\xa0", semantic_decoders={1: Stamp})
    return found


def error(answer: httpx.Response) -> tuple[int, str, str]:
    found = cbor2.loads(answer.content)
    assert answer.headers["x-amzn-errortype"] == found["__type"]
    return answer.status_code, found["__type"], found["message"]


def as_json(value: Any) -> Any:
    """What the JSON of an answer holds instead."""
    if isinstance(value, Stamp):
        return value.milliseconds / 1000
    if isinstance(value, dict):
        return {name: as_json(one) for name, one in value.items()}
    return [as_json(one) for one in value] if isinstance(value, list) else value


def test_records_go_in_and_out_as_bytes(kinesis: Asking, stream: str, clock: Clock) -> None:
    data = [b"\x00\xff", b"", b"caf\xc3\xa9"]
    one = ok(kinesis, "PutRecord", StreamName=stream, Data=data[0], PartitionKey="k", ExplicitHashKey="0")
    assert one["ShardId"] == SHARD
    entries = [{"Data": one, "PartitionKey": "k"} for one in data[1:]]
    put = ok(kinesis, "PutRecords", StreamName=stream, Records=entries)
    assert (put["FailedRecordCount"], len(put["Records"])) == (0, 2)
    found = ok(kinesis, "GetRecords", ShardIterator=kinesis.iterator(stream, SHARD))
    assert [record["Data"] for record in found["Records"]] == data
    arrived = found["Records"][0]["ApproximateArrivalTimestamp"]
    assert (type(arrived), arrived.milliseconds) == (Stamp, clock.now)


def test_a_time_of_a_request_is_in_milliseconds(kinesis: Asking, stream: str, clock: Clock) -> None:
    kinesis.put(stream, "old")
    clock.now += 5
    kinesis.put(stream, "new")
    time = cbor2.CBORTag(1, clock.now - 2)
    token = ok(
        kinesis, "GetShardIterator", StreamName=stream, ShardId=SHARD, ShardIteratorType="AT_TIMESTAMP",
        Timestamp=time,
    )["ShardIterator"]  # fmt: skip
    assert kinesis.data(token) == ["new"]


def test_every_answer_is_that_of_json(kinesis: Asking, stream: str) -> None:
    for operation, body in (
        ("ListStreams", {}),
        ("DescribeStream", {"StreamName": stream}),
        ("DescribeStreamSummary", {"StreamName": stream}),
        ("ListShards", {"StreamName": stream}),
        ("DescribeLimits", {}),
        ("ListTagsForStream", {"StreamName": stream}),
    ):
        found = as_json(ok(kinesis, operation, **body))
        assert found == kinesis.ok(operation, **body)
        assert not kinesis_model.problems(operation, "output", found)
    ok(kinesis, "AddTagsToStream", StreamName=stream, Tags={"a": "1"})
    assert sent(kinesis, "ListStreams", b"").status_code == 200


def test_errors_are_written_in_it(kinesis: Asking, stream: str) -> None:
    status, kind, message = error(sent(kinesis, "DescribeStream", cbor2.dumps({"StreamName": "nobody"})))
    assert (status, kind, "nobody" in message) == (400, "ResourceNotFoundException", True)
    empty = cbor2.dumps({"StreamName": stream, "Records": [{"Data": b"", "PartitionKey": ""}]})
    assert error(sent(kinesis, "PutRecords", empty)) == (
        400,
        "ValidationException",
        (
            "1 validation error detected: Value at 'records.1.member.partitionKey' failed to satisfy"
            " constraint: Member must have length greater than or equal to 1"
        ),
    )
    assert error(sent(kinesis, "SubscribeToShard", b"\xa0"))[1] == "UnknownOperationException"


@pytest.mark.parametrize(
    "body",
    [
        b"\xff", b"\x81" * 1_000, cbor2.dumps([1]), cbor2.dumps("text"), json.dumps({"a": 1}).encode(),
        cbor2.dumps({"StreamName": cbor2.CBORTag(35, "(a+)+")}), cbor2.dumps({"StreamName": 2**70}),
        cbor2.dumps({"StreamName": cbor2.CBORTag(9_999, 1)}), cbor2.dumps({"StreamName": b"stream"}),
        cbor2.dumps({"StreamName": "stream", "Timestamp": cbor2.CBORTag(1, "now")}), b"\xd8\x1d\x00",
    ],
)  # fmt: skip
def test_bodies_that_are_no_request(kinesis: Asking, body: bytes) -> None:
    assert error(sent(kinesis, "DescribeStream", body))[:2] == (400, "SerializationException")


@pytest.mark.parametrize("item", [b"\x80", b"\xa0", b"\x01", b"\x18\x20", b"\x40", b"\x7f\xff"])
def test_a_body_of_many_small_items_is_refused_before_any_is_made(kinesis: Asking, item: bytes) -> None:
    """10 MB of empty lists kept the gateway busy for seconds and took gigabytes."""
    answer = sent(kinesis, "PutRecords", b"\x9f" + 20_000 * item + b"\xff")
    assert error(answer)[:2] == (400, "SerializationException")
    assert "more than 10,000 items" in error(answer)[2]


def test_bytes_are_one_item_however_many_they_are(kinesis: Asking, stream: str) -> None:
    records = [{"Data": bytes(range(256)) * 30, "PartitionKey": 200 * "k"} for _ in range(500)]
    assert ok(kinesis, "PutRecords", StreamName=stream, Records=records)["FailedRecordCount"] == 0


@given(st.sampled_from(["PutRecords", "GetShardIterator", "CreateStream"]), st.binary(max_size=60))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_the_bytes_are_they_are_answered(kinesis: Asking, operation: str, body: bytes) -> None:
    assert sent(kinesis, operation, body).status_code in (200, 400)
