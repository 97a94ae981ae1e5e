import json
from typing import Any

import msgspec
import pytest

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway import v3_operations
from pinterest_pipeline.gateway.app import create_app
from tests.asking import Asking

TOPIC = "124df56aef51.pin"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def base(topics: SqliteEventLog) -> str:
    return f"/v3/clusters/{topics.cluster().id}"


def follow(client: Any, link: str) -> Any:
    answer = client.get(link.removeprefix("http://gateway"))
    assert answer.status_code == 200, answer.text
    return answer.json()


def error(answer: Any, status: int, code: int) -> str:
    assert (answer.status_code, answer.json()["error_code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/json"
    return str(answer.json()["message"])


def test_the_cluster_leads_to_everything(client: Any, topics: SqliteEventLog) -> None:
    listed = follow(client, "/v3/clusters")
    assert (listed["kind"], listed["metadata"]["next"]) == ("KafkaClusterList", None)
    (cluster,) = listed["data"]
    assert cluster == follow(client, cluster["metadata"]["self"])
    assert cluster["metadata"]["resource_name"] == f"crn:///kafka={topics.cluster().id}"
    broker = follow(client, cluster["controller"]["related"])
    assert follow(client, cluster["brokers"]["related"])["data"] == [broker]
    (topic,) = follow(client, cluster["topics"]["related"])["data"]
    assert (topic["topic_name"], topic["partitions_count"], topic["is_internal"]) == (TOPIC, 2, False)
    assert topic == follow(client, topic["metadata"]["self"])
    assert follow(client, topic["configs"]["related"])["data"] == []
    first, second = follow(client, topic["partitions"]["related"])["data"]
    assert (first["partition_id"], second["partition_id"]) == (0, 1)
    assert second == follow(client, second["metadata"]["self"])
    replica = follow(client, second["leader"]["related"])
    assert (replica["is_leader"], replica["is_in_sync"]) == (True, True)
    assert follow(client, second["replicas"]["related"])["data"] == [replica]
    assert follow(client, replica["broker"]["related"]) == broker
    assert follow(client, cluster["consumer_groups"]["related"])["data"] == []


def test_what_does_not_exist_says_which_part_of_the_path_it_was(client: Any, base: str) -> None:
    assert "'other'" in error(client.get("/v3/clusters/other"), 404, 404)
    for path in ("topics", "brokers", "consumer-groups", f"topics/{TOPIC}/partitions/0/records"):
        error(client.get(f"/v3/clusters/other/{path}"), 404, 404)
    error(client.get(f"{base}/brokers/7"), 404, 404)
    error(client.get(f"{base}/brokers/x"), 404, 404)
    error(client.get(f"{base}/topics/other"), 404, 40403)
    error(client.get(f"{base}/topics/other/partitions/0"), 404, 40403)
    for number in ("2", "-1", "x", "9" * 40):
        error(client.get(f"{base}/topics/{TOPIC}/partitions/{number}"), 404, 40402)
        error(client.get(f"{base}/topics/{TOPIC}/partitions/{number}/replicas"), 404, 40402)
        error(client.get(f"{base}/topics/{TOPIC}/partitions/{number}/records"), 404, 40402)
    error(client.get(f"{base}/topics/{TOPIC}/partitions/0/replicas/7"), 404, 404)
    error(client.get(f"{base}/acls"), 404, 404)


def test_a_topic_is_created_found_and_deleted(client: Any, base: str, topics: SqliteEventLog) -> None:
    asked = {"topic_name": "new", "partitions_count": 3, "replication_factor": 1}
    dry = client.send("POST", f"{base}/topics", json=asked | {"validate_only": True})
    assert dry.status_code == 200
    assert topics.topics() == [TOPIC]
    made = client.send("POST", f"{base}/topics", json=asked)
    assert made.status_code == 201
    assert made.json() == dry.json() == client.get(f"{base}/topics/new").json()
    assert topics.describe("new").partitions == 3
    for again in (asked, asked | {"validate_only": True}):
        error(client.send("POST", f"{base}/topics", json=again), 400, 40002)
    gone = client.send("DELETE", f"{base}/topics/new")
    assert (gone.status_code, gone.content) == (204, b"")
    error(client.send("DELETE", f"{base}/topics/new"), 404, 40403)


def test_a_topic_has_one_partition_unless_asked(client: Any, base: str, topics: SqliteEventLog) -> None:
    assert client.send("POST", f"{base}/topics", json={"topic_name": "new"}).status_code == 201
    assert topics.describe("new").partitions == 1


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({}, 422, 422),
        ({"topic_name": "a/b"}, 400, 40002),
        ({"topic_name": ".."}, 400, 40002),
        ({"topic_name": "a", "partitions_count": 0}, 422, 422),
        ({"topic_name": "a", "partitions_count": 1.5}, 422, 422),
        ({"topic_name": "a", "replication_factor": 3}, 400, 40002),
        ({"topic_name": "a", "partition_count": 3}, 422, 422),
        ({"topic_name": "a", "configs": [{"name": "retention.ms"}]}, 422, 422),
    ],
)
def test_a_topic_that_cannot_be_is_refused(
    client: Any, base: str, topics: SqliteEventLog, asked: dict[str, Any], status: int, code: int
) -> None:
    error(client.send("POST", f"{base}/topics", json=asked), status, code)
    assert topics.topics() == [TOPIC]


