"""What a consumer instance takes, how it is shared, and who may use it."""

import asyncio
import errno
import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import ConsumerExists, DiskFull, UnknownConsumer
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.consumer_shapes import InstanceSettings, created
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.consumer_turns import Turns
from pinterest_pipeline.gateway.error_codes import Fault
from pinterest_pipeline.gateway.operations import Operation
from pinterest_pipeline.gateway.scopes import Grant
from pinterest_pipeline.gateway.sharing import shares
from tests.asking import Asking, Consumer

WAIT = 30
TOPIC = "124df56aef51.pin"
SETTINGS = InstanceSettings("json", "earliest", True, 1, 1_000)


@pytest.fixture
def gateway(topics: SqliteEventLog, streams: SqliteStreamLog, store: ConsumerStore) -> Asking:
    return Asking(create_app(GatewaySettings(), topics, streams, consumers=store))


def test_without_a_store_there_are_no_consumers(topics: SqliteEventLog, streams: SqliteStreamLog) -> None:
    gateway = Asking(create_app(GatewaySettings(), topics, streams))
    assert gateway.send("POST", "/consumers/g").status_code == 404


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", InstanceSettings("binary", "latest", True, 1, 1_000)),
        (b'{"name":"n","format":"JSON"}', InstanceSettings("json", "latest", True, 1, 1_000)),
        (
            b"""{"id":"n","auto.offset.reset":"earliest","auto.commit.enable":"false",
            "fetch.min.bytes":"5","consumer.request.timeout.ms":"7"}""",
            InstanceSettings("binary", "earliest", False, 5, 7),
        ),
        (
            b'{"auto.commit.enable":true,"fetch.min.bytes":-1,"consumer.request.timeout.ms":0}',
            InstanceSettings("binary", "latest", True, -1, 0),
        ),
        (b'{"fetch.min.bytes":"-1"}', InstanceSettings("binary", "latest", True, -1, 1_000)),
    ],
)
def test_settings_come_as_text_or_as_what_they_are(body: bytes, expected: InstanceSettings) -> None:
    found = created(body)
    assert not isinstance(found, Fault)
    assert found[1] == expected


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ('{"format":"avro"}', "schema registry"),
        ('{"format":"protobuf"}', "schema registry"),
        ('{"format":"text"}', "binary or json"),
        ('{"auto.offset.reset":"none"}', "earliest or latest"),
        ('{"auto.commit.enable":"yes"}', "true or false"),
        ('{"auto.commit.enable":1}', "auto.commit.enable"),
        ('{"fetch.min.bytes":"many"}', "fetch.min.bytes"),
        ('{"fetch.min.bytes":true}', "fetch.min.bytes"),
        (f'{{"fetch.min.bytes":"{"9" * 5_000}"}}', "fetch.min.bytes"),
        ('{"fetch.min.bytes":"\u0663"}', "fetch.min.bytes"),
        ('{"fetch.min.bytes":-2}', "fetch.min.bytes"),
        ('{"consumer.request.timeout.ms":-1}', "consumer.request.timeout.ms"),
        ('{"consumer.request.timeout.ms":1e3}', "consumer.request.timeout.ms"),
        ('{"group.instance.id":"x"}', "group.instance.id"),
        ('{"name":"a/b"}', "visible"),
        ('{"name":"a\\nb"}', "visible"),
        (f'{{"name":"{"x" * 256}"}}', "255"),
    ],
)
def test_a_wrong_setting_is_named(gateway: Asking, body: str, word: str) -> None:
    answer = gateway.send("POST", "/consumers/g", content=body)
    assert (answer.status_code, answer.json()["error_code"]) == (422, 42204)
    assert word in answer.json()["message"]


def test_names_of_any_text_are_escaped_in_the_address(gateway: Asking) -> None:
    consumer = gateway.consumer("a%20b", "ö ?#")
    assert consumer.path == "/consumers/a%20b/instances/%C3%B6%20%3F%23"
    consumer.subscribe(TOPIC)
    assert consumer.values() == []


