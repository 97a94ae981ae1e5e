"""What consumer instances of the gateway do over any home of the event log."""

import json
import time
from typing import Any

import pytest

from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.eventlog.base import EventLog, Group, Record
from pinterest_pipeline.gateway import consumer_store
from tests.asking import BINARY, JSON, Asking, Consumer, OpenGateway, code, send

WAIT = 30
PIN, GEO, USER = "124df56aef51.pin", "124df56aef51.geo", "124df56aef51.user"
LATEST = {"auto.offset.reset": "latest"}

# Instances


def test_an_instance_is_made_and_removed(gateway: Asking) -> None:
    answer = gateway.send("POST", "/consumers/g", json={"name": "one", "format": "json"})
    base = "http://gateway:8082/consumers/g/instances/one"
    assert (answer.status_code, answer.json()) == (200, {"instance_id": "one", "base_uri": base})
    again = gateway.send("POST", "/consumers/g", json={"name": "one"})
    assert code(again) == (409, 40902)
    gone = gateway.send("DELETE", base)
    assert (gone.status_code, gone.content) == (204, b"")
    assert code(gateway.send("DELETE", base)) == (404, 40403)
    assert code(gateway.send("GET", f"{base}/records")) == (404, 40403)


def test_an_instance_without_a_name_gets_one(gateway: Asking) -> None:
    names = {gateway.send("POST", "/consumers/g").json()["instance_id"] for _ in range(3)}
    assert len(names) == 3


def test_the_same_name_in_another_group_is_another_instance(gateway: Asking) -> None:
    send(gateway, PIN, 1)
    first, second = (gateway.consumer(group).subscribe(PIN) for group in ("g", "h"))
    assert (first.values(), second.values()) == ([1], [1])


def test_a_group_of_other_consumers_is_left_alone(gateway: Asking, log: EventLog) -> None:
    member = log.subscribe("native", [PIN])
    try:
        deadline = time.monotonic() + WAIT
        while not member.held() and time.monotonic() < deadline:
            member.poll(1, 0.1)
        answer = gateway.send("POST", "/consumers/native", json={"name": "one"})
        assert code(answer) == (409, 40903)
    finally:
        member.close()


# Subscriptions and assignments


def test_a_subscription_is_made_shown_and_ended(gateway: Asking) -> None:
    consumer = gateway.consumer()
    assert consumer.send("GET", "/subscription").json() == {"topics": []}
    consumer.subscribe(PIN, GEO)
    assert consumer.send("GET", "/subscription").json() == {"topics": [PIN, GEO]}
    assert consumer.parts() == [*((GEO, number) for number in range(4)), (PIN, 0)]
    assert consumer.send("DELETE", "/subscription").status_code == 204
    assert (consumer.parts(), consumer.send("GET", "/subscription").json()) == ([], {"topics": []})
    assert code(consumer.get()) == (409, 40903)


def test_a_pattern_fits_whole_names_also_of_later_topics(gateway: Asking, log: EventLog) -> None:
    consumer = gateway.consumer()
    consumer.done("/subscription", {"topic_pattern": r"124df56aef51\.(pin|user)"})
    assert consumer.send("GET", "/subscription").json() == {"topics": [PIN]}
    log.create("124df56aef51.user", 1)
    send(gateway, "124df56aef51.user", "new")
    deadline = time.monotonic() + WAIT
    found: list[Any] = []
    while not found and time.monotonic() < deadline:
        found = consumer.values(timeout=100)
    assert found == ["new"]
    assert consumer.send("GET", "/subscription").json() == {"topics": [PIN, "124df56aef51.user"]}


def test_subscription_pattern_and_assignment_exclude_each_other(gateway: Asking) -> None:
    consumer = gateway.consumer()
    both = {"topics": [PIN], "topic_pattern": ".*"}
    assert code(consumer.send("POST", "/subscription", json=both)) == (409, 40903)
    consumer.subscribe(PIN)
    parts = {"partitions": [{"topic": PIN, "partition": 0}]}
    assert code(consumer.send("POST", "/assignments", json=parts)) == (409, 40903)
    assert code(consumer.send("POST", "/subscription", json={"topic_pattern": ".*"})) == (409, 40903)
    consumer.send("DELETE", "/subscription")
    consumer.done("/assignments", parts)
    assert code(consumer.send("POST", "/subscription", json={"topics": [PIN]})) == (409, 40903)


