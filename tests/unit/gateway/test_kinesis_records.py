"""Kinesis' own API: records in and out, by the model of AWS and a clock that the tests set."""

from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.eventlog.partitioners import HASH_SPACE
from pinterest_pipeline.eventlog.sequence import sequence_number, shard_id
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.streams import Stream
from pinterest_pipeline.gateway.app import create_app
from tests.unit.gateway.conftest import Client, Clock
from tests.unit.gateway.kinesis_asking import Asking, Json, encoded

SHARDS = [shard_id(number) for number in range(10)]


def test_records_go_in_and_come_out(kinesis: Asking, stream: str) -> None:
    one = kinesis.ok("PutRecord", StreamName=stream, Data=encoded("é"), PartitionKey="ключ")
    assert one == {"SequenceNumber": sequence_number(0), "ShardId": SHARDS[0]}
    assert kinesis.put(stream, "a", "b")["FailedRecordCount"] == 0
    found = kinesis.ok("GetRecords", ShardIterator=kinesis.iterator(stream, SHARDS[0]), Limit=2)
    assert [record["PartitionKey"] for record in found["Records"]] == ["ключ", "a"]
    assert found["MillisBehindLatest"] >= 0
    assert kinesis.data(found["NextShardIterator"]) == ["b"]


def test_an_explicit_hash_key_chooses_the_shard(kinesis: Asking, wire_log: SqliteStreamLog) -> None:
    wire_log.create("two", 2)
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


def test_an_iterator_of_a_stream_that_is_gone(
    kinesis: Asking, stream: str, wire_log: SqliteStreamLog
) -> None:
    token = kinesis.iterator(stream, SHARDS[0])
    wire_log.delete(stream)
    kinesis.error("GetRecords", "ResourceNotFoundException", ShardIterator=token)
    wire_log.create(stream, 1)
    kinesis.error("GetRecords", "InvalidArgumentException", ShardIterator=token)


class Replaced(SqliteStreamLog):
    """A stream of two shards gives way to one of a single shard while a request looks at it."""

    def stream(self, name: str) -> Stream:
        found = super().stream(name)
        self.delete(name)
        self.create(name, 1)
        return found


def test_a_stream_that_is_made_anew_with_fewer_shards_meanwhile(
    tmp_path: Path, topics: SqliteEventLog
) -> None:
    log = Replaced(tmp_path / "replaced.sqlite", 2**20)
    app = create_app(GatewaySettings(), topics, log)
    kinesis, of_last = Asking(app), {"StreamName": "stream", "ShardId": SHARDS[1]}
    log.create("stream", 2)
    for kind in ("TRIM_HORIZON", "LATEST"):
        token = kinesis.iterator("stream", SHARDS[1], kind)
        kinesis.error("GetRecords", "InvalidArgumentException", ShardIterator=token)
        log.delete("stream")
        log.create("stream", 2)
    body = of_last | {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1}
    kinesis.error("GetShardIterator", "ResourceNotFoundException", **body)
    log.delete("stream")
    log.create("stream", 2)
    assert Client(app).get(f"/streams/stream/sharditerator?shard-id={SHARDS[1]}").status_code == 200
    log.close()


def test_a_read_has_ten_mebibytes_at_most(kinesis: Asking, stream: str, wire_log: SqliteStreamLog) -> None:
    wire_log.append(stream, [Record(bytes(1_000_000), b"k")] * 12).result()
    found = kinesis.ok("GetRecords", ShardIterator=kinesis.iterator(stream, SHARDS[0]))
    assert len(found["Records"]) == 10
    assert len(kinesis.ok("GetRecords", ShardIterator=found["NextShardIterator"])["Records"]) == 2


def test_how_far_behind_a_read_is(kinesis: Asking, stream: str, clock: Clock) -> None:
    kinesis.put(stream, "a", "b")
    clock.now += 5_000
    found = kinesis.ok("GetRecords", ShardIterator=kinesis.iterator(stream, SHARDS[0]), Limit=1)
    assert found["MillisBehindLatest"] == 5_000
    assert kinesis.ok("GetRecords", ShardIterator=found["NextShardIterator"])["MillisBehindLatest"] == 0
    clock.now -= 60_000  # set back: what has more behind it is never taken for the tip
    found = kinesis.ok("GetRecords", ShardIterator=kinesis.iterator(stream, SHARDS[0]), Limit=1)
    assert found["MillisBehindLatest"] > 0


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