def test_the_address_is_the_gateways_own_whatever_a_request_says(gateway: Asking) -> None:
    headers = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "host=evil.example",
        "X-Forwarded-Proto": "javascript",
    }
    answer = gateway.send("POST", "/prod/consumers/g", json={"name": "one"}, headers=headers)
    assert answer.json()["base_uri"] == "http://gateway:8082/prod/consumers/g/instances/one"


def test_the_address_can_be_set(
    topics: SqliteEventLog, streams: SqliteStreamLog, store: ConsumerStore
) -> None:
    settings = GatewaySettings(advertised_url="https://api.example/prod/")
    answer = Asking(create_app(settings, topics, streams, consumers=store)).send("POST", "/dev/consumers/g")
    assert answer.json()["base_uri"].startswith("https://api.example/prod/consumers/g/instances/rest-")


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/subscription", "{}", 422, 422),
        ("/subscription", '{"topics":[]}', 422, 422),
        ("/subscription", '{"topics":TOPIC}', 422, 42203),
        ("/subscription", '{"topic_pattern":"(["}', 422, 422),
        ("/subscription", '{"topic_pattern":"p)|(?:zz"}', 422, 422),
        ("/subscription", '{"topics":["a b"]}', 400, 40002),
        ("/subscription", '{"topics":["pin","\\u0000"]}', 400, 40002),
        ("/assignments", '{"partitions":[{"topic":"\\u0000","partition":0}]}', 404, 40401),
        ("/assignments", "", 422, 42203),
        ("/assignments", '{"partitions":[{"topic":"a","partition":true}]}', 422, 422),
        ("/positions", "{}", 422, 422),
        ("/positions", '{"offsets":[{"topic":"a","partition":0,"offset":-1}]}', 422, 422),
        ("/positions/end", '{"partitions":[{"topic":"a"}]}', 422, 422),
        ("/offsets", "{}", 422, 422),
    ],
)
def test_a_wrong_body_is_refused(gateway: Asking, path: str, body: str, status: int, code: int) -> None:
    answer = gateway.consumer().send("POST", path, content=body)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


@pytest.mark.parametrize("query", ["timeout=x", "timeout=1.5", "max_bytes=", "max_bytes=1e9"])
def test_a_wrong_query_is_refused(gateway: Asking, query: str) -> None:
    answer = gateway.consumer().subscribe(TOPIC).send("GET", f"/records?{query}")
    assert (answer.status_code, answer.json()["error_code"]) == (422, 422)


@pytest.mark.parametrize("query", ["", "?partitions=", "?partitions=pin", "?partitions=pin:-1"])
def test_positions_are_asked_for_by_partition(gateway: Asking, query: str) -> None:
    answer = gateway.consumer().send("GET", f"/offsets{query}")
    assert (answer.status_code, answer.json()["error_code"]) == (422, 422)
    assert "partitions=topic:0,topic:1" in answer.json()["message"]


