"""What consumer instances of the gateway lose and keep, over any home of the event log."""

import threading
import time
from typing import Any

import pytest

from pinterest_pipeline.eventlog.base import EventLog, Record
from tests.asking import Asking, Consumer, OpenGateway, code, send

WAIT = 30
PIN, GEO = "124df56aef51.pin", "124df56aef51.geo"


# Nothing is lost


def test_an_answer_whose_caller_is_gone_comes_again(gateway: Asking) -> None:
    send(gateway, PIN, 1, 2)
    consumer = gateway.consumer().subscribe(PIN)
    assert consumer.lose() == b""
    assert consumer.values() == [1, 2]


def test_a_large_answer_that_broke_off_comes_again(gateway: Asking) -> None:
    values = ["x" * 3_000] * 50
    send(gateway, PIN, *values)
    consumer = gateway.consumer().subscribe(PIN)
    assert 0 < len(consumer.lose()) < 150_000
    assert consumer.values() == values


def test_the_same_key_gets_the_same_records_and_moves_nothing(gateway: Asking) -> None:
    send(gateway, PIN, 1, 2)
    consumer = gateway.consumer().subscribe(PIN)
    first = consumer.get(key="a")
    send(gateway, PIN, 3)
    again = consumer.get(key="a")
    assert (again.status_code, again.content) == (200, first.content)
    assert consumer.values(key="b") == [3]


def test_a_lost_answer_comes_again_for_its_key_as_it_was(gateway: Asking) -> None:
    send(gateway, PIN, 1, 2)
    consumer = gateway.consumer().subscribe(PIN)
    consumer.lose(key="a")
    send(gateway, PIN, 3)
    assert consumer.values(key="a") == [1, 2]
    assert consumer.values(key="b") == [3]


def test_a_partition_that_is_gone_is_named(gateway: Asking, log: EventLog) -> None:
    consumer = gateway.consumer()
    consumer.done("/assignments", {"partitions": [{"topic": GEO, "partition": 3}]})
    log.delete(GEO)
    log.create(GEO, 2)
    assert code(consumer.get()) == (404, 40402)


def test_what_was_there_a_moment_ago_is_named_as_what_was_never_there(gateway: Asking, log: EventLog) -> None:
    last = {"topic": GEO, "partition": 3}
    consumer, other = gateway.consumer(), gateway.consumer(name="other")
    consumer.done("/assignments", {"partitions": [last]})
    log.delete(GEO)
    assert code(other.send("POST", "/assignments", json={"partitions": [last]})) == (404, 40401)
    log.create(GEO, 4)
    consumer.done("/positions/end", {"partitions": [last]})
    log.delete(GEO)
    log.create(GEO, 2)
    for path, body in (
        ("/positions/end", {"partitions": [last]}),
        ("/positions", {"timestamps": [last | {"timestamp": "2020-01-01T00:00:00Z"}]}),
        ("/assignments", {"partitions": [last]}),
    ):
        assert code(consumer.send("POST", path, json=body)) == (404, 40402)


def test_a_time_before_1970_is_the_beginning(gateway: Asking) -> None:
    send(gateway, PIN, 1, 2)
    consumer = gateway.consumer().subscribe(PIN)
    assert consumer.values() == [1, 2]
    for before in ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.997Z", "0001-01-01T00:00:00Z"):
        at = {"topic": PIN, "partition": 0, "timestamp": before}
        consumer.done("/positions", {"timestamps": [at]})
        assert consumer.values() == [1, 2]


def test_an_instance_outlives_its_gateway(gateway: Asking, open_gateway: OpenGateway) -> None:
    send(gateway, PIN, 1, 2, 3)
    consumer = gateway.consumer().subscribe(PIN)
    assert consumer.values(key="a", max_bytes=2) == [1, 2]
    elsewhere = Consumer(open_gateway(), consumer.path)
    assert elsewhere.values(key="a") == [1, 2]
    assert elsewhere.values(key="b") == [3]


# Positions of the group