def test_a_group_says_who_is_in_it_and_how_far_it_is(client: Any, base: str, topics: SqliteEventLog) -> None:
    topics.append(TOPIC, [Record(b"1", partition=number) for number in (0, 0, 0, 1)]).result()
    topics.commit("readers", TOPIC, {0: 1, 1: 1})
    member = topics.subscribe("readers", [TOPIC])
    member.poll(1, 0)
    groups = follow(client, f"{base}/consumer-groups")["data"]
    (group,) = groups
    assert group == follow(client, group["metadata"]["self"])
    (consumer,) = follow(client, group["consumer"]["related"])["data"]
    assert consumer == follow(client, consumer["metadata"]["self"])
    held = follow(client, consumer["assignments"]["related"])["data"]
    assert {(one["topic_name"], one["partition_id"]) for one in held} == {(TOPIC, 0), (TOPIC, 1)}
    summary = follow(client, group["lag_summary"]["related"])
    assert (summary["max_lag"], summary["total_lag"]) == (2, 2)
    assert (summary["max_lag_topic_name"], summary["max_lag_partition_id"]) == (TOPIC, 0)
    assert summary["max_lag_consumer_id"] == consumer["consumer_id"]
    first, second = follow(client, f"{base}/consumer-groups/readers/lags")["data"]
    assert (first["current_offset"], first["log_end_offset"], first["lag"]) == (1, 3, 2)
    assert (second["lag"], second["consumer_id"]) == (0, consumer["consumer_id"])
    lag = next(one["lag"] for one in held if one["partition_id"] == 0)
    assert follow(client, lag["related"]) == first
    member.close()


def test_a_group_without_members_or_positions(client: Any, base: str, topics: SqliteEventLog) -> None:
    topics.commit("readers", TOPIC, {0: 0})
    path = f"{base}/consumer-groups/readers"
    assert client.get(f"{path}/consumers").json()["data"] == []
    assert client.get(f"{path}/lag-summary").json()["max_lag_consumer"] is None
    error(client.get(f"{path}/lags/{TOPIC}/partitions/1"), 404, 40402)
    error(client.get(f"{path}/lags/{TOPIC}/partitions/x"), 404, 40402)
    for rest in ("", "/consumers", "/lags", "/lag-summary", "/consumers/x/assignments"):
        error(client.get(f"{base}/consumer-groups/other{rest}"), 404, 40405)
    error(client.get(f"{path}/consumers/x"), 404, 40405)


