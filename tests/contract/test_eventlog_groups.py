"""What every home of the event log must do for groups of consumers, and for their members."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pinterest_pipeline.errors import Fenced, Unavailable, UnknownGroup
from pinterest_pipeline.eventlog.base import EventLog, Part, Record, StoredRecord, Subscription

WAIT = 60
PIN, GEO = "124df56aef51.pin", "124df56aef51.geo"
PIN_PARTS: list[Part] = [(PIN, number) for number in range(4)]

Opener = Callable[[], EventLog]


class Consumer:
    """A member of the group `sink`, and what it read."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.read: dict[Part, list[StoredRecord]] = {}

    def poll(self, max_records: int = 100) -> dict[Part, list[StoredRecord]]:
        found = self.subscription.poll(max_records, 0.1)
        for part, records in found.items():
            self.read.setdefault(part, []).extend(records)
        return found

    def values(self, part: Part) -> list[bytes | None]:
        return [record.value for record in self.read.get(part, [])]

    def count(self) -> int:
        return sum(len(records) for records in self.read.values())


@contextmanager
def members(*logs: EventLog, topics: tuple[str, ...] = (PIN,)) -> Iterator[list[Consumer]]:
    consumers = [Consumer(log.subscribe("sink", topics)) for log in logs]
    yield consumers
    for consumer in consumers:
        consumer.subscription.close()


def poll_until(reached: Callable[[], bool], *consumers: Consumer) -> None:
    """Poll in turn until a state is reached; no partition is ever held by two."""
    deadline = time.monotonic() + WAIT
    while not reached():
        assert time.monotonic() < deadline, [sorted(one.subscription.held()) for one in consumers]
        for consumer in consumers:
            consumer.poll()
            held = [part for one in consumers for part in one.subscription.held()]
            assert len(held) == len(set(held))


def read_until(consumer: Consumer, count: int) -> None:
    """Poll until the consumer has read so many records."""
    poll_until(lambda: consumer.count() == count, consumer)


def shares(*consumers: Consumer) -> list[int]:
    return [len(consumer.subscription.held()) for consumer in consumers]


def fill(log: EventLog, topic: str = PIN, partitions: int = 4, each: int = 5, made: bool = False) -> None:
    if not made:
        log.create(topic, partitions)
    log.append(
        topic,
        [
            Record(b"%d.%d" % (number, turn), partition=number)
            for turn in range(each)
            for number in range(partitions)
        ],
    ).result(WAIT)


def test_positions_of_a_group_over_all_topics(log: EventLog) -> None:
    log.create(PIN, 3)
    log.create(GEO, 1)
    assert log.positions("sink") == {}
    log.commit("sink", PIN, {0: 5, 2: 7})
    log.commit("sink", GEO, {0: 1})
    log.commit("other", PIN, {0: 1})
    assert log.positions("sink") == {PIN: {0: 5, 2: 7}, GEO: {0: 1}}


def test_groups_are_those_with_positions(log: EventLog) -> None:
    log.create(PIN, 1)
    assert log.groups() == []
    for group in ("sink", "audit"):
        log.commit(group, PIN, {0: 1})
    assert log.groups() == ["audit", "sink"]
    known = log.describe_group("sink")
    assert (known.name, known.state, known.members) == ("sink", "EMPTY", ())
    assert known.coordinator in log.cluster().brokers


def test_an_unknown_group_is_named(log: EventLog) -> None:
    with pytest.raises(UnknownGroup, match="nobody"):
        log.describe_group("nobody")
    assert log.groups() == []


def test_a_member_reads_everything_in_order(log: EventLog) -> None:
    fill(log)
    fill(log, GEO, 1)
    with members(log, topics=(PIN, GEO)) as (one,):
        read_until(one, 25)
        assert one.subscription.held() == {*PIN_PARTS, (GEO, 0)}
        for topic, number in one.subscription.held():
            assert one.values((topic, number)) == [b"%d.%d" % (number, turn) for turn in range(5)]
        fill(log, made=True, each=1)
        read_until(one, 29)
        assert [record.offset for record in one.read[PIN, 3]] == list(range(6))


def test_a_poll_gives_no_more_than_asked_for(log: EventLog) -> None:
    fill(log)
    with members(log) as (one,):
        deadline = time.monotonic() + WAIT
        while one.count() < 20:
            assert time.monotonic() < deadline
            assert sum(len(records) for records in one.poll(3).values()) <= 3
        assert {part: len(records) for part, records in one.read.items()} == dict.fromkeys(PIN_PARTS, 5)


def test_a_member_begins_at_the_committed_positions(log: EventLog) -> None:
    fill(log)
    log.commit("sink", PIN, {0: 5, 1: 3, 2: 4})
    with members(log) as (one,):
        read_until(one, 8)
        assert {part: records[0].offset for part, records in one.read.items()} == {
            (PIN, 1): 3,
            (PIN, 2): 4,
            (PIN, 3): 0,
        }


def test_what_a_member_commits_is_where_the_next_one_begins(log: EventLog) -> None:
    fill(log)
    with members(log) as (one,):
        read_until(one, 20)
        one.subscription.commit({(PIN, 0): 5, (PIN, 1): 5, (PIN, 2): 5})
        one.subscription.commit({(PIN, 2): 4})
    assert log.committed("sink", PIN) == {0: 5, 1: 5, 2: 4}
    with members(log) as (two,):
        read_until(two, 6)
        assert two.values((PIN, 2)) == [b"2.4"]
        assert len(two.values((PIN, 3))) == 5


