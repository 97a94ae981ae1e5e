"""What every home of the event log must do with topics, whoever made them and after it was closed.

A new home is one more entry in this folder's conftest.py.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from pinterest_pipeline.errors import (
    BadInput,
    TopicExists,
    Unavailable,
    UnknownGroup,
    UnknownPartition,
    UnknownTopic,
)
from pinterest_pipeline.eventlog.base import EventLog, Record
from tests.contract.appending import WAIT, append, everything, receipts
from tests.contract.conftest import PIN, Opener


@pytest.mark.parametrize("name", ["__consumer_offsets", f"{PIN}\0x", " ", "é", "x" * 250, "a/b", ""])
def test_a_name_of_no_topic_is_unknown(log: EventLog, name: str) -> None:
    log.create(PIN, 1)
    log.commit("readers", PIN, {0: 0})  # makes Kafka's own topic, if it is not there
    for ask in (log.describe, log.delete, log.beginnings, log.ends, lambda topic: log.read(topic, 0, 0, 1)):
        with pytest.raises(UnknownTopic):
            ask(name)
    assert log.committed("readers", PIN) == {0: 0}
    with pytest.raises(UnknownGroup):
        log.describe_group("readers\0x")


def test_the_cluster_is_the_same_for_all(log: EventLog, open_log: Opener) -> None:
    cluster = log.cluster()
    assert cluster.id
    assert cluster.controller in cluster.brokers
    assert open_log().cluster().id == cluster.id


def test_positions_belong_to_a_group(log: EventLog) -> None:
    log.create(PIN, 3)
    assert log.committed("sink", PIN) == {}
    log.commit("sink", PIN, {0: 5, 2: 7})
    log.commit("sink", PIN, {2: 8})
    log.commit("other", PIN, {1: 1})
    assert log.committed("sink", PIN) == {0: 5, 2: 8}
    assert log.committed("other", PIN) == {1: 1}
    assert log.committed("nobody", PIN) == {}


def test_topics_are_listed_in_order(log: EventLog) -> None:
    assert log.topics() == []
    for name in ("b", "a.2", "a"):
        log.create(name, 1)
    assert log.topics() == ["a", "a.2", "b"]


def test_a_topic_is_described(log: EventLog) -> None:
    before = time.time_ns() // 1_000_000
    log.create(PIN, 4)
    known = log.describe(PIN)
    assert (known.name, known.partitions, known.configs) == (PIN, 4, {})
    assert [part.partition for part in known.layout] == [0, 1, 2, 3]
    brokers = set(log.cluster().brokers)
    for part in known.layout:
        assert part.leader in part.in_sync
        assert set(part.in_sync) <= set(part.replicas) <= brokers
    assert known.id
    assert known.created_ms == 0 or before <= known.created_ms <= time.time_ns() // 1_000_000


def test_a_topic_is_created_once(log: EventLog) -> None:
    log.create(PIN, 1)
    with pytest.raises(TopicExists, match=PIN):
        log.create(PIN, 1)
    assert log.topics() == [PIN]


def test_whoever_is_told_that_a_topic_exists_can_use_it_at_once(log: EventLog, open_log: Opener) -> None:
    logs = [log, open_log(), open_log()]
    together = threading.Barrier(len(logs))

    def ends(each: EventLog) -> dict[int, int]:
        together.wait(WAIT)
        with suppress(TopicExists):
            each.create(PIN, 3)
        each.subscribe("sink", [PIN]).close()
        return each.ends(PIN)

    with ThreadPoolExecutor(len(logs)) as pool:
        assert list(pool.map(ends, logs)) == [{0: 0, 1: 0, 2: 0}] * len(logs)


def test_a_topic_needs_a_partition(log: EventLog) -> None:
    with pytest.raises(BadInput, match="0 partitions"):
        log.create(PIN, 0)
    assert log.topics() == []


def test_a_deleted_topic_leaves_nothing_to_its_successor(log: EventLog) -> None:
    log.create(PIN, 2)
    log.create("other", 1)
    receipts(log, [Record(b"old") for _ in range(10)])
    receipts(log, [Record(b"kept")], "other")
    log.commit("sink", PIN, {0: 3})
    old = log.describe(PIN)
    log.delete(PIN)
    assert log.topics() == ["other"]
    log.create(PIN, 2)
    assert everything(log) == {0: [], 1: []}
    assert log.committed("sink", PIN) == {}
    new = log.describe(PIN)
    assert new.id != old.id
    assert new.created_ms > old.created_ms or new.created_ms == old.created_ms == 0
    assert receipts(log, [Record(b"new", partition=0)])[0].offset == 0
    assert [record.value for record in everything(log, "other")[0]] == [b"kept"]


UNKNOWN: dict[str, Callable[[EventLog], object]] = {
    "append": lambda log: log.append("nobody", [Record(b"x")]).result(WAIT),
    "read": lambda log: log.read("nobody", 0, 0, 1),
    "beginnings": lambda log: log.beginnings("nobody"),
    "ends": lambda log: log.ends("nobody"),
    "offsets_at": lambda log: log.offsets_at("nobody", 0),
    "subscribe": lambda log: log.subscribe("sink", [PIN, "nobody"]),
    "committed": lambda log: log.committed("sink", "nobody"),
    "commit": lambda log: log.commit("sink", "nobody", {0: 1}),
    "describe": lambda log: log.describe("nobody"),
    "delete": lambda log: log.delete("nobody"),
}


@pytest.mark.parametrize("call", UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_topic_is_named(log: EventLog, call: Callable[[EventLog], object]) -> None:
    log.create(PIN, 1)
    with pytest.raises(UnknownTopic, match="nobody"):
        call(log)
    assert log.ends(PIN) == {0: 0}


def test_an_unknown_partition_is_named(log: EventLog) -> None:
    log.create(PIN, 2)
    with pytest.raises(UnknownPartition, match="partition 2"):
        log.read(PIN, 2, 0, 1)
    with pytest.raises(UnknownPartition, match="partition 2"):
        log.commit("sink", PIN, {0: 1, 2: 1})
    assert log.committed("sink", PIN) == {}


def test_two_instances_see_each_other(log: EventLog, open_log: Opener) -> None:
    other = open_log()
    log.create(PIN, 1)
    assert other.topics() == [PIN]
    receipts(other, [Record(b"from the other")])
    assert [record.value for record in log.read(PIN, 0, 0, 10)] == [b"from the other"]
    log.commit("sink", PIN, {0: 1})
    assert other.committed("sink", PIN) == {0: 1}
    other.delete(PIN)
    with pytest.raises(UnknownTopic):
        append(log, [Record(b"too late")])


def test_a_successor_made_by_another_instance_is_seen(log: EventLog, open_log: Opener) -> None:
    other = open_log()
    log.create(PIN, 1)
    receipts(log, [Record(b"old")])
    other.delete(PIN)
    other.create(PIN, 2)
    assert receipts(log, [Record(b"new", partition=1)])[0].offset == 0
    assert [record.value for record in other.read(PIN, 1, 0, 10)] == [b"new"]


def test_who_read_of_a_topic_reads_of_its_successor_what_is_there(log: EventLog, open_log: Opener) -> None:
    other = open_log()
    log.create(PIN, 1)
    receipts(log, [Record(b"old %d" % number) for number in range(20)])
    assert len(log.read(PIN, 0, 0, 10)) == 10
    other.delete(PIN)
    other.create(PIN, 1)
    receipts(other, [Record(b"new %d" % number) for number in range(20)])
    assert [record.value for record in log.read(PIN, 0, 10, 2)] == [b"new 10", b"new 11"]


def test_everything_is_there_after_reopening(log: EventLog, open_log: Opener) -> None:
    log.create(PIN, 2)
    receipts(log, [Record(b"%d" % number, partition=number % 2) for number in range(10)])
    log.commit("sink", PIN, {1: 4})
    before, known = everything(log), log.describe(PIN)
    log.close()
    again = open_log()
    assert (everything(again), again.describe(PIN)) == (before, known)
    assert again.committed("sink", PIN) == {1: 4}
    assert receipts(again, [Record(b"next", partition=0)])[0].offset == 5


def test_closing_finishes_what_was_submitted(log: EventLog, open_log: Opener) -> None:
    log.create(PIN, 1)
    futures = [log.append(PIN, [Record(b"x")]) for _ in range(50)]
    log.close()
    assert all(future.done() for future in futures)
    assert open_log().ends(PIN) == {0: 50}


def test_a_closed_log_says_so(log: EventLog) -> None:
    log.create(PIN, 1)
    log.close()
    log.close()
    with pytest.raises(Unavailable, match="closed"):
        append(log, [Record(b"x")])
    with pytest.raises(Unavailable, match="closed"):
        log.ends(PIN)