def test_a_body_of_another_type_is_415(gateway: Asking) -> None:
    headers = {"Content-Type": "text/xml"}
    answer = gateway.send("POST", "/consumers/g", content="<a/>", headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (415, 415)


def test_a_pattern_that_others_could_hang_on_is_answered(gateway: Asking, topics: SqliteEventLog) -> None:
    topics.create("a" * 200, 1)
    consumer = gateway.consumer()
    consumer.done("/subscription", {"topic_pattern": "(a+)+(a+)+(a+)+b"})
    assert consumer.parts() == []


def test_a_wrong_pattern_is_refused_also_where_there_is_no_topic(
    gateway: Asking, topics: SqliteEventLog
) -> None:
    topics.delete(TOPIC)
    assert gateway.consumer().send("POST", "/subscription", json={"topic_pattern": "(["}).status_code == 422


def test_topics_of_the_cluster_fit_no_pattern(gateway: Asking, topics: SqliteEventLog) -> None:
    topics.create("__consumer_offsets", 1)
    consumer = gateway.consumer()
    consumer.done("/subscription", {"topic_pattern": ".*"})
    assert consumer.send("GET", "/subscription").json() == {"topics": [TOPIC]}


def test_only_get_reads(gateway: Asking) -> None:
    gateway.produce(TOPIC, {"value": 1})
    consumer = gateway.consumer().subscribe(TOPIC)
    answer = consumer.send("HEAD", "/records")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert consumer.values() == [1]


def test_a_kept_key_is_in_the_answer(gateway: Asking) -> None:
    consumer = gateway.consumer().subscribe(TOPIC)
    assert "idempotency-key" not in consumer.get(key="a").headers  # nothing to give again
    gateway.produce(TOPIC, {"value": 1})
    assert [consumer.get(key="a").headers["idempotency-key"] for _ in range(2)] == ["a", "a"]


# Who may use it


@pytest.fixture
def limited(topics: SqliteEventLog, streams: SqliteStreamLog, store: ConsumerStore) -> Asking:
    """A gateway whose callers may read the groups and this one topic."""
    topics.create("secret", 1)
    grant = Grant(["read:group:*", f"read:topic:{TOPIC}"])

    async def guard(request: Request, _: Operation) -> None:
        request.scope["grant"] = grant

    return Asking(create_app(GatewaySettings(), topics, streams, guards=(guard,), consumers=store))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/subscription", {"topics": [TOPIC, "secret"]}),
        ("POST", "/subscription", {"topics": ["secret", "nobody"]}),
        ("POST", "/assignments", {"partitions": [{"topic": "secret", "partition": 0}]}),
        ("POST", "/offsets", {"offsets": [{"topic": "secret", "partition": 0, "offset": 0}]}),
        ("GET", "/offsets", {"partitions": [{"topic": "secret", "partition": 0}]}),
        ("POST", "/positions/end", {"partitions": [{"topic": "secret", "partition": 0}]}),
    ],
)
def test_topics_of_others_are_closed(limited: Asking, method: str, path: str, body: dict[str, Any]) -> None:
    answer = limited.consumer().send(method, path, json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (403, 40301)


def test_a_pattern_fits_only_what_the_caller_may_read(limited: Asking) -> None:
    consumer = limited.consumer()
    consumer.done("/subscription", {"topic_pattern": ".*"})
    assert consumer.send("GET", "/subscription").json() == {"topics": [TOPIC]}


def test_an_instance_of_another_caller_opens_nothing(gateway: Asking, limited: Asking) -> None:
    others = gateway.consumer(name="subscribed").subscribe("secret")
    assigned = gateway.consumer(name="assigned")
    assigned.done("/assignments", {"partitions": [{"topic": "secret", "partition": 0}]})
    gateway.produce("secret", {"value": "mine"})
    assert others.values(key="a") == ["mine"]
    for path in (others.path, assigned.path):
        for key in ("a", "b"):
            answer = Consumer(limited, path).get(key=key)
            assert (answer.status_code, answer.json()["error_code"]) == (403, 40301)


# Sharing, turns, the store


@given(
    members=st.dictionaries(st.text(min_size=1, max_size=3), st.sets(st.sampled_from("abc")), min_size=1),
    partitions=st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), min_size=1),
)
def test_every_partition_has_one_reader_and_all_read_alike_much(
    members: dict[str, set[str]], partitions: dict[str, int]
) -> None:
    topics = {topic: (f"id of {topic}", count) for topic, count in partitions.items()}
    reads = {name: sorted(wanted) for name, wanted in members.items()}
    found = {name: shares(name, reads, topics) for name in members}
    for topic, count in partitions.items():
        readers = [name for name in members if topic in members[name]]
        held = {name: [part for part in found[name] if part[0] == topic] for name in members}
        taken = sorted(part for parts in held.values() for part in parts)
        assert taken == [(topic, number) for number in range(count if readers else 0)]
        if readers:
            sizes = [len(held[name]) for name in readers]
            assert max(sizes) - min(sizes) <= 1


