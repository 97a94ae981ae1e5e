import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.eventlog.sequence import sequence_number
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.app import create_app

STREAM = "streaming-124df56aef51-pin"
PATH = f"/streams/{STREAM}"


def iterator(client: Any, shard: int = 0) -> str:
    answer = client.get(f"{PATH}/sharditerator?shard-id=shardId-{shard:012d}")
    assert answer.status_code == 200
    return str(answer.json()["ShardIterator"])


def records(client: Any, token: str) -> dict[str, Any]:
    answer = client.get(f"{PATH}/records", {"Shard-Iterator": token})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def error(answer: Any, status: int, kind: str) -> str:
    assert (answer.status_code, answer.json()["__type"]) == (status, kind)
    assert answer.headers["content-type"] == "application/json"
    return str(answer.json()["message"])


def test_a_record_goes_in_and_comes_out(client: Any) -> None:
    body = b'{"StreamName":"another","Data":{"index": 1, "title":"caf\xc3\xa9"},"PartitionKey":"k"}'
    answer = client.put(f"{PATH}/record", body)
    assert answer.status_code == 200
    assert answer.json()["SequenceNumber"] == sequence_number(0)
    shard = int(answer.json()["ShardId"].removeprefix("shardId-"))
    found = records(client, iterator(client, shard))
    (record,) = found["Records"]
    assert base64.b64decode(record["Data"]) == b'{"index": 1, "title":"caf\xc3\xa9"}'
    assert (record["PartitionKey"], record["SequenceNumber"]) == ("k", sequence_number(0))
    assert record["ApproximateArrivalTimestamp"] > 1.6e9
    assert found["MillisBehindLatest"] == 0


def test_records_go_in_together(client: Any, streams: SqliteEventLog) -> None:
    entries = [{"data": {"index": number}, "partition-key": str(number)} for number in range(20)]
    answer = client.put(f"{PATH}/records", json.dumps({"records": entries}).encode()).json()
    assert answer["FailedRecordCount"] == 0
    assert len(answer["Records"]) == 20
    assert {record["ShardId"][-1] for record in answer["Records"]} == {"0", "1"}
    assert sum(streams.ends(STREAM).values()) == 20


def test_text_goes_in_as_its_characters(client: Any, streams: SqliteEventLog) -> None:
    streams.create("one", 1)
    client.put("/streams/one/record", b'{"Data":"{\\"index\\":1}","PartitionKey":"k"}')
    assert streams.read("one", 0, 0, 1)[0].value == b'{"index":1}'


def test_one_record_too_large_fails_alone(client: Any, streams: SqliteEventLog) -> None:
    entries = [{"data": data, "partition-key": "k"} for data in ("small", "x" * 3_000)]
    answer = client.put(f"{PATH}/records", json.dumps({"records": entries}).encode())
    good, bad = answer.json()["Records"]
    assert (answer.status_code, answer.json()["FailedRecordCount"]) == (200, 1)
    assert good["SequenceNumber"] == sequence_number(0)
    assert (bad["ErrorCode"], "3001" in bad["ErrorMessage"]) == ("ValidationException", True)
    assert sum(streams.ends(STREAM).values()) == 1


def test_a_single_record_too_large_is_an_error(client: Any) -> None:
    body = json.dumps({"Data": "x" * 3_000, "PartitionKey": "k"}).encode()
    assert "3001" in error(client.put(f"{PATH}/record", body), 400, "ValidationException")