def test_members_share_the_partitions(log: EventLog, open_log: Opener) -> None:
    fill(log)
    with members(log, open_log()) as (one, two):
        poll_until(lambda: shares(one, two) == [2, 2], one, two)
        assert one.subscription.held() | two.subscription.held() == set(PIN_PARTS)
        fill(log, made=True)
        poll_until(
            lambda: sum(len(set(c.values(part))) for c in (one, two) for part in PIN_PARTS) >= 20, one, two
        )


def test_a_member_that_joins_takes_over_at_the_committed_position(log: EventLog, open_log: Opener) -> None:
    fill(log)
    with members(log) as (one,):
        read_until(one, 20)
        one.subscription.commit(dict.fromkeys(PIN_PARTS, 3))
        with members(open_log()) as (two,):
            poll_until(lambda: shares(one, two) == [2, 2], one, two)
            poll_until(lambda: two.count() == 4, one, two)
            assert all(records[0].offset == 3 for records in two.read.values())
            assert one.count() == 20


def test_what_a_member_left_goes_to_the_others(log: EventLog, open_log: Opener) -> None:
    fill(log)
    with members(log, open_log()) as (one, two):
        poll_until(lambda: shares(one, two) == [2, 2], one, two)
        one.subscription.close()
        one.subscription.close()
        assert one.subscription.held() == frozenset()
        poll_until(lambda: shares(two) == [4], two)


def test_more_members_than_partitions(log: EventLog, open_log: Opener) -> None:
    fill(log, partitions=1)
    with members(log, open_log()) as (one, two):
        poll_until(lambda: sorted(shares(one, two)) == [0, 1], one, two)
        poll_until(lambda: one.count() + two.count() >= 5, one, two)


def test_what_is_not_held_cannot_be_committed(log: EventLog, open_log: Opener) -> None:
    fill(log)
    fill(log, GEO, 1)
    with members(log) as (one,):
        with pytest.raises(Fenced, match=PIN):
            one.subscription.commit({(PIN, 0): 1})
        poll_until(lambda: shares(one) == [4], one)
        with members(open_log()) as (two,):
            poll_until(lambda: shares(one, two) == [2, 2], one, two)
            (mine, *_), (lost, *_) = one.subscription.held(), two.subscription.held()
            for part in (lost, (GEO, 0), (PIN, 9)):
                with pytest.raises(Fenced, match=str(part[1])):
                    one.subscription.commit({mine: 1, part: 1})
                with pytest.raises(Fenced):
                    one.subscription.seek(part, 0)
                with pytest.raises(Fenced):
                    one.subscription.pause([part])
    assert log.committed("sink", PIN) == {}


def test_a_member_reads_again_from_where_it_seeks(log: EventLog) -> None:
    fill(log)
    with members(log) as (one,):
        read_until(one, 20)
        one.subscription.seek((PIN, 2), 3)
        read_until(one, 22)
        assert one.values((PIN, 2))[5:] == [b"2.3", b"2.4"]


def test_a_paused_partition_waits(log: EventLog) -> None:
    fill(log)
    with members(log) as (one,):
        read_until(one, 20)
        one.subscription.pause([(PIN, 1), (PIN, 2)])
        one.subscription.resume([(PIN, 2)])
        fill(log, made=True)
        poll_until(lambda: one.count() >= 35, one)
        assert one.poll() == {}
        assert len(one.values((PIN, 1))) == 5
        one.subscription.resume([(PIN, 1)])
        read_until(one, 40)
        assert [record.offset for record in one.read[PIN, 1]] == list(range(10))


def test_a_group_with_members_is_described(log: EventLog, open_log: Opener) -> None:
    fill(log)
    other = open_log()
    with members(log, other) as (one, two):
        poll_until(lambda: shares(one, two) == [2, 2], one, two)
        poll_until(lambda: other.describe_group("sink").state == "STABLE", one, two)
        known = other.describe_group("sink")
        assert other.groups() == ["sink"]
        assert len({member.id for member in known.members}) == 2
        assert {frozenset(member.partitions) for member in known.members} == {
            one.subscription.held(),
            two.subscription.held(),
        }
        assert all(member.client_id for member in known.members)


def test_a_group_without_members_is_empty_once_it_has_positions(log: EventLog) -> None:
    fill(log)
    with members(log) as (one,):
        poll_until(lambda: shares(one) == [4], one)
        one.subscription.commit({(PIN, 0): 1})
    deadline = time.monotonic() + WAIT
    while log.describe_group("sink").state != "EMPTY":
        assert time.monotonic() < deadline
    assert log.describe_group("sink").members == ()
    assert log.groups() == ["sink"]


def test_two_groups_read_the_same(log: EventLog) -> None:
    fill(log)
    consumers = [Consumer(log.subscribe(group, [PIN])) for group in ("sink", "audit")]
    for consumer in consumers:
        read_until(consumer, 20)
        consumer.subscription.close()
    assert consumers[0].read == consumers[1].read


def test_a_closed_member_says_so(log: EventLog) -> None:
    fill(log)
    with members(log) as (one,):
        poll_until(lambda: shares(one) == [4], one)
        one.subscription.close()
        with pytest.raises(Unavailable):
            one.subscription.poll(1, 0)
        with pytest.raises(Fenced):
            one.subscription.commit({(PIN, 0): 1})
    assert log.committed("sink", PIN) == {}


def test_closing_the_log_ends_its_memberships(log: EventLog, open_log: Opener) -> None:
    fill(log)
    with members(log, open_log()) as (one, two):
        poll_until(lambda: shares(one, two) == [2, 2], one, two)
        log.close()
        poll_until(lambda: shares(two) == [4], two)
        with pytest.raises(Unavailable):
            one.subscription.poll(1, 0)