def test_a_turn_is_for_one_at_a_time(tmp_path: Path) -> None:
    here, there = Turns(tmp_path / "turns"), Turns(tmp_path / "turns")
    turn = here.take(1)
    assert turn is not None
    assert (here.take(1), there.take(1)) == (None, None)
    other = there.take(2)
    assert other is not None
    turn.end()
    again = there.take(1)
    assert again is not None
    for turn in (again, other):
        there.forget(turn.id)
        turn.end()
    assert list((tmp_path / "turns").iterdir()) == []


def test_a_turn_that_the_system_refuses_is_503_as_all_else_of_the_store(
    gateway: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = gateway.consumer().subscribe(TOPIC)

    def refuse(*_: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    answer = consumer.get()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_who_waits_goes_on_waiting_when_the_store_fails(
    gateway: Asking, store: ConsumerStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = gateway.consumer(settings={"fetch.min.bytes": 3}).subscribe(TOPIC)
    failed: list[int] = []

    def fail(groups: list[str]) -> dict[str, int]:
        failed.append(len(groups))
        raise DiskFull("the disk is full", "free some space")

    monkeypatch.setattr(store, "changes", fail)

    async def together() -> Any:
        waiting = asyncio.create_task(
            gateway.sent("GET", f"{consumer.path}/records", params={"timeout": 60_000})
        )
        async with asyncio.timeout(WAIT):
            while len(failed) < 3:
                await asyncio.sleep(0)
            await gateway.sent("POST", f"/topics/{TOPIC}", json={"records": [{"value": 100}]})
            return await waiting

    assert [record["value"] for record in asyncio.run(together()).json()] == [100]


def test_a_store_is_shared_and_removal_is_for_good(tmp_path: Path) -> None:
    here, there = ConsumerStore(tmp_path), ConsumerStore(tmp_path)
    here.create("g", "one", SETTINGS)
    with pytest.raises(ConsumerExists, match="one"):
        there.create("g", "one", SETTINGS)
    entered = there.enter("g", "one")
    assert entered is not None
    assert here.enter("g", "one") is None
    instance, turn = entered
    there.remove(instance)
    with pytest.raises(UnknownConsumer):
        here.enter("g", "one")
    turn.end()
    assert list((tmp_path / "turns").iterdir()) == []
    here.create("g", "one", SETTINGS)
    here.close()
    there.close()


def test_a_file_of_another_version_begins_anew(tmp_path: Path) -> None:
    store = ConsumerStore(tmp_path)
    store.create("g", "one", SETTINGS)
    store.close()
    with closing(sqlite3.connect(tmp_path / "consumers.sqlite")) as file:
        file.execute("PRAGMA user_version = 1")
    with pytest.raises(UnknownConsumer):
        store.enter("g", "one")
    store.create("g", "one", SETTINGS)
    store.close()


def test_who_is_just_answered_is_not_removed_for_being_unused(tmp_path: Path) -> None:
    keeper, impatient = ConsumerStore(tmp_path), ConsumerStore(tmp_path, timeout_seconds=-1.0)
    keeper.create("g", "one", SETTINGS)
    entered = keeper.enter("g", "one")
    assert entered is not None
    impatient.remove_unused()
    entered[1].end()
    again = keeper.enter("g", "one")
    assert again is not None
    again[1].end()
    impatient.remove_unused()
    with pytest.raises(UnknownConsumer):
        keeper.enter("g", "one")
    keeper.close()
    impatient.close()


def test_processes_write_to_the_file_of_instances_one_after_the_other(tmp_path: Path) -> None:
    store = ConsumerStore(tmp_path)
    with (tmp_path / "consumers.sqlite-write").open("w") as lock:
        with store._transaction(), pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    store.close()