def test_a_request_keeps_what_the_one_before_delivered(gateway: Asking, log: EventLog) -> None:
    send(gateway, PIN, 1, 2)
    consumer = gateway.consumer().subscribe(PIN)
    consumer.values()
    assert log.committed("g", PIN) == {0: 0}
    consumer.get(key="x")
    assert log.committed("g", PIN) == {0: 2}


def test_a_repeated_request_keeps_nothing(gateway: Asking, log: EventLog) -> None:
    send(gateway, PIN, 1)
    consumer = gateway.consumer().subscribe(PIN)
    consumer.values(key="a")
    consumer.values(key="a")
    assert log.committed("g", PIN) == {0: 0}


@pytest.mark.parametrize("auto", [True, False])
def test_leaving_keeps_what_was_delivered_only_when_commits_are_automatic(
    gateway: Asking, log: EventLog, auto: bool
) -> None:
    send(gateway, PIN, 1)
    for group, leave in (("g", ""), ("h", "/subscription")):
        consumer = gateway.consumer(group, settings={"auto.commit.enable": auto}).subscribe(PIN)
        assert consumer.values() == [1]
        consumer.send("DELETE", leave)
        assert log.committed(group, PIN) == ({0: 1} if auto else {})


def test_a_commit_without_a_body_keeps_all_that_was_delivered(gateway: Asking, log: EventLog) -> None:
    send(gateway, PIN, 1, 2, 3)
    consumer = gateway.consumer(settings={"auto.commit.enable": "false"}).subscribe(PIN)
    consumer.values(max_bytes=2)
    answer = consumer.commit()
    assert (answer.status_code, answer.json()) == (200, [])
    consumer.values()
    consumer.get()
    assert log.committed("g", PIN) == {0: 2}


def test_a_commit_names_the_last_record_that_is_done(gateway: Asking, log: EventLog) -> None:
    send(gateway, PIN, 1, 2, 3)
    consumer = gateway.consumer(settings={"auto.commit.enable": False}).subscribe(PIN)
    answer = consumer.commit({"topic": PIN, "partition": 0, "offset": 1})
    assert answer.status_code == 200
    assert log.committed("g", PIN) == {0: 2}
    expected = {"offsets": [{"topic": PIN, "partition": 0, "offset": 2, "metadata": ""}]}
    body = {"partitions": [{"topic": PIN, "partition": 0}, {"topic": GEO, "partition": 0}]}
    assert consumer.send("GET", "/offsets", json=body).json() == expected
    query = {"partitions": f"{PIN}:0,{GEO}:0"}
    assert consumer.send("GET", "/offsets", params=query).json() == expected
    consumer.send("DELETE")
    assert gateway.consumer(name="next").subscribe(PIN).values() == [3]


def test_no_positions_are_kept_in_partitions_of_others(gateway: Asking) -> None:
    first, second = (gateway.consumer(name=name).subscribe(GEO) for name in ("one", "two"))
    (topic, partition), *_ = first.parts()
    assert len(second.parts()) == 2
    answer = second.commit({"topic": topic, "partition": partition, "offset": 0})
    assert code(answer) == (409, 40903)
    assert first.commit({"topic": topic, "partition": partition, "offset": 0}).status_code == 200


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"topic": "nobody", "partition": 0, "offset": 0}, (404, 40401)),
        ({"topic": PIN, "partition": 1, "offset": 0}, (404, 40402)),
        ({"topic": PIN, "partition": -1, "offset": 0}, (422, 422)),
        ({"topic": PIN, "partition": 0, "offset": 0, "metadata": "mine"}, (422, 422)),
    ],
)
def test_a_wrong_offset_is_refused(gateway: Asking, entry: dict[str, Any], expected: tuple[int, int]) -> None:
    assert code(gateway.consumer().commit(entry)) == expected


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/subscription", {"topics": [PIN]}),
        ("/assignments", {"partitions": [{"topic": PIN, "partition": 0}]}),
    ],
)
def test_no_position_of_a_deleted_topic_is_kept_for_a_new_one_of_its_name(
    gateway: Asking, log: EventLog, path: str, body: dict[str, Any]
) -> None:
    send(gateway, PIN, 1, 2, 3)
    consumer = gateway.consumer()
    consumer.done(path, body)
    assert consumer.values() == [1, 2, 3]
    log.delete(PIN)
    log.create(PIN, 1)
    assert consumer.commit().status_code == 200
    assert code(consumer.commit({"topic": PIN, "partition": 0, "offset": 2})) == (409, 40903)
    consumer.send("DELETE")
    assert log.committed("g", PIN) == {}


