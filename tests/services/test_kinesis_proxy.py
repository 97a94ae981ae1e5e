"""The eight routes of AWS' tutorial "Create a REST API as an Amazon Kinesis proxy", as clients call them."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services.kinesis_process import kinesis_gateway

pytestmark = pytest.mark.services

JSON = {"Content-Type": "application/json"}
POST = {"index": 7528, "title": 'naïve "quotes"', "tags": ["a", "b"]}


def test_the_tutorial_from_its_first_call_to_its_last(tmp_path: Path) -> None:
    with kinesis_gateway(tmp_path) as gateway, httpx.Client(base_url=f"{gateway.url}/prod") as client:
        stream = "/streams/streaming-124df56aef51-pin"
        assert client.get("/streams").json()["StreamNames"] == []
        assert client.post(stream, json={"ShardCount": 1}).status_code == 200
        described = client.get(stream).json()["StreamDescription"]
        assert (described["StreamStatus"], len(described["Shards"])) == ("ACTIVE", 1)
        sent = as_the_emulators_send(client, stream)
        shard = described["Shards"][0]["ShardId"]
        token = client.get(f"{stream}/sharditerator", params={"shard-id": shard}).json()["ShardIterator"]
        found = client.get(f"{stream}/records", headers={"Shard-Iterator": token}).json()
        assert [base64.b64decode(record["Data"]) for record in found["Records"]] == sent
        assert client.delete(stream).status_code == 200
        gone = client.get(stream)
        assert (gone.status_code, gone.json()["__type"]) == (400, "ResourceNotFoundException")


def as_the_emulators_send(client: httpx.Client, stream: str) -> list[bytes]:
    """An object, its text, and plain text, by each of the two ways in; what must lie in the stream."""
    text = json.dumps(POST)
    one = {"StreamName": "the path wins", "PartitionKey": "k"}
    for data in (POST, text, "plain"):
        put(client, f"{stream}/record", one | {"Data": data})
    entries = [{"data": data, "partition-key": "k"} for data in (POST, text, "plain")]
    assert put(client, f"{stream}/records", {"records": entries})["FailedRecordCount"] == 0
    return [text.encode(), text.encode(), b"plain"] * 2


def put(client: httpx.Client, path: str, body: Any) -> Any:
    """As `requests.request("PUT", url, headers=…, data=json.dumps(…))` of the original."""
    answer = client.put(path, content=json.dumps(body), headers=JSON)
    assert answer.status_code == 200, answer.text
    assert "Hint" not in answer.json()
    return answer.json()
