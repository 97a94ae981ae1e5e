"""Keys before the whole gateway: who gets in, however a request is spelled, and when a key is asked for."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.gateway import access
from pinterest_pipeline.gateway.exchange import Endpoint, Exchange
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.operations import Operation
from pinterest_pipeline.gateway.plans import Plan
from pinterest_pipeline.gateway.routes import Router
from tests.unit.gateway.conftest import ALL, KAFKA, ONE, STREAM, TOPIC, Client, MakeKey, bearer

DOCS = Path(__file__).parents[3] / "docs"


def operations(guarded: Client) -> list[Operation]:
    """Every operation of the application, however it came into it."""
    assert isinstance(guarded.app, Router)
    nodes, found = [guarded.app._root], list[Operation]()
    for node in nodes:
        nodes += [*node.children.values(), *([node.parameter] if node.parameter else [])]
        endpoints = {endpoint for endpoint, _ in node.methods.values()}
        found += [endpoint._operation for endpoint in endpoints if isinstance(endpoint, Endpoint)]
    return found


def test_every_operation_that_is_not_public_asks_for_a_key(guarded: Client, make_key: MakeKey) -> None:
    nothing, everything = bearer(make_key("create:group:none")), bearer(make_key(*ALL))
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
    guarded: Client, make_key: MakeKey, headers: list[tuple[str, str]]
) -> None:
    key = make_key(*ALL)
    sent = [(name, value.replace("KEY", key)) for name, value in headers]
    for path in ("/topics", "/streams", "/topics?x-api-key=" + key):
        answer = guarded.send("GET", path, headers=sent)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="pinpipe"'
        assert key not in answer.text


def test_both_headers_with_the_same_key_will_do(guarded: Client, make_key: MakeKey) -> None:
    key = make_key(*ALL)
    for headers in (
        {"X-API-KEY": key},
        {"Authorization": f"bEARER {key}"},
        {"x-api-key": key, "authorization": f"Bearer {key}"},
        {"x-api-key": key, "authorization": "AWS4-HMAC-SHA256 Credential=a"},
    ):
        assert guarded.get("/topics", headers).status_code == 200


def test_a_key_that_has_ended_says_so(guarded: Client, make_key: MakeKey, tmp_path: Path) -> None:
    expired, revoked = make_key(*ALL, expires_ms=1), make_key(*ALL)
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
    guarded: Client, make_key: MakeKey, topics: SqliteEventLog, path: str
) -> None:
    mine = bearer(make_key("write:topic:a", "write:topic:a?*", "read:topic:mine"))
    for headers in (mine, mine | {"X-Original-URL": "/topics/a", "X-Rewrite-URL": "/topics/a"}):
        answer = guarded.send("POST", path, content=ONE, headers=KAFKA | headers)
        assert answer.status_code in (307, 400, 403, 404), path
        assert guarded.get(path, headers).status_code in (307, 403, 404), path
    assert sum(topics.ends(TOPIC).values()) == 0


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_a_header_does_not_change_the_method(guarded: Client, make_key: MakeKey, name: str) -> None:
    reader = bearer(make_key("describe:stream:*"))
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


def test_nothing_of_a_request_is_looked_at_before_the_key(guarded: Client, make_key: MakeKey) -> None:
    packed = {"Content-Encoding": "gzip"}
    path = f"/topics/{TOPIC}"
    assert guarded.send("POST", path, content=ONE, headers=KAFKA | packed).status_code == 401
    reader, writer = bearer(make_key("read:topic:*")), bearer(make_key("write:topic:*"))
    assert guarded.send("POST", path, content=ONE, headers=KAFKA | packed | reader).status_code == 403
    assert guarded.send("POST", path, content=ONE, headers=KAFKA | packed | writer).status_code == 415


def test_the_pages_name_all_that_needs_no_key(guarded: Client) -> None:
    public = {f"`{one.method} {one.path}`" for one in operations(guarded) if one.access is None}
    pages = {"reference/http-api.md": "show nothing", "how-to/secure-the-gateway.md": "need no key"}
    for page, end in pages.items():
        sentence = (DOCS / page).read_text().partition(end)[0].rpartition("\n\n")[2]
        assert set(re.findall(r"`[A-Z]+ /\S*`", sentence)) == public, page


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
def test_off_loopback_it_needs_a_key_or_a_word(tmp_path: Path, make_key: MakeKey, address: str) -> None:
    assert guard_count("open", address, tmp_path) == 0
    make_key(*ALL, expires_ms=1)
    for mode in ("auto", "keys"):
        with pytest.raises(SettingError, match=r"there is no key.*PINPIPE_GATEWAY__ACCESS=open") as caught:
            guard_count(mode, address, tmp_path)
        assert caught.value.exit_code == 2
    make_key(*ALL)
    assert [guard_count(mode, address, tmp_path) for mode in ("auto", "open", "keys")] == [1, 0, 1]


SEGMENTS = st.sampled_from(
    ["topics", "streams", "v3", "clusters", "consumer-groups", TOPIC, STREAM, "records", "record", "dev",
     "prod", "", ".", "..", ";", "a;b", "%2e%2e", "%2f", "..%2f", "%00", "%", "TOPICS", "metrics",
     "metrics;", "*"]
)  # fmt: skip


@given(
    segments=st.lists(SEGMENTS, max_size=7),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
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