def test_assigned_partitions_are_read_and_no_others(gateway: Asking) -> None:
    gateway.produce(GEO, *({"value": number, "partition": number} for number in range(4)))
    consumer, other = gateway.consumer(), gateway.consumer(name="two")
    for one in (consumer, other):
        one.done("/assignments", {"partitions": [{"topic": GEO, "partition": number} for number in (1, 3)]})
        assert one.parts() == [(GEO, 1), (GEO, 3)]
        assert sorted(one.values()) == [1, 3]
    consumer.done("/assignments", {"partitions": [{"topic": GEO, "partition": number} for number in (0, 3)]})
    assert consumer.values() == [0]  # 3 was read before, and is held on


@pytest.mark.parametrize(("part", "expected"), [(("nobody", 0), (404, 40401)), ((GEO, 4), (404, 40402))])
def test_only_what_is_there_can_be_assigned(
    gateway: Asking, part: tuple[str, int], expected: tuple[int, int]
) -> None:
    body = {"partitions": [{"topic": part[0], "partition": part[1]}]}
    assert code(gateway.consumer().send("POST", "/assignments", json=body)) == expected


def test_partitions_are_shared_and_none_is_read_twice(gateway: Asking, open_gateway: OpenGateway) -> None:
    gateway.produce(GEO, *({"value": number, "partition": number % 4} for number in range(40)))
    first = gateway.consumer().subscribe(GEO)
    second = Consumer(open_gateway(), gateway.consumer(name="two").path).subscribe(GEO)
    assert len(first.parts()) == 2  # it lets go of its other half by its own request
    assert len(second.parts()) == 2
    assert sorted(first.parts() + second.parts()) == [(GEO, number) for number in range(4)]
    assert sorted(first.values() + second.values()) == list(range(40))


def test_what_is_read_but_not_kept_comes_again_to_the_next_holder(gateway: Asking) -> None:
    gateway.produce(GEO, *({"value": number, "partition": number} for number in range(4)))
    first = gateway.consumer(settings={"auto.commit.enable": False}).subscribe(GEO)
    assert len(first.values()) == 4
    second = gateway.consumer(name="two").subscribe(GEO)
    assert second.values() == []  # all of them are still the first one's
    kept = set(first.parts())
    assert second.values() == [number for number in range(4) if (GEO, number) not in kept]


@pytest.mark.parametrize("ask", ["/assignments", "/records?timeout=0"])
def test_who_lets_partitions_go_keeps_first_what_was_delivered(gateway: Asking, ask: str) -> None:
    gateway.produce(GEO, *({"value": number, "partition": number} for number in range(4)))
    first = gateway.consumer().subscribe(GEO)
    assert len(first.values()) == 4
    second = gateway.consumer(name="two").subscribe(GEO)
    assert first.send("GET", ask).status_code == 200
    assert len(second.parts()) == 2
    assert second.values() == []


def test_who_leaves_leaves_its_share_to_the_others(gateway: Asking) -> None:
    first, second = (gateway.consumer(name=name).subscribe(GEO) for name in ("one", "two"))
    first.parts()
    assert len(second.parts()) == 2
    assert first.send("DELETE").status_code == 204
    assert second.parts() == [(GEO, number) for number in range(4)]


