"""What every home of the event log must do with a request that comes again."""

import time
from collections.abc import Callable

import pytest

from pinterest_pipeline.errors import KeyInFlight, KeyReused, UnknownTopic
from pinterest_pipeline.eventlog.base import EventLog, Once, Receipt, Record, Refusal

WAIT = 30
PIN = "124df56aef51.pin"
ONCE = Once("7d1f", b"digest")
REQUEST = [Record(b"a"), Record(b"b", b"key"), Record(b"x" * 5_000), Record(b"c", partition=1)]

Opener = Callable[[], EventLog]


def send(log: EventLog, once: Once = ONCE, topic: str = PIN) -> list[Receipt | Refusal]:
    """What the request comes to, once no other one with its key is under way."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            return log.append(topic, REQUEST, once).result(WAIT)
        except KeyInFlight:
            assert time.monotonic() < deadline


def landed(log: EventLog, topic: str = PIN) -> int:
    return sum(log.ends(topic).values())


def test_the_same_request_again_gets_the_same_outcomes(log: EventLog, open_log: Opener) -> None:
    log.create(PIN, 2)
    outcomes = send(log)
    assert [type(outcome) for outcome in outcomes] == [Receipt, Receipt, Refusal, Receipt]
    assert send(log) == outcomes
    assert send(open_log()) == outcomes
    log.close()
    assert send(open_log()) == outcomes
    assert landed(open_log()) == 3


def test_the_same_request_many_times_at_once_lands_once(log: EventLog, open_log: Opener) -> None:
    log.create(PIN, 2)
    logs = [log, open_log()]
    futures = [logs[turn % 2].append(PIN, REQUEST, ONCE) for turn in range(20)]
    failed = [future.exception(WAIT) for future in futures if future.exception(WAIT) is not None]
    assert all(isinstance(error, KeyInFlight) for error in failed)
    outcomes = send(log)
    assert all(future.result() == outcomes for future in futures if future.exception() is None)
    assert landed(log) == 3


def test_a_key_with_another_request_is_refused(log: EventLog, open_log: Opener) -> None:
    log.create(PIN, 2)
    outcomes = send(log)
    for again in (log, open_log()):
        with pytest.raises(KeyReused, match="another request"):
            send(again, Once(ONCE.key, b"another digest"))
    assert landed(log) == 3
    assert send(log) == outcomes


def test_requests_with_keys_of_their_own_all_land(log: EventLog) -> None:
    log.create(PIN, 2)
    futures = [log.append(PIN, REQUEST, Once(f"key {number}", b"digest")) for number in range(30)]
    found = [future.result(WAIT) for future in futures]
    assert landed(log) == 90
    assert [send(log, Once(f"key {number}", b"digest")) for number in range(30)] == found
    assert landed(log) == 90


def test_a_request_that_failed_may_be_sent_again(log: EventLog) -> None:
    with pytest.raises(UnknownTopic):
        send(log)
    log.create(PIN, 2)
    assert isinstance(send(log)[0], Receipt)
    assert landed(log) == 3


def test_a_key_belongs_to_its_topic(log: EventLog) -> None:
    for topic in (PIN, "other"):
        log.create(topic, 2)
        send(log, topic=topic)
    assert (landed(log), landed(log, "other")) == (3, 3)


def test_a_successor_of_a_topic_knows_no_key_of_it(log: EventLog) -> None:
    log.create(PIN, 2)
    send(log)
    log.delete(PIN)
    with pytest.raises(UnknownTopic):
        send(log)
    log.create(PIN, 2)
    outcomes = send(log, Once(ONCE.key, b"another digest"))
    assert landed(log) == 3
    assert send(log, Once(ONCE.key, b"another digest")) == outcomes