# Positions of the instance


def test_reading_goes_on_where_it_is_told(gateway: Asking) -> None:
    send(gateway, PIN, 0, 1, 2)
    consumer = gateway.consumer().subscribe(PIN)
    part = {"topic": PIN, "partition": 0}
    consumer.done("/positions", {"offsets": [part | {"offset": 2}]})
    assert consumer.values() == [2]
    consumer.done("/positions/beginning", {"partitions": [part]})
    assert consumer.values(max_bytes=1) == [0]
    consumer.done("/positions/end", {"partitions": [part]})
    assert consumer.values() == []


def test_reading_goes_on_at_a_time(gateway: Asking, log: EventLog) -> None:
    day = 86_400_000
    start = 1_700_000_000_000
    records = [Record(b"%d" % number, timestamp=start + number * day) for number in range(3)]
    log.append(PIN, records).result(WAIT)
    consumer = gateway.consumer().subscribe(PIN)
    entry = {"topic": PIN, "partition": 0, "timestamp": "2023-11-15T22:13:20Z"}
    consumer.done("/positions", {"timestamps": [entry]})
    assert consumer.values() == [1, 2]
    wrong = {"timestamps": [entry | {"timestamp": "2023-11-15 22:13"}]}
    assert code(consumer.send("POST", "/positions", json=wrong)) == (422, 422)


def test_only_held_partitions_have_a_position(gateway: Asking) -> None:
    consumer = gateway.consumer()
    body = {"offsets": [{"topic": PIN, "partition": 0, "offset": 0}]}
    assert code(consumer.send("POST", "/positions", json=body)) == (409, 40903)


def test_a_position_behind_the_end_begins_anew(gateway: Asking) -> None:
    send(gateway, PIN, 0, 1)
    consumer = gateway.consumer().subscribe(PIN)
    consumer.done("/positions", {"offsets": [{"topic": PIN, "partition": 0, "offset": 900}]})
    assert consumer.values() == [0, 1]


def test_a_position_set_while_an_answer_is_on_its_way_stays(gateway: Asking) -> None:
    send(gateway, PIN, 0, 1, 2)
    consumer = gateway.consumer().subscribe(PIN)
    consumer.lose(key="a")
    consumer.done("/positions", {"offsets": [{"topic": PIN, "partition": 0, "offset": 2}]})
    assert consumer.values(key="a") == [0, 1, 2]
    assert consumer.values(key="b") == [2]


# Come and go


def test_every_record_comes_exactly_once_while_members_come_and_go(
    gateway: Asking, open_gateway: OpenGateway
) -> None:
    total, lock = 400, threading.Lock()
    found: list[int] = []
    gateways = [gateway, open_gateway()]
    sending = threading.Thread(
        target=lambda: [
            gateway.produce(GEO, *({"value": start + number} for number in range(20)))
            for start in range(0, total, 20)
        ]
    )
    deadline = time.monotonic() + WAIT

    def member(number: int) -> None:
        """Join, read a little, leave, and come again, each time by another gateway."""
        for turn in range(1_000):
            consumer = gateways[turn % 2].consumer(name=f"member {number}").subscribe(GEO)
            for _ in range(number + 2):
                values = Consumer(gateways[(turn + 1) % 2], consumer.path).values(max_bytes=20)
                with lock:
                    found.extend(values)
            assert consumer.send("DELETE").status_code == 204
            if len(found) >= total or time.monotonic() > deadline:
                return

    members = [threading.Thread(target=member, args=(number,)) for number in range(3)]
    for thread in (sending, *members):
        thread.start()
    for thread in (sending, *members):
        thread.join()
    assert sorted(found) == list(range(total))