def test_who_is_away_for_too_long_is_removed_and_its_records_come_again(
    gateway: Asking, open_gateway: OpenGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that is moved: no machine is so slow that who is there is taken for away."""
    ahead_ms = 0
    monkeypatch.setattr(consumer_store, "now_ms", lambda: time.time_ns() // 1_000_000 + ahead_ms)
    send(gateway, PIN, "a", "b")
    away = gateway.consumer(name="away").subscribe(PIN)
    assert away.values() == ["a", "b"]
    there = Consumer(open_gateway(), gateway.consumer(name="there").path).subscribe(PIN)
    ahead_ms = 200_000
    assert there.values() == []  # the other one may come back still
    ahead_ms = 400_000
    deadline = time.monotonic() + WAIT
    found: list[Any] = []
    while not found and time.monotonic() < deadline:
        found = there.values(timeout=50)
    assert found == ["a", "b"]
    assert code(away.get()) == (404, 40403)


# Records


def test_records_come_once_and_in_order(gateway: Asking) -> None:
    gateway.produce(PIN, {"key": "k", "value": {"index": 1}}, {"value": None})
    consumer = gateway.consumer().subscribe(PIN)
    answer = consumer.get()
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    assert answer.json() == [
        {"topic": PIN, "key": "k", "value": {"index": 1}, "partition": 0, "offset": 0},
        {"topic": PIN, "key": None, "value": None, "partition": 0, "offset": 1},
    ]
    assert consumer.values() == []
    send(gateway, PIN, 2)
    assert consumer.values() == [2]


def test_binary_records_come_in_base64(gateway: Asking, log: EventLog) -> None:
    log.append(PIN, [Record(b"\x00\xff", b"\x80"), Record(b""), Record(None)]).result(WAIT)
    consumer = gateway.consumer(settings={"format": "binary"}).subscribe(PIN)
    answer = consumer.send("GET", "/records", headers={"Accept": BINARY})
    assert answer.headers["content-type"] == BINARY
    assert [(record["key"], record["value"]) for record in answer.json()] == [
        ("gA==", "AP8="),
        (None, ""),
        (None, None),
    ]


@pytest.mark.parametrize(("format_", "accept"), [("json", BINARY), ("binary", JSON), ("json", "text/html")])
def test_the_accept_header_must_fit_the_format(gateway: Asking, format_: str, accept: str) -> None:
    consumer = gateway.consumer(settings={"format": format_}).subscribe(PIN)
    answer = consumer.send("GET", "/records", headers={"Accept": accept})
    assert code(answer) == (406, 40601)
    assert consumer.get().status_code == 200


def test_from_the_latest_a_later_topic_is_read_from_its_beginning_by_who_joins_after_it(
    gateway: Asking, log: EventLog
) -> None:
    members = [gateway.consumer(name=name, settings=LATEST) for name in ("one", "two")]
    members[0].done("/subscription", {"topic_pattern": ".*"})
    log.create(USER, 1)
    log.append(USER, [Record(b"1")]).result(WAIT)
    members[1].done("/subscription", {"topic_pattern": ".*"})
    deadline = time.monotonic() + WAIT
    found: list[Any] = []
    while not found and time.monotonic() < deadline:
        found = members[0].values() + members[1].values()
    assert found == [1]


@pytest.mark.parametrize("auto", [True, False])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/subscription", {"topics": [PIN]}),
        ("/subscription", {"topic_pattern": ".*pin"}),
        ("/assignments", {"partitions": [{"topic": PIN, "partition": 0}]}),
    ],
)
def test_from_the_latest_all_that_comes_after_the_subscription(
    gateway: Asking, path: str, body: dict[str, Any], auto: bool
) -> None:
    send(gateway, PIN, "before")
    consumer = gateway.consumer(settings=LATEST | {"auto.commit.enable": auto})
    consumer.done(path, body)
    send(gateway, PIN, "after")
    assert consumer.values() == ["after"]


def test_from_the_latest_nothing_is_missed_while_partitions_change_hands(gateway: Asking) -> None:
    first = gateway.consumer(settings=LATEST).subscribe(GEO)
    second = gateway.consumer(name="two", settings=LATEST).subscribe(GEO)
    gateway.produce(GEO, *({"value": number, "partition": number} for number in range(4)))
    assert len(first.parts()) == 2
    assert sorted(second.values() + first.values()) == [0, 1, 2, 3]


def test_from_the_latest_nothing_is_missed_when_who_read_first_is_gone(gateway: Asking) -> None:
    first = gateway.consumer(settings=LATEST).subscribe(PIN)
    send(gateway, PIN, 1)
    assert first.send("DELETE").status_code == 204
    assert gateway.consumer(name="two", settings=LATEST).subscribe(PIN).values() == [1]


@pytest.mark.parametrize("subscription", [{"topics": [PIN, USER]}, {"topic_pattern": ".*"}])
@pytest.mark.parametrize("again", [True, False])
def test_from_the_latest_a_later_topic_is_read_from_its_beginning(
    gateway: Asking, log: EventLog, subscription: dict[str, Any], again: bool
) -> None:
    consumer = gateway.consumer(settings=LATEST)
    consumer.done("/subscription", subscription)
    log.create(USER, 1)
    log.append(USER, [Record(b"1")]).result(WAIT)
    if again:
        consumer.done("/subscription", subscription)
    deadline = time.monotonic() + WAIT
    found: list[Any] = []
    while not found and time.monotonic() < deadline:
        found = consumer.values(timeout=100)
    assert found == [1]


def test_an_answer_has_no_more_bytes_than_asked_for_but_one_record_always(gateway: Asking) -> None:
    send(gateway, PIN, "x" * 100, "y" * 10, "z" * 10, 4)
    consumer = gateway.consumer().subscribe(PIN)
    assert consumer.values(max_bytes=1) == ["x" * 100]
    assert consumer.values(max_bytes=24) == ["y" * 10, "z" * 10]
    assert consumer.values(max_bytes=24) == [4]


def test_no_partition_waits_for_ever_behind_a_full_one(gateway: Asking) -> None:
    gateway.produce(GEO, *({"value": number, "partition": number % 4} for number in range(40)))
    consumer = gateway.consumer().subscribe(GEO)
    seen = {consumer.records(max_bytes=1)[0]["partition"] for _ in range(4)}
    assert seen == {0, 1, 2, 3}


def test_a_record_that_is_not_json_is_named_and_can_be_passed(gateway: Asking, log: EventLog) -> None:
    log.append(PIN, [Record(b"1"), Record(b"\xff"), Record(b"3")]).result(WAIT)
    consumer = gateway.consumer().subscribe(PIN)
    assert consumer.values() == [1]
    for _ in range(2):
        answer = consumer.get()
        assert code(answer) == (422, 42203)
    remedy = answer.json()["message"].partition("/positions ")[2]
    assert consumer.send("POST", "/positions", content=remedy).status_code == 204
    assert consumer.values() == [3]


@pytest.mark.parametrize("reset", ["earliest", "latest"])
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/subscription", {"topics": [PIN]}),
        ("/assignments", {"partitions": [{"topic": PIN, "partition": 0}]}),
    ],
)
def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    gateway: Asking, log: EventLog, path: str, body: dict[str, Any], count: int, reset: str
) -> None:
    consumer = gateway.consumer(settings={"auto.offset.reset": reset})
    consumer.done(path, body)
    send(gateway, PIN, 1, 2, 3)
    assert consumer.values() == [1, 2, 3]
    log.delete(PIN)
    log.create(PIN, 1)
    new = [f"new {number}" for number in range(count)]
    log.append(PIN, [Record(json.dumps(value).encode(), partition=0) for value in new]).result(WAIT)
    deadline = time.monotonic() + WAIT
    found: list[Any] = []
    while len(found) < count and time.monotonic() < deadline:
        found += consumer.values(timeout=100)
    assert found == new
    consumer.send("DELETE")
    assert log.committed("g", PIN) == {0: count}


def test_a_topic_that_was_made_anew_is_read_from_its_beginning_although_the_log_did_not_answer_at_first(
    gateway: Asking, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = gateway.consumer(settings=LATEST).subscribe(PIN)
    send(gateway, PIN, 1, 2)
    assert consumer.values() == [1, 2]
    log.delete(PIN)
    log.create(PIN, 1)
    log.append(PIN, [Record(b"3")]).result(WAIT)

    def fail(group: str) -> Group:
        raise Unavailable("the log does not answer")

    assert code(consumer.commit({"topic": PIN, "partition": 0, "offset": 1})) == (409, 40903)
    with monkeypatch.context() as failing:
        failing.setattr(log, "describe_group", fail)
        consumer.send("GET", "/assignments")
    assert consumer.values() == [3]


def test_other_consumers_that_join_later_are_not_fought_with(gateway: Asking, log: EventLog) -> None:
    send(gateway, PIN, 1)
    consumer = gateway.consumer("mixed").subscribe(PIN)
    assert consumer.values() == [1]
    member = log.subscribe("mixed", [PIN])
    try:
        deadline = time.monotonic() + WAIT
        while not member.held() and time.monotonic() < deadline:
            member.poll(1, 0.1)
        assert code(consumer.get()) == (409, 40903)
        assert code(consumer.commit()) == (409, 40903)
        assert consumer.send("DELETE").status_code == 204
    finally:
        member.close()
