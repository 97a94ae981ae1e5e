"""Keys before the whole gateway: who gets in, what each may do and see, and what the audit log says of it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway import access
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.exchange import Endpoint, Exchange
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.operations import Operation
from pinterest_pipeline.gateway.plans import Plan
from pinterest_pipeline.gateway.routes import Router
from tests.unit.gateway.conftest import STREAM, TOPIC, Client

VERBS, NOUNS = ("describe", "read", "write", "create", "delete"), ("topic", "stream", "group")
ALL = [*(f"{verb}:{noun}:*" for verb in VERBS for noun in NOUNS), "describe:cluster", "read:service"]
KAFKA = {"Content-Type": "application/vnd.kafka.json.v2+json"}
ONE = b'{"records":[{"value":1}]}'
PUT = b'{"Data":1,"PartitionKey":"k"}'


@pytest.fixture
def exchanges() -> list[Exchange]:
    return []


@pytest.fixture
def guarded(
    tmp_path: Path, topics: SqliteEventLog, streams: SqliteStreamLog, exchanges: list[Exchange]
) -> Client:
    chosen = GatewaySettings(access="keys", max_body_bytes=20_000)
    figures = Figures()
    checks = access.guards(chosen, "127.0.0.1", tmp_path, figures.refused)
    observers = [exchanges.append]
    app = create_app(chosen, topics, streams, guards=checks, observers=observers, figures=figures)
    return Client(app)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., str]:
    def make_key(*scopes: str, plan: Plan = Plan(), expires_ms: int | None = None) -> str:  # noqa: B008
        return access.key_file(tmp_path).create("x", scopes, plan, expires_ms)[0]

    return make_key


@pytest.fixture
def audit(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    def lines() -> list[dict[str, Any]]:
        path = tmp_path / "logs" / "audit.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return lines


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_key_opens_what_its_scopes_say(guarded: Client, make: Callable[..., str]) -> None:
    key = {"x-api-key": make("write:topic:124df56aef51.*", "write:stream:streaming-124df56aef51-*")}
    assert guarded.send("POST", f"/topics/{TOPIC}", content=ONE, headers=KAFKA | key).status_code == 200
    assert guarded.send("PUT", f"/dev/streams/{STREAM}/record", content=PUT, headers=key).status_code == 200
    assert guarded.get(f"/topics/{TOPIC}", key).status_code == 200
    kafka = guarded.send("POST", "/topics/other.pin", content=ONE, headers=KAFKA | key)
    assert (kafka.status_code, kafka.json()["error_code"]) == (403, 40301)
    assert kafka.json()["message"] == "the key has no scope to write topic 'other.pin'"
    kinesis = guarded.send("DELETE", f"/streams/{STREAM}", headers=key)
    assert (kinesis.status_code, kinesis.json()["__type"]) == (403, "AccessDeniedException")
    assert guarded.get(f"/streams/{STREAM}/sharditerator?shard-id=0", key).status_code == 403


def operations(guarded: Client) -> list[Operation]:
    """Every operation of the application, however it came into it."""
    assert isinstance(guarded.app, Router)
    nodes, found = [guarded.app._root], list[Operation]()
    for node in nodes:
        nodes += [*node.children.values(), *([node.parameter] if node.parameter else [])]
        endpoints = {endpoint for endpoint, _ in node.methods.values()}
        found += [endpoint._operation for endpoint in endpoints if isinstance(endpoint, Endpoint)]
    return found


def test_every_operation_that_is_not_public_asks_for_a_key(guarded: Client, make: Callable[..., str]) -> None:
    nothing, everything = bearer(make("create:group:none")), bearer(make(*ALL))
    for operation in operations(guarded):
        path = re.sub(r"\{\w+\}", "1", operation.path)
        found = [
            guarded.send(operation.method, path, headers=headers).status_code
            for headers in ({}, bearer("pinpipe_0"), nothing, everything)
        ]
        if operation.access is None:
            assert found == [200] * 4, operation.id
        else:
            assert found[:3] == [401, 401, 403], operation.id
            assert found[3] not in (401, 403), operation.id


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("x-api-key", "")],
        [("x-api-key", "pinpipe_000000000000_" + "0" * 40)],
        [("x-api-key", "KEY"), ("x-api-key", "KEY")],
        [("x-api-key", "KEY, KEY")],
        [("x-api-key", "KEY"), ("Authorization", "Bearer pinpipe_000000000000_" + "0" * 40)],
        [("Authorization", "Bearer KEY"), ("Authorization", "Bearer KEY")],
        [("Authorization", "Basic KEY")],
        [("Authorization", "KEY")],
        [("Authorization", "Bearer")],
        [("Cookie", "x-api-key=KEY")],
    ],
)
def test_no_key_or_no_one_key_is_401(
    guarded: Client, make: Callable[..., str], headers: list[tuple[str, str]]
) -> None:
    key = make(*ALL)
    sent = [(name, value.replace("KEY", key)) for name, value in headers]
    for path in ("/topics", "/streams", "/topics?x-api-key=" + key):
        answer = guarded.send("GET", path, headers=sent)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="pinpipe"'
        assert key not in answer.text


def test_both_headers_with_the_same_key_will_do(guarded: Client, make: Callable[..., str]) -> None:
    key = make(*ALL)
    for headers in (
        {"X-API-KEY": key},
        {"Authorization": f"bEARER {key}"},
        {"x-api-key": key, "authorization": f"Bearer {key}"},
        {"x-api-key": key, "authorization": "AWS4-HMAC-SHA256 Credential=a"},
    ):
        assert guarded.get("/topics", headers).status_code == 200


def test_a_key_that_has_ended_says_so(guarded: Client, make: Callable[..., str], tmp_path: Path) -> None:
    expired, revoked = make(*ALL, expires_ms=1), make(*ALL)
    access.key_file(tmp_path).revoke(revoked.split("_")[1])
    for key, said in ((expired, "the API key has expired"), (revoked, "the API key was revoked")):
        answer = guarded.get("/streams", bearer(key))
        assert answer.status_code == 401
        assert answer.json() == {"__type": "UnrecognizedClientException", "message": said}


@pytest.mark.parametrize(
    "path",
    [
        "/topics/a/..%2f124df56aef51.pin",
        "/topics/a/%2e%2e/124df56aef51.pin",
        "/topics/..%2ftopics%2f124df56aef51.pin",
        "/topics/a;/%2e%2e/124df56aef51.pin",
        "/topics/124df56aef51.pin;a",
        "/topics/a;124df56aef51.pin",
        "/topics/%31%32%34df56aef51.pin",
        "/topics/124df56aef51%2epin",
        "/topics/124df56aef51%252epin",
        "/topics/a%00124df56aef51.pin",
        "/topics//124df56aef51.pin",
        "//topics/124df56aef51.pin",
        "/topics/124df56aef51.pin/",
        "/dev/topics/124df56aef51.pin",
        "/a/topics/124df56aef51.pin",
        "/TOPICS/124df56aef51.pin",
        "/topics/124df56aef51.pin%20",
        "/topics/124DF56AEF51.PIN",
    ],
)
def test_no_spelling_of_a_path_changes_what_is_checked(
    guarded: Client, make: Callable[..., str], topics: SqliteEventLog, path: str
) -> None:
    mine = bearer(make("write:topic:a", "write:topic:a?*", "read:topic:mine"))
    for headers in (mine, mine | {"X-Original-URL": "/topics/a", "X-Rewrite-URL": "/topics/a"}):
        answer = guarded.send("POST", path, content=ONE, headers=KAFKA | headers)
        assert answer.status_code in (307, 400, 403, 404), path
        assert guarded.get(path, headers).status_code in (307, 403, 404), path
    assert sum(topics.ends(TOPIC).values()) == 0


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_header_does_not_change_the_method(guarded: Client, make: Callable[..., str], name: str) -> None:
    reader = bearer(make("describe:stream:*"))
    answer = guarded.send("GET", f"/streams/{STREAM}?_method=DELETE", headers=reader | {name: "DELETE"})
    assert answer.status_code == 200
    assert guarded.get(f"/streams/{STREAM}", reader).status_code == 200
    assert guarded.send("POST", f"/streams/{STREAM}", headers=reader | {name: "GET"}).status_code == 403


def test_head_is_checked_as_get(guarded: Client) -> None:
    assert guarded.send("HEAD", "/topics").status_code == 401


def test_the_body_is_not_read_before_the_key(guarded: Client, exchanges: list[Exchange]) -> None:
    read: list[bool] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(True)
        yield ONE

    answer = guarded.send("POST", f"/topics/{TOPIC}", content=body(), headers=KAFKA)
    assert answer.status_code == 401
    assert read == []
    assert exchanges[-1].bytes_in == 0


def test_a_list_shows_what_the_key_may_describe(
    guarded: Client, make: Callable[..., str], topics: SqliteEventLog, streams: SqliteStreamLog
) -> None:
    for log in (topics, streams):
        log.create("hidden", 1)
        log.create("shown", 1)
    some = bearer(make("describe:topic:s*", "read:topic:124df56aef51.*", "describe:stream:shown"))
    assert guarded.get("/topics", some).json() == [TOPIC, "shown"]
    assert guarded.get("/streams", some).json()["StreamNames"] == ["shown"]
    assert [s["StreamName"] for s in guarded.get("/streams", some).json()["StreamSummaries"]] == ["shown"]
    assert guarded.get("/topics", bearer(make("describe:stream:*"))).status_code == 403


def test_a_name_in_a_body_is_refused_as_one_in_a_path(
    guarded: Client,
    make: Callable[..., str],
    topics: SqliteEventLog,
    audit: Callable[[], list[dict[str, Any]]],
) -> None:
    key = bearer(make("create:topic:mine.*"))
    asked = {"topic_name": "yours.a", "validate_only": True}
    answer = guarded.send("POST", f"/v3/clusters/{topics.cluster().id}/topics", json=asked, headers=key)
    assert answer.json() == {"error_code": 40301, "message": "the key has no scope to create topic 'yours.a'"}
    assert [(line["operation"], line["resource"]) for line in audit()] == [("v3_create_topic", "yours.a")]


def test_a_plan_that_is_used_up_is_429_with_a_time(guarded: Client, make: Callable[..., str]) -> None:
    slow, few = bearer(make(*ALL, plan=Plan(rate=0.5, burst=2))), bearer(make(*ALL, plan=Plan(quota=1)))
    assert [guarded.get("/topics", slow).status_code for _ in range(3)] == [200, 200, 429]
    kafka, kinesis = guarded.get("/topics", slow), guarded.get("/streams", slow)
    assert kafka.json()["error_code"] == 42901
    assert kafka.json()["message"] == "the key may send 0.5 requests a second, 2 at once"
    assert kinesis.json()["__type"] == "ThrottlingException"
    assert kafka.headers["retry-after"] == "2"
    assert guarded.get("/streams", few).status_code == 200
    over = guarded.get("/streams", few)
    assert (over.status_code, over.json()["__type"]) == (429, "LimitExceededException")
    assert 1 <= int(over.headers["retry-after"]) <= 86_400


def test_a_forbidden_call_takes_nothing_of_the_plan(guarded: Client, make: Callable[..., str]) -> None:
    key = bearer(make("describe:topic:*", plan=Plan(quota=1)))
    assert [guarded.get("/streams", key).status_code for _ in range(3)] == [403] * 3
    assert guarded.get("/topics", key).status_code == 200


def test_keys_of_repeated_requests_belong_to_their_caller(
    guarded: Client, make: Callable[..., str], topics: SqliteEventLog, exchanges: list[Exchange]
) -> None:
    one, other = make(*ALL), make(*ALL)
    once = KAFKA | {"Idempotency-Key": '"k"'}
    for key in (one, one, other):
        answer = guarded.send("POST", f"/topics/{TOPIC}", content=ONE, headers=once | bearer(key))
        assert (answer.status_code, answer.headers["idempotency-key"]) == (200, '"k"')
    assert sum(topics.ends(TOPIC).values()) == 2
    assert [found.request.scope["caller"] for found in exchanges] == [
        key.split("_")[1] for key in (one, one, other)
    ]


def test_a_refused_call_leaves_a_line(
    guarded: Client, make: Callable[..., str], audit: Callable[[], list[dict[str, Any]]]
) -> None:
    key = make("describe:topic:*")
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


def test_refused_calls_are_counted_by_their_reason(guarded: Client, make: Callable[..., str]) -> None:
    reader = bearer(make("read:service", plan=Plan(quota=2)))
    guarded.get("/topics", reader)
    guarded.get("/topics")
    guarded.get("/metrics", bearer("pinpipe_0"))
    text = guarded.get("/metrics", reader).text
    for reason in ("not_allowed", "unauthenticated", "unknown_key"):
        assert f'pinpipe_gateway_refusals_total{{reason="{reason}"}} 1.0\n' in text


def guard_count(mode: str, address: str, folder: Path) -> int:
    chosen = GatewaySettings.model_validate({"access": mode})
    access.check(chosen, address, folder)
    return len(access.guards(chosen, address, folder, Figures().refused))


@pytest.mark.parametrize(("mode", "lacks"), [("auto", False), ("open", False), ("keys", True)])
def test_a_gateway_that_refuses_everybody_is_known_as_one(tmp_path: Path, mode: str, lacks: bool) -> None:
    chosen = GatewaySettings.model_validate({"access": mode})
    assert access.lacks_key(chosen, "127.0.0.1", tmp_path) == lacks
    access.key_file(tmp_path).create("me", ["write:topic:*"], Plan(), None)
    assert not access.lacks_key(chosen, "127.0.0.1", tmp_path)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_on_loopback_the_gateway_is_open_unless_told(tmp_path: Path, address: str) -> None:
    assert [guard_count(mode, address, tmp_path) for mode in ("auto", "open", "keys")] == [0, 0, 1]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "fe80::1%eth0"])
def test_off_loopback_it_needs_a_key_or_a_word(
    tmp_path: Path, make: Callable[..., str], address: str
) -> None:
    assert guard_count("open", address, tmp_path) == 0
    make(*ALL, expires_ms=1)
    for mode in ("auto", "keys"):
        with pytest.raises(SettingError, match=r"there is no key.*PINPIPE_GATEWAY__ACCESS=open") as caught:
            guard_count(mode, address, tmp_path)
        assert caught.value.exit_code == 2
    make(*ALL)
    assert [guard_count(mode, address, tmp_path) for mode in ("auto", "open", "keys")] == [1, 0, 1]


def test_an_open_gateway_takes_any_key_and_shows_all(client: Client) -> None:
    assert client.get("/topics", bearer("anything")).json() == [TOPIC]


SEGMENTS = st.sampled_from(
    ["topics", "streams", "v3", "clusters", "consumer-groups", TOPIC, STREAM, "records", "record", "dev",
     "prod", "", ".", "..", ";", "a;b", "%2e%2e", "%2f", "..%2f", "%00", "%", "TOPICS", "metrics",
     "metrics;", "*"]
)  # fmt: skip


@given(
    segments=st.lists(SEGMENTS, max_size=7),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_is_answered_without_a_key(guarded: Client, segments: list[str], method: str) -> None:
    raw = "/" + "/".join(segments)
    answers: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": ONE, "more_body": False}

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http", "method": method, "path": unquote(raw), "raw_path": raw.encode(), "query_string": b"",
        "headers": [(b"host", b"a")], "client": ("127.0.0.1", 1), "server": ("a", 80), "scheme": "http",
    }  # fmt: skip

    async def ask() -> None:
        await guarded.app(scope, receive, send)

    asyncio.run(ask())
    is_root = answers[1]["body"] == b"{}"  # which is public, and says nothing
    assert is_root or answers[0]["status"] in (400, 401, 404, 405)


def test_rest_v3_shows_only_what_the_key_may_see(
    guarded: Client, make: Callable[..., str], topics: SqliteEventLog
) -> None:
    base = f"/v3/clusters/{topics.cluster().id}"
    topics.create("secret", 1)
    topics.commit("readers", TOPIC, {0: 0})
    topics.commit("readers", "secret", {0: 0})
    topics.commit("others", TOPIC, {0: 0})
    key = bearer(make(f"describe:topic:{TOPIC}", "describe:group:readers", "create:topic:mine"))
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