def test_a_batch_says_what_became_of_each_entry(client: Any, base: str, topics: SqliteEventLog) -> None:
    entries = [
        {"id": "good", "partition_id": 1, "value": {"type": "JSON", "data": {"a": 1}}},
        {"id": "no base64", "value": {"type": "BINARY", "data": "?"}},
        {"id": "no partition", "partition_id": 9, "value": {"type": "STRING", "data": "x"}},
        {"id": "too large", "value": {"type": "STRING", "data": "x" * 4_000}},
        {"id": "tombstone", "partition_id": 1, "key": {"type": "STRING", "data": "k"}},
    ]
    answer = client.send("POST", f"{base}/topics/{TOPIC}/records:batch", json={"entries": entries})
    assert answer.status_code == 207
    found = answer.json()
    placed = [(one["id"], one["partition_id"], one["offset"]) for one in found["successes"]]
    assert placed == [("good", 1, 0), ("tombstone", 1, 1)]
    failed = {one["id"]: one["error_code"] for one in found["failures"]}
    assert failed == {"no base64": 422, "no partition": 40402, "too large": 413}
    assert [record.value for record in topics.read(TOPIC, 1, 0, 10)] == [b'{"a":1}', None]


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], 42208),
        ([{"id": "a"}, {"id": "a"}], 42208),
        ([{"id": str(number)} for number in range(11)], 42208),
        ([{"id": ""}], 422),
        ([{"id": "a" * 81}], 422),
        ([{}], 422),
    ],
)
def test_a_batch_that_is_wrong_appends_nothing(
    client: Any, base: str, topics: SqliteEventLog, entries: list[Any], code: int
) -> None:
    path = f"{base}/topics/{TOPIC}/records:batch"
    error(client.send("POST", path, json={"entries": entries}), 422, code)
    assert sum(topics.ends(TOPIC).values()) == 0


def test_a_batch_may_come_again_with_its_key(client: Any, base: str, topics: SqliteEventLog) -> None:
    path, headers = f"{base}/topics/{TOPIC}/records:batch", {"Idempotency-Key": "a"}
    body = {"entries": [{"id": "1", "value": {"type": "JSON", "data": 1}}]}
    first = client.send("POST", path, json=body, headers=headers)
    again = client.send("POST", path, json=body, headers=headers)
    assert first.json() == again.json()
    assert sum(topics.ends(TOPIC).values()) == 1
    body["entries"][0]["id"] = "2"
    error(client.send("POST", path, json=body, headers=headers), 422, 42210)


def test_records_are_read_page_by_page_with_all_they_have(
    client: Any, base: str, topics: SqliteEventLog
) -> None:
    topics.append(
        TOPIC,
        [
            Record(
                b'{"b": 1, "a": 12345678901234567890}', b"k", 0, 1_700_000_000_000, (("h", b"v"), ("n", None))
            ),
            Record(None, None, 0, 1_700_000_001_000),
            Record(b"\x00", b'"key"', 0, 1_700_000_002_000),
        ],
    ).result()
    path = f"{base}/topics/{TOPIC}/partitions/0/records"
    page = client.get(f"{path}?max_records=2")
    assert b'"data":{"b": 1, "a": 12345678901234567890}' in page.content
    found = page.json()
    first, second = found["data"]
    assert (first["offset"], first["timestamp"]) == (0, "2023-11-14T22:13:20.000Z")
    assert first["headers"] == [{"name": "h", "value": "dg=="}, {"name": "n", "value": None}]
    assert first["key"] == {"type": "BINARY", "data": "aw=="}
    assert (second["key"], second["value"]) == (None, None)
    assert (found["next_offset"], found["beginning_offset"], found["end_offset"]) == (2, 0, 3)
    rest = follow(client, found["metadata"]["next"])
    (third,) = rest["data"]
    assert third["key"] == {"type": "JSON", "data": "key"}
    assert third["value"] == {"type": "BINARY", "data": "AA=="}
    end = follow(client, rest["metadata"]["next"])
    assert (end["data"], end["next_offset"]) == ([], 3)
    assert client.get(f"{path}?max_bytes=1").json()["next_offset"] == 1
    for time in ("1700000000001", "2023-11-14T22:13:20.001Z"):
        since = client.get(f"{path}?timestamp={time}&max_records=1").json()
        assert [record["offset"] for record in since["data"]] == [1]


def test_links_lead_to_the_gateway_itself_whatever_a_request_says(
    client: Any, base: str, topics: SqliteEventLog
) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "javascript"}
    records = f"{base}/topics/{TOPIC}/partitions/0/records"
    for path in ("/v3/clusters", f"{base}/topics", f"/prod{records}?offset=0&max_records=3"):
        answer = client.get(path, headers=headers)
        assert "evil" not in answer.text
        assert "javascript" not in answer.text
    metadata = answer.json()["metadata"]
    assert metadata["self"] == metadata["next"]
    assert metadata["self"].startswith(f"http://gateway/prod{records}?offset=0&max_records=3&")


