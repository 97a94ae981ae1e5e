"""What the contract suite cannot ask of every home: brokers that are away, gaps, members that were frozen."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from pinterest_pipeline.broker.node import Node
from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.errors import Fenced, Unavailable
from pinterest_pipeline.eventlog.base import Once, Receipt, Record, Refusal, Subscription
from pinterest_pipeline.eventlog.kafka import KafkaEventLog
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from tests.conftest import CACHE

pytestmark = pytest.mark.services


def opened(node: Node, folder: Path, **settings: Any) -> KafkaEventLog:
    return KafkaEventLog(
        node.address, KafkaSettings(**settings), kafka_partition, 2**20, folder / "intents.sqlite"
    )


@pytest.fixture
def log(kafka_broker: Node, tmp_path: Path) -> Iterator[KafkaEventLog]:
    opened_log = opened(kafka_broker, tmp_path)
    yield opened_log
    opened_log.close()


@pytest.fixture
def topic(log: KafkaEventLog) -> Iterator[str]:
    name = f"log-{uuid.uuid4().hex[:12]}"
    log.create(name, 2)
    yield name
    log.delete(name)


def until(reached: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_appends_wait_for_a_broker_that_is_away_for_a_moment(tmp_path: Path) -> None:
    node = Node(tmp_path / "kafka", CACHE)
    node.start(lambda _: None)
    try:
        with closing(opened(node, tmp_path, delivery_seconds=60)) as log:
            log.create("pin", 1)
            log.append("pin", [Record(b"before")]).result(30)
            node.kill()
            futures = [log.append("pin", [Record(b"%d" % number)]) for number in range(50)]
            assert not any(future.done() for future in futures)
            node.start(lambda _: None)
            outcomes = [future.result(90)[0] for future in futures]
            assert all(isinstance(outcome, Receipt) for outcome in outcomes)
            values = [record.value for record in log.read("pin", 0, 0, 100)]
            assert values == [b"before"] + [b"%d" % number for number in range(50)]
    finally:
        node.stop()


def lands(log: KafkaEventLog) -> bool:
    """Whether a record lands; a node that has only begun may take longer for its first than a log waits."""
    try:
        return isinstance(log.append("pin", [Record(b"before")]).result(30)[0], Receipt)
    except Unavailable:
        return False


def test_brokers_that_stay_away_are_unavailable_and_what_waits_is_bounded(tmp_path: Path) -> None:
    node = Node(tmp_path / "kafka", CACHE)
    node.start(lambda _: None)
    with closing(opened(node, tmp_path)) as patient:
        patient.create("pin", 1)
    with closing(opened(node, tmp_path, delivery_seconds=3, max_waiting_bytes=2**20)) as log:
        until(lambda: lands(log))
        node.kill()
        waiting = [log.append("pin", [Record(b"x" * 400_000)]) for _ in range(2)]
        with pytest.raises(Unavailable, match="too much waits already"):
            log.append("pin", [Record(b"x" * 400_000)]).result(0)
        for future in waiting:
            with pytest.raises(Unavailable, match="acknowledged nothing"):
                future.result(30)
        for ask in (log.topics, lambda: log.ends("pin"), lambda: log.read("pin", 0, 0, 1)):
            with pytest.raises(Unavailable):
                ask()
        with pytest.raises(Unavailable):
            log.append("pin", [Record(b"x")], Once("key", b"f")).result(30)


def transaction(producer: Producer, topic: str, values: list[bytes], *, commit: bool) -> None:
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=0)
    producer.flush()
    producer.commit_transaction() if commit else producer.abort_transaction()


def test_who_asks_of_groups_outlives_brokers_that_freeze(tmp_path: Path) -> None:
    """librdkafka ends the process of a request to a group's coordinator whose time is over."""
    node = Node(tmp_path / "kafka", CACHE)
    node.start(lambda _: None)
    try:
        jvm = json.loads((tmp_path / "kafka" / "node.json").read_bytes())["pid"]
        child = [sys.executable, "-m", "tests.services.asking_child", node.address, str(jvm)]
        command = [*child, str(tmp_path / "intents.sqlite")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    finally:
        node.stop()
    assert (ended.returncode, ended.stdout) == (0, "80"), ended.stderr


def test_marks_of_transactions_stop_no_reader(log: KafkaEventLog, topic: str, kafka_broker: Node) -> None:
    producer = Producer({"bootstrap.servers": kafka_broker.address, "transactional.id": topic})
    producer.init_transactions()
    transaction(producer, topic, [b"a", b"b"], commit=True)
    assert [record.value for record in log.read(topic, 0, 0, 100)] == [b"a", b"b"]
    assert log.read(topic, 0, 2, 100) == []  # only the mark is there
    assert log.read(topic, 0, 2, 100) == []
    log.append(topic, [Record(b"c", partition=0)]).result(30)
    assert [record.offset for record in log.read(topic, 0, 2, 100)] == [3]
    transaction(producer, topic, [b"d"], commit=True)
    assert [record.value for record in log.read(topic, 0, 3, 100)] == [b"c", b"d"]
    assert log.read(topic, 0, 5, 100) == []
    assert log.ends(topic)[0] == 6


def test_a_large_record_comes_and_goes(log: KafkaEventLog, topic: str) -> None:
    large = Record(b"x" * (2**20 - 10), b"k" * 10, partition=0, headers=(("h", b"y" * 5_000),))
    outcomes = log.append(topic, [Record(b"a", partition=0), large, Record(b"b", partition=0)]).result(60)
    assert all(isinstance(outcome, Receipt) for outcome in outcomes)
    stored = log.read(topic, 0, 1, 1, 1)
    assert (stored[0].value, stored[0].key, stored[0].headers) == (large.value, large.key, large.headers)


def test_a_backlog_is_read_whole_in_order(log: KafkaEventLog, topic: str) -> None:
    futures = [
        log.append(topic, [Record(b"%d.%d" % (turn, number), partition=0) for number in range(500)])
        for turn in range(60)
    ]
    for future in futures:
        future.result(60)
    position = 0
    while records := log.read(topic, 0, position, 700):
        assert [record.offset for record in records] == list(range(position, position + len(records)))
        position = records[-1].offset + 1
    assert position == 30_000


def test_a_time_too_far_ahead_is_refused_and_keeps_nothing_else_out(log: KafkaEventLog, topic: str) -> None:
    now = time.time_ns() // 1_000_000
    times = [now, now + 86_400_000, None]
    found = log.append(topic, [Record(b"x", partition=0, timestamp=at) for at in times]).result(30)
    assert [type(outcome) for outcome in found] == [Receipt, Refusal, Receipt]
    assert isinstance(found[1], Refusal)
    assert found[1].code == "invalid_timestamp"


def test_a_member_that_was_frozen_is_fenced(
    log: KafkaEventLog, topic: str, kafka_broker: Node, tmp_path: Path
) -> None:
    log.append(topic, [Record(b"x", partition=part) for part in (0, 1)]).result(30)
    hasty = {"session.timeout.ms": "6000", "max.poll.interval.ms": "6000"}
    with closing(opened(kafka_broker, tmp_path, properties=hasty)) as other:
        frozen = other.subscribe(topic, [topic])
        until(lambda: frozen.poll(10, 0.1) is not None and len(frozen.held()) == 2)
        heir: Subscription = log.subscribe(topic, [topic])
        until(lambda: heir.poll(10, 0.1) is not None and len(heir.held()) == 2)
        with pytest.raises(Fenced):
            frozen.commit({(topic, 0): 1})
        assert log.committed(topic, topic) == {}
        heir.commit({(topic, 0): 1})
        assert log.committed(topic, topic) == {0: 1}
        heir.close()


def test_positions_of_a_group_with_members_are_theirs(log: KafkaEventLog, topic: str) -> None:
    member = log.subscribe(topic, [topic])
    until(lambda: member.poll(10, 0.1) is not None and len(member.held()) == 2)
    with pytest.raises(Fenced):
        log.commit(topic, topic, {0: 1})
    member.close()