def test_iterators_walk_through_a_shard(
    client: Any, streams: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinterest_pipeline.gateway.shard_reading.MAX_RECORDS", 2)
    old = [Record(b"%d" % number, b"k", partition=0, timestamp=5) for number in range(5)]
    streams.append(STREAM, old).result()
    token, seen, behind = iterator(client), [], []
    for _ in range(4):
        found = records(client, token)
        token = found["NextShardIterator"]
        seen.append([base64.b64decode(record["Data"]) for record in found["Records"]])
        behind.append(found["MillisBehindLatest"] > 0)
    assert seen == [[b"0", b"1"], [b"2", b"3"], [b"4"], []]
    assert behind == [True, True, False, False]
    streams.append(STREAM, [Record(b"new", b"k", partition=0)]).result()
    assert len(records(client, token)["Records"]) == 1


def test_an_iterator_fits_only_its_stream(client: Any, streams: SqliteEventLog) -> None:
    token = iterator(client)
    streams.create("another", 2)
    kind = "InvalidArgumentException"
    assert "another stream" in error(
        client.get("/streams/another/records", {"Shard-Iterator": token}), 400, kind
    )
    streams.delete(STREAM)
    streams.create(STREAM, 2)
    error(client.get(f"{PATH}/records", {"Shard-Iterator": token}), 400, kind)


def forged(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def test_an_iterator_that_was_never_given(client: Any, streams: SqliteEventLog) -> None:
    created = streams.describe(STREAM).created_ms
    for token in (
        "x",
        "!!!!",
        forged(),
        forged(STREAM, "x", 0, 0),
        forged(STREAM, created, 2, 0),
        forged(STREAM, created, 2, 0, 2**50),
        forged(STREAM, created, 0, 0, -(10**18)),
        forged(STREAM, created, 0, -1, 2**50),
    ):
        error(client.get(f"{PATH}/records", {"Shard-Iterator": token}), 400, "InvalidArgumentException")


def test_an_iterator_needs_a_shard_that_is_there(client: Any) -> None:
    error(client.get(f"{PATH}/sharditerator"), 400, "ValidationException")
    for shard in ("shardId-000000000002", "0", "x"):
        answer = client.get(f"{PATH}/sharditerator?shard-id={shard}")
        assert shard in error(answer, 400, "ResourceNotFoundException")
    error(client.get(f"{PATH}/records"), 400, "ValidationException")


def test_a_stream_is_created_described_and_deleted(client: Any) -> None:
    assert client.send("POST", "/streams/new").json() == {}
    assert client.send("POST", "/streams/wide", json={"ShardCount": 3}).status_code == 200
    described = client.get("/streams/wide").json()["StreamDescription"]
    assert (described["StreamName"], described["StreamStatus"], described["HasMoreShards"]) == (
        "wide",
        "ACTIVE",
        False,
    )
    assert [shard["ShardId"][-1] for shard in described["Shards"]] == ["0", "1", "2"]
    assert described["Shards"][2]["HashKeyRange"]["EndingHashKey"] == str(2**128 - 1)
    assert len(client.get("/streams/new").json()["StreamDescription"]["Shards"]) == 2
    assert client.send("DELETE", "/streams/new").json() == {}
    listed = client.get("/streams").json()
    assert (listed["StreamNames"], listed["HasMoreStreams"]) == ([STREAM, "wide"], False)
    assert [summary["StreamName"] for summary in listed["StreamSummaries"]] == [STREAM, "wide"]


def test_a_stream_is_created_once(client: Any) -> None:
    assert STREAM in error(client.send("POST", PATH), 400, "ResourceInUseException")


@pytest.mark.parametrize("path", ["/streams/" + "x" * 129, "/streams/a%20b"])
def test_an_impossible_name(client: Any, path: str) -> None:
    error(client.send("POST", path), 400, "ValidationException")
    error(client.put(path + "/record", b'{"Data":1,"PartitionKey":"k"}'), 400, "ValidationException")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/streams/nobody"),
        ("DELETE", "/streams/nobody"),
        ("PUT", "/streams/nobody/record"),
        ("GET", "/streams/nobody/sharditerator?shard-id=shardId-000000000000"),
        ("GET", "/streams/nobody/records"),
    ],
)
def test_an_unknown_stream(client: Any, method: str, path: str) -> None:
    body = {"Data": 1, "PartitionKey": "k"} if method == "PUT" else None
    headers = {"Shard-Iterator": forged("nobody", 1, 0, 0, 2**50)}
    answer = client.send(method, path, json=body, headers=headers)
    assert "nobody" in error(answer, 400, "ResourceNotFoundException")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "SerializationException"),
        (b'{"Data":{}}', 400, "ValidationException"),
        (b" " * 20_001, 413, "RequestEntityTooLargeException"),
    ],
)
def test_a_bad_body(client: Any, streams: SqliteEventLog, body: bytes, status: int, kind: str) -> None:
    assert error(client.put(f"{PATH}/record", body), status, kind)
    assert sum(streams.ends(STREAM).values()) == 0