@pytest.mark.parametrize("stage", ["", "/dev"])
def test_links_begin_as_the_request_did(client: Any, base: str, stage: str) -> None:
    clusters = client.get(f"{stage}/v3/clusters").json()
    assert clusters["metadata"]["self"] == f"http://gateway{stage}/v3/clusters"
    topics = follow(client, clusters["data"][0]["topics"]["related"])
    assert topics["metadata"]["self"] == f"http://gateway{stage}{base}/topics"
    (topic,) = topics["data"]
    assert topic == follow(client, topic["metadata"]["self"])


def test_links_begin_with_the_address_that_is_set(topics: SqliteEventLog, streams: SqliteStreamLog) -> None:
    app = create_app(GatewaySettings(advertised_url="https://api.example/prod/"), topics, streams)
    answer = Asking(app).send("GET", "/v3/clusters").json()
    assert answer["metadata"]["self"] == "https://api.example/prod/v3/clusters"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("offset=-1", "offset is a whole number from 0 to 9223372036854775807, not '-1'"),
        ("offset=x", "offset is a whole number from 0 to 9223372036854775807, not 'x'"),
        ("offset=1.0", "offset is a whole number"),
        ("offset=", "offset is a whole number"),
        ("offset=9223372036854775808", "offset is a whole number"),
        ("max_records=0", "max_records is a whole number from 1 to 10000, not '0'"),
        ("max_records=10001", "max_records is a whole number"),
        ("max_bytes=0", "max_bytes is a whole number"),
        ("timestamp=yesterday", "timestamp is a time in ISO 8601 with its zone, or in milli"),
        ("offset=0&timestamp=0", "an offset and a timestamp"),
        ("offset=0&offset=1", "comes twice"),
        ("ofset=0", "the query takes offset, timestamp, max_records, max_bytes, not 'ofset'"),
    ],
)
def test_a_query_that_is_wrong_is_told_what_is_taken(client: Any, base: str, query: str, said: str) -> None:
    answer = client.get(f"{base}/topics/{TOPIC}/partitions/0/records?{query}")
    assert said in error(answer, 422, 422)


def test_a_batch_needs_no_thread_once_the_cluster_is_known(
    topics: SqliteEventLog, streams: SqliteStreamLog, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads that wait for brokers that are away have them all."""
    asking = Asking(create_app(GatewaySettings(), topics, streams))
    path = f"{base}/topics/{TOPIC}/records:batch"
    body = {"entries": [{"id": "1", "value": {"type": "JSON", "data": 1}}]}
    assert asking.send("POST", path, json=body).status_code == 207

    async def none_left(*_: Any) -> None:
        raise Unavailable("no thread is left")

    monkeypatch.setattr(v3_operations, "run_in_threadpool", none_left)
    assert asking.send("POST", path, json=body).status_code == 207


def test_a_cluster_that_was_made_anew_is_known_by_its_own_id(
    client: Any, base: str, topics: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get(f"{base}/topics").status_code == 200
    anew = msgspec.structs.replace(topics.cluster(), id="another")
    monkeypatch.setattr(topics, "cluster", lambda: anew)
    assert client.get("/v3/clusters/another/topics").status_code == 200
    body = b'{"value":{"type":"JSON","data":1}}'
    path = f"/v3/clusters/another/topics/{TOPIC}/records"
    sent = client.send("POST", path, content=body, headers=JSON)
    assert sent.json()["cluster_id"] == "another"
    error(client.get(f"{base}/topics"), 404, 404)


def test_a_log_that_is_away_is_503(
    client: Any, base: str, topics: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise Unavailable("gone")

    monkeypatch.setattr(topics, "describe", away)
    answer = client.get(f"{base}/topics/{TOPIC}")
    error(answer, 503, 50302)
    assert answer.headers["retry-after"] == "1"


def test_wrong_methods_and_media_are_refused_in_the_shape_of_v3(client: Any, base: str) -> None:
    path = f"{base}/topics/{TOPIC}/records"
    refused = client.send("PUT", path)
    error(refused, 405, 405)
    assert refused.headers["allow"] == "POST"
    body = json.dumps({"value": None}).encode()
    text = client.send("POST", path, content=body, headers={"Content-Type": "text/plain"})
    error(text, 415, 415)
    assert client.send("HEAD", f"{base}/topics").status_code == 200
