"""What a key allows: what it may do and see, how often, and what is kept of calls that were refused."""

import json
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pinterest_pipeline.eventlog.base import Receipt, Refusal
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway import access
from pinterest_pipeline.gateway.exchange import Exchange
from pinterest_pipeline.gateway.plans import Plan
from tests.asking import Asking
from tests.unit.gateway.conftest import ALL, KAFKA, ONE, STREAM, TOPIC, Client, MakeKey, bearer

PUT = b'{"Data":1,"PartitionKey":"k"}'
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rate grows and no day ends between two requests."""
    monkeypatch.setattr(access, "time", SimpleNamespace(time=lambda: NOON))


def test_a_key_opens_what_its_scopes_say(guarded: Client, make_key: MakeKey) -> None:
    key = {"x-api-key": make_key("write:topic:124df56aef51.*", "write:stream:streaming-124df56aef51-*")}
    assert guarded.send("POST", f"/topics/{TOPIC}", content=ONE, headers=KAFKA | key).status_code == 200
    assert guarded.send("PUT", f"/dev/streams/{STREAM}/record", content=PUT, headers=key).status_code == 200
    assert guarded.get(f"/topics/{TOPIC}", key).status_code == 200
    kafka = guarded.send("POST", "/topics/other.pin", content=ONE, headers=KAFKA | key)
    assert (kafka.status_code, kafka.json()["error_code"]) == (403, 40301)
    assert kafka.json()["message"] == "the key has no scope to write topic 'other.pin'"
    kinesis = guarded.send("DELETE", f"/streams/{STREAM}", headers=key)
    assert (kinesis.status_code, kinesis.json()["__type"]) == (403, "AccessDeniedException")
    assert guarded.get(f"/streams/{STREAM}/sharditerator?shard-id=0", key).status_code == 403


def test_a_list_shows_what_the_key_may_describe(
    guarded: Client, make_key: MakeKey, topics: SqliteEventLog, streams: SqliteStreamLog
) -> None:
    for log in (topics, streams):
        log.create("hidden", 1)
        log.create("shown", 1)
    some = bearer(make_key("describe:topic:s*", "read:topic:124df56aef51.*", "describe:stream:shown"))
    assert guarded.get("/topics", some).json() == [TOPIC, "shown"]
    assert guarded.get("/streams", some).json()["StreamNames"] == ["shown"]
    assert [s["StreamName"] for s in guarded.get("/streams", some).json()["StreamSummaries"]] == ["shown"]
    assert guarded.get("/topics", bearer(make_key("describe:stream:*"))).status_code == 403


def test_a_name_in_a_body_is_refused_as_one_in_a_path(
    guarded: Client,
    make_key: MakeKey,
    topics: SqliteEventLog,
    audit: Callable[[], list[dict[str, Any]]],
) -> None:
    key = bearer(make_key("create:topic:mine.*"))
    asked = {"topic_name": "yours.a", "validate_only": True}
    answer = guarded.send("POST", f"/v3/clusters/{topics.cluster().id}/topics", json=asked, headers=key)
    assert answer.json() == {"error_code": 40301, "message": "the key has no scope to create topic 'yours.a'"}
    assert [(line["operation"], line["resource"]) for line in audit()] == [("v3_create_topic", "yours.a")]


def test_a_plan_that_is_used_up_is_429_with_a_time(guarded: Client, make_key: MakeKey) -> None:
    slow, few = (
        bearer(make_key(*ALL, plan=Plan(rate=0.5, burst=2))),
        bearer(make_key(*ALL, plan=Plan(quota=1))),
    )
    assert [guarded.get("/topics", slow).status_code for _ in range(3)] == [200, 200, 429]
    kafka, kinesis = guarded.get("/topics", slow), guarded.get("/streams", slow)
    assert kafka.json()["error_code"] == 42901
    assert kafka.json()["message"] == "the key may send 0.5 requests a second, 2 at once"
    assert kinesis.json()["__type"] == "ThrottlingException"
    assert kafka.headers["retry-after"] == "2"
    assert guarded.get("/streams", few).status_code == 200
    over = guarded.get("/streams", few)
    assert (over.status_code, over.json()["__type"]) == (429, "LimitExceededException")
    assert int(over.headers["retry-after"]) == 43_200


def test_keys_of_a_new_file_are_not_charged_with_what_others_used(
    guarded: Client, make_key: MakeKey, tmp_path: Path
) -> None:
    for _ in range(2):
        key = bearer(make_key(*ALL, plan=Plan(quota=1)))
        assert [guarded.get("/topics", key).status_code for _ in range(2)] == [200, 429]
        keys = access.key_file(tmp_path).path
        keys.replace(keys.with_name("keys.old"))  # as our own messages say of a file that is broken


def test_a_forbidden_call_takes_nothing_of_the_plan(guarded: Client, make_key: MakeKey) -> None:
    key = bearer(make_key("describe:topic:*", plan=Plan(quota=1)))
    assert [guarded.get("/streams", key).status_code for _ in range(3)] == [403] * 3
    assert guarded.get("/topics", key).status_code == 200


def test_keys_of_repeated_requests_belong_to_their_caller(
    guarded: Client, make_key: MakeKey, topics: SqliteEventLog, exchanges: list[Exchange]
) -> None:
    one, other = make_key(*ALL), make_key(*ALL)
    once = KAFKA | {"Idempotency-Key": '"k"'}
    for key in (one, one, other):
        answer = guarded.send("POST", f"/topics/{TOPIC}", content=ONE, headers=once | bearer(key))
        assert (answer.status_code, answer.headers["idempotency-key"]) == (200, '"k"')
    assert sum(topics.ends(TOPIC).values()) == 2
    assert [found.request.scope["caller"] for found in exchanges] == [
        key.split("_")[1] for key in (one, one, other)
    ]


def test_a_refused_call_leaves_a_line(
    guarded: Client, make_key: MakeKey, audit: Callable[[], list[dict[str, Any]]]
) -> None:
    key = make_key("describe:topic:*")
    guarded.get("/health")
    guarded.get("/topics", bearer(key))
    assert audit() == []
    guarded.send("POST", "/topics/a%0a%7b%22status%22:200%7d%1b[2J", content=ONE, headers=bearer(key))
    guarded.get("/streams", bearer("pinpipe_" + "0" * 12 + "_" + "1" * 40))
    (forbidden, unknown) = audit()
    assert datetime.fromisoformat(forbidden["time"]).utcoffset() == timedelta(0)
    assert forbidden == {
        "time": forbidden["time"],
        "status": 403,
        "reason": "the key has no scope to write topic 'a\n{\"status\":200}\x1b[2J'",
        "caller": key.split("_")[1],
        "operation": "produce",
        "resource": 'a\n{"status":200}\x1b[2J',
        "remote": "127.0.0.1:123",
    }
    assert (unknown["status"], unknown["caller"], unknown["resource"]) == (401, "", "")
    assert key.split("_")[2] not in json.dumps(audit())


def test_refused_calls_are_counted_by_their_reason(guarded: Client, make_key: MakeKey) -> None:
    reader = bearer(make_key("read:service", plan=Plan(quota=2)))
    guarded.get("/topics", reader)
    guarded.get("/topics")
    guarded.get("/metrics", bearer("pinpipe_0"))
    text = guarded.get("/metrics", reader).text
    for reason in ("not_allowed", "unauthenticated", "unknown_key"):
        assert f'pinpipe_gateway_refusals_total{{reason="{reason}"}} 1.0\n' in text


def test_every_403_of_a_handler_leaves_one_line_and_is_counted_once(
    guarded: Client,
    make_key: MakeKey,
    audit: Callable[[], list[dict[str, Any]]],
    topics: SqliteEventLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = bearer(make_key("read:group:reports", "read:service", "write:topic:*", "create:topic:mine"))
    instance = "/consumers/reports/instances/a"
    parts = {"partitions": [{"topic": TOPIC, "partition": 0}]}
    guarded.send("POST", "/consumers/reports", json={"name": "a"}, headers=key)
    refused: Future[list[Receipt | Refusal]] = Future()
    refused.set_result([Refusal("record_too_large", "it is large"), Refusal("forbidden", "no access")])
    monkeypatch.setattr(topics, "append", lambda *_: refused)
    calls: list[tuple[str, str, str, Any]] = [
        ("subscribe", "POST", f"{instance}/subscription", {"topics": [TOPIC]}),
        ("assign", "POST", f"{instance}/assignments", parts),
        ("get_offsets", "GET", f"{instance}/offsets?partitions={TOPIC}:0", None),
        ("produce", "POST", "/topics/__internal", {"records": [{"value": 1}]}),
        ("produce", "POST", f"/topics/{TOPIC}", {"records": [{"value": 1}, {"value": 2}]}),
    ]
    gateway = Asking(guarded.app)
    for operation, method, path, content in calls:
        answer = gateway.send(method, path, json=content, headers=key)
        assert (answer.status_code, audit()[-1]["operation"]) == (403, operation)
    lines = audit()
    assert [line["operation"] for line in lines] == [operation for operation, *_ in calls]
    assert {line["status"] for line in lines} == {403}
    assert [line["resource"] for line in lines] == ["reports"] * 3 + ["__internal", TOPIC]
    assert lines[0]["reason"] == f"the key has no scope to read topic '{TOPIC}'"
    assert lines[-1]["reason"] == "no access"
    text = guarded.get("/metrics", key).text
    assert f'pinpipe_gateway_refusals_total{{reason="forbidden"}} {float(len(calls))}\n' in text


def test_a_call_that_goes_wrong_otherwise_is_no_refusal(
    guarded: Client, make_key: MakeKey, audit: Callable[[], list[dict[str, Any]]]
) -> None:
    key = bearer(make_key(*ALL))
    guarded.get("/topics/nothing", key)
    guarded.get("/nothing", key)
    guarded.send("POST", f"/topics/{TOPIC}", content=b"{", headers=KAFKA | key)
    assert audit() == []
    assert "refusals_total{" not in guarded.get("/metrics", key).text


def test_an_open_gateway_takes_any_key_and_shows_all(client: Client) -> None:
    assert client.get("/topics", bearer("anything")).json() == [TOPIC]


def test_rest_v3_shows_only_what_the_key_may_see(
    guarded: Client, make_key: MakeKey, topics: SqliteEventLog
) -> None:
    base = f"/v3/clusters/{topics.cluster().id}"
    topics.create("secret", 1)
    topics.commit("readers", TOPIC, {0: 0})
    topics.commit("readers", "secret", {0: 0})
    topics.commit("others", TOPIC, {0: 0})
    key = bearer(make_key(f"describe:topic:{TOPIC}", "describe:group:readers", "create:topic:mine"))
    listed = guarded.get(f"{base}/topics", key).json()["data"]
    assert [topic["topic_name"] for topic in listed] == [TOPIC]
    groups = guarded.get(f"{base}/consumer-groups", key).json()["data"]
    assert [group["consumer_group_id"] for group in groups] == ["readers"]
    lags = guarded.get(f"{base}/consumer-groups/readers/lags", key).json()["data"]
    assert {lag["topic_name"] for lag in lags} == {TOPIC}
    for path in ("topics/secret", "consumer-groups/others", f"topics/{TOPIC}/partitions/0/records"):
        assert guarded.get(f"{base}/{path}", key).status_code == 403
    for name, status in (("mine", 201), ("other", 403)):
        made = guarded.send("POST", f"{base}/topics", json={"topic_name": name}, headers=key)
        assert made.status_code == status
    assert "other" not in topics.topics()