def test_other_content_types_are_415(client: Any) -> None:
    answer = client.send("PUT", f"{PATH}/record", content=b"{}", headers={"Content-Type": "text/plain"})
    error(answer, 415, "UnsupportedMediaTypeException")


def put(client: Any, data: Any, path: str = "record") -> Any:
    body = {"StreamName": STREAM, "Data": data, "PartitionKey": "k"}
    if path == "records":
        body = {"records": [{"data": data, "partition-key": "k"}]}
    return client.put(f"{PATH}/{path}", json.dumps(body).encode())


@pytest.mark.parametrize("path", ["record", "records"])
def test_data_that_were_encoded_twice_are_kept_with_a_hint(
    client: Any, streams: SqliteEventLog, path: str
) -> None:
    text = json.dumps({"index": 1})
    for number, data in enumerate((json.dumps(text), base64.b64encode(text.encode()).decode())):
        answer = put(client, data, path)
        assert (answer.status_code, "record 0" in answer.json()["Hint"]) == (200, True)
        assert sum(streams.ends(STREAM).values()) == number + 1
    for once in ({"index": 1}, text, "plain", [1], 5, True):
        assert "Hint" not in put(client, once, path).json()


def test_bodies_that_were_encoded_twice_are_refused_with_a_hint(client: Any) -> None:
    body = json.dumps({"Data": {"index": 1}, "PartitionKey": "k"})
    said = error(client.put(f"{PATH}/record", json.dumps(body).encode()), 400, "ValidationException")
    assert "within a JSON string" in said
    entry = json.dumps({"data": {"index": 1}, "partition-key": "k"})
    body = json.dumps({"records": [entry]})
    assert "objects" in error(client.put(f"{PATH}/records", body.encode()), 400, "ValidationException")


def test_every_error_is_200_where_that_is_asked_for(topics: SqliteEventLog, streams: SqliteStreamLog) -> None:
    chosen = GatewaySettings(stream_statuses="always-200", max_body_bytes=20_000)
    app = create_app(chosen, topics, streams)

    def send(method: str, path: str, **options: Any) -> Any:
        async def exchange() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as asking:
                return await asking.request(method, path, **options)

        return asyncio.run(exchange())

    for method, path, options, kind in (
        ("GET", "/streams/nobody", {}, "ResourceNotFoundException"),
        ("POST", PATH, {}, "ResourceInUseException"),
        ("PUT", f"{PATH}/record", {"json": {"Data": 1}}, "ValidationException"),
        ("PUT", f"{PATH}/record", {"content": b"{"}, "SerializationException"),
        ("GET", f"{PATH}/records", {"headers": {"Shard-Iterator": "x"}}, "InvalidArgumentException"),
    ):
        error(send(method, path, **options), 200, kind)
    assert send("PUT", f"{PATH}/record", json={"Data": 1, "PartitionKey": "k"}).json()["SequenceNumber"]
    assert send("PUT", f"{PATH}/record", content=b" " * 20_001).status_code == 413
    assert send("PUT", f"{PATH}/record", headers={"Content-Type": "text/plain"}).status_code == 415
    assert send("GET", "/streams/a/b/c").status_code == 404
    topics.close()
    streams.close()
    error(send("GET", "/streams"), 200, "ServiceUnavailable")
