"""The streaming branch with its streams in Kinesis, from the emulator to the account."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.command import pinpipe
from tests.streams_gateway import StreamsGateway

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("aws_credentials")]

POSTS = 60
PIN = "streaming-124df56aef51-pin"


@pytest.fixture
def settings(streams_of_a_gateway: StreamsGateway) -> dict[str, str]:
    """Streams are in what another gateway serves."""
    streams_of_a_gateway.empty()
    return {
        "PINPIPE_LOG__STREAMS_HOME": "kinesis",
        "PINPIPE_KINESIS__ENDPOINT": streams_of_a_gateway.url,
        "PINPIPE_KINESIS__REGION": "eu-west-1",
    }


@pytest.fixture
def gateway(tmp_path: Path, settings: dict[str, str]) -> Iterator[StreamsGateway]:
    """A gateway of a folder of its own before them."""
    gateway = StreamsGateway(tmp_path, **settings, PINPIPE_DATA=str(tmp_path / "data"))
    gateway.start()
    yield gateway
    gateway.stop()
    assert "Traceback" not in (tmp_path / "gateway.log").read_text()


def test_the_routes_of_the_original_reach_kinesis(
    gateway: StreamsGateway, streams_of_a_gateway: StreamsGateway
) -> None:
    with httpx.Client(base_url=gateway.url, trust_env=False) as client:
        listed = client.get("/streams").json()["StreamNames"]
        assert listed == sorted(streams_of_a_gateway.client.list_streams()["StreamNames"])
        assert PIN in listed
        assert client.post("/streams/mine", json={"ShardCount": 2}).status_code == 200
        assert client.post("/streams/mine", json={}).json()["__type"] == "ResourceInUseException"
        described = client.get("/streams/mine").json()["StreamDescription"]
        truth = streams_of_a_gateway.client.describe_stream(StreamName="mine")["StreamDescription"]
        assert described["Shards"] == truth["Shards"]
        assert described["StreamARN"] == truth["StreamARN"]
        put = client.put("/streams/mine/record", json={"Data": {"ind": 1}, "PartitionKey": "a"}).json()
        entries = [{"data": {"ind": number}, "partition-key": "a"} for number in (2, 3)]
        many = client.put(
            "/streams/mine/records", json={"records": entries}, headers={"Idempotency-Key": "k"}
        )
        assert many.json()["FailedRecordCount"] == 0
        assert "idempotency-key" not in many.headers  # Kinesis keeps none
        places = [put, *many.json()["Records"]]
        assert len({place["ShardId"] for place in places}) == 1
        found = read(client, "mine", put["ShardId"])
        assert [record["SequenceNumber"] for record in found] == [one["SequenceNumber"] for one in places]
        values = [json.loads(base64.b64decode(record["Data"])) for record in found]
        assert values == [{"ind": 1}, {"ind": 2}, {"ind": 3}]
        lost = client.put("/streams/nobody/record", json={"Data": "x", "PartitionKey": "a"})
        assert (lost.status_code, lost.json()["__type"]) == (400, "ResourceNotFoundException")
        assert client.delete("/streams/mine").status_code == 200
        assert "mine" not in streams_of_a_gateway.client.list_streams()["StreamNames"]
        wire = client.post("/", json={}, headers={"X-Amz-Target": "Kinesis_20131202.ListStreams"})
        assert (wire.status_code, wire.json()["__type"]) == (400, "UnknownOperationException")
        assert "ask Kinesis" in wire.json()["message"]


def read(client: httpx.Client, stream: str, shard: str) -> list[dict[str, Any]]:
    """All records of a shard, in two answers at least."""
    token = client.get(f"/streams/{stream}/sharditerator", params={"shard-id": shard}).json()["ShardIterator"]
    found: list[dict[str, Any]] = []
    while True:
        answer = client.get(f"/streams/{stream}/records", headers={"Shard-Iterator": token}).json()
        if not answer["Records"]:
            assert answer["MillisBehindLatest"] == 0
            return found
        found += answer["Records"]
        token = answer["NextShardIterator"]


def test_the_whole_branch_over_kinesis(
    tmp_path: Path, gateway: StreamsGateway, settings: dict[str, str]
) -> None:
    (tmp_path / "db_creds.yaml").write_text(
        f"URL: sqlite:///{tmp_path / 'posts.sqlite'}\nSTREAMING_API_URL: {gateway.url}\n"
    )
    own = settings | {"PINPIPE_DATA": str(tmp_path / "data"), "PINPIPE_GATEWAY__PORT": "0"}

    def run(*arguments: str) -> str:
        done = pinpipe(tmp_path, *arguments, settings=own)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("fill", "--count", str(POSTS))
    run("send", "stream", "--every-post", "--batch", "20")
    assert behind(run("status", "--json")) > 0
    run("stream", "--until-empty")
    assert behind(run("status", "--json")) == 0
    account = json.loads(run("verify", "--json"))
    assert account["problems"] == []
    for table in ("pin", "geo", "user"):
        counts = account["stream"][table]
        assert (counts["acknowledged"], counts["landed"], counts["clean"]) == (POSTS, POSTS, POSTS)
    assert not (tmp_path / "data/streams.sqlite").exists()


def behind(status: str) -> int:
    """How far the streams are behind, by the one that is most."""
    lags = [lag for lag in json.loads(status)["lags"] if lag["source"].startswith("streaming-")]
    assert len(lags) == 6
    assert all(lag["end"] is None for lag in lags)
    return max(int(lag["behind_ms"]) for lag in lags)
