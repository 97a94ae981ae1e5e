"""Kinesis' own API: what holds for every operation."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.sequence import sequence_number, shard_id
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.scopes import Grant
from tests.unit.gateway import kinesis_model
from tests.unit.gateway.conftest import Clock
from tests.unit.gateway.kinesis_asking import Asking, Json

OPERATIONS = sorted(kinesis_model.model()["operations"])
FIELDS = sorted(
    {
        field
        for operation in kinesis_model.model()["operations"].values()
        if "input" in operation
        for field in kinesis_model.shape(operation["input"]["shape"])["members"]
    }
    | {"Type", "Data", "PartitionKey", "ExplicitHashKey", "StreamMode"}
)
SHARDS = [shard_id(number) for number in range(10)]


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
    plain = kinesis.raw("DescribeStream", b"{}", Content_Type="application/json")
    assert "x-amz-json-1.1" in kinesis_error(plain, "UnsupportedMediaTypeException")


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from([SHARDS[0], "stream", "LATEST", "AT_TIMESTAMP", sequence_number(0), "AQID", 1, 1e308]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(OPERATIONS), st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=6))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_a_body_says_it_is_answered(
    kinesis: Asking, stream: str, operation: str, body: Json
) -> None:
    answer = kinesis.raw(operation, json.dumps({"StreamName": stream} | body).encode())
    assert answer.status_code in (200, 400), answer.text


def test_a_stage_may_stand_before_the_root(kinesis: Asking) -> None:
    assert kinesis.raw("ListStreams", b"{}", path="/dev/").json()["StreamNames"] == []


def test_a_caller_without_a_target_gets_the_root_of_the_rest_proxy(client: Any) -> None:
    assert client.send("POST", "/").json() == {}


def test_scopes_hold_for_the_stream_in_the_body(
    wire_log: SqliteStreamLog, topics: SqliteEventLog, clock: Clock
) -> None:
    for name in ("mine", "other"):
        wire_log.create(name, 1)
    grant = Grant(["read:stream:mine", "write:stream:mine"])
    refused: list[str] = []

    async def guard(request: Any, _: Any) -> None:
        request.scope["grant"] = grant
        request.scope["refuse"] = lambda _: refused.append(request.scope["resource"])

    kinesis = Asking(create_app(GatewaySettings(), topics, wire_log, guards=(guard,)))
    assert kinesis.put("mine", "a")["FailedRecordCount"] == 0
    assert kinesis.ok("ListStreams")["StreamNames"] == ["mine"]
    arn = kinesis.ok("DescribeStream", StreamName="mine")["StreamDescription"]["StreamARN"]
    token = Asking(create_app(GatewaySettings(), topics, wire_log)).iterator("other", SHARDS[0])
    kind = "AccessDeniedException"
    kinesis.error("PutRecord", kind, StreamName="other", Data="", PartitionKey="k")
    kinesis.error("PutRecord", kind, StreamARN=arn.replace("mine", "other"), Data="", PartitionKey="k")
    kinesis.error("GetRecords", kind, ShardIterator=token)
    kinesis.error("DeleteStream", kind, StreamName="mine")
    kinesis.error("CreateStream", kind, StreamName="new", ShardCount=1)
    assert refused == ["other", "other", "other", "mine", "new"]
