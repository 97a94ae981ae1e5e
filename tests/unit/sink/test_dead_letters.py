"""Poison goes to its topic once, whole and with its reason; the rest lands."""

import json

import msgspec
import pytest

from pinterest_pipeline.errors import BadInput, SettingError
from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.sink.replay import replay
from pinterest_pipeline.sink.rotation import Rotation
from pinterest_pipeline.sink.rules import DeadLetterRules, Rules
from pinterest_pipeline.sink.shape import Shape
from pinterest_pipeline.sink.span import Span
from pinterest_pipeline.sink.verification import manifest_problems
from pinterest_pipeline.sink.worker import Sink
from tests.unit.sink.sample import GROUP, TOPIC, append, committed, numbers, objects, until

RULES = Rules(
    GROUP,
    "test-sink",
    (TOPIC,),
    "",
    Shape(errors="all"),
    Rotation(20, 2**20, 10.0),
    DeadLetterRules("dead", 1, with_headers=True),
)
EVERYTHING = Span()
POISON = [b"poison %d" % number for number in range(10)]


def send(log: EventLog) -> None:
    """Ninety good records, and a bad one after every ninth."""
    for number, bad in enumerate(POISON):
        append(log, *numbers(9, number * 9), bad)


def land(log: EventLog, store: ObjectStore) -> None:
    sink = Sink(log, store, RULES, 0.0)
    until(lambda: committed(log) == 100, [sink])
    sink.close()


def test_every_tenth_record_is_poison_and_the_rest_lands(log: EventLog, store: ObjectStore) -> None:
    send(log)
    land(log, store)
    lines = [json.loads(line) for content in objects(store).values() for line in content.splitlines()]
    assert [line["ind"] for line in lines] == list(range(90))
    dead = log.read("dead", 0, 0, 1_000)
    assert [record.value for record in dead] == POISON
    headers = {name: (value or b"").decode() for name, value in dead[3].headers}
    assert headers["__connect.errors.topic"] == TOPIC
    assert headers["__connect.errors.offset"] == "39"
    assert headers["__connect.errors.connector.name"] == "test-sink"
    assert headers["__connect.errors.stage"] == "VALUE_CONVERTER"
    assert "no json" in headers["__connect.errors.exception.message"]
    assert manifest_problems(store, "topics", (TOPIC, 0), 0, 100) == []


def test_a_range_that_is_landed_again_sends_its_poison_once(log: EventLog, store: ObjectStore) -> None:
    send(log)
    land(log, store)
    for key in objects(store):
        store.delete(key)  # as if it had died after the dead letters and before the uploads
    log.commit(GROUP, TOPIC, {0: 0})
    land(log, store)
    assert [record.value for record in log.read("dead", 0, 0, 1_000)] == POISON


def test_poison_as_large_as_the_log_takes_is_set_aside_without_its_reason(
    log: EventLog, store: ObjectStore
) -> None:
    large = b"x" * 2**20
    append(log, b"poison", large, *numbers(98))
    land(log, store)
    dead = log.read("dead", 0, 0, 10)
    assert [(one.value, bool(one.headers)) for one in dead] == [(b"poison", True), (large, False)]
    for key in objects(store):
        store.delete(key)
    log.commit(GROUP, TOPIC, {0: 0})
    land(log, store)
    assert log.ends("dead") == {0: 2}


def replayed(log: EventLog, store: ObjectStore, span: Span = EVERYTHING) -> int:
    """How many dead letters went back to the topic."""
    return replay(log, store, RULES, span, None).get(TOPIC, 0)


def test_dead_letters_go_back_to_their_topic_as_they_were_and_only_once(
    log: EventLog, store: ObjectStore
) -> None:
    sent = Record(b"poison", b"key", 0, 1_700_000_000_000, (("color", b"red"),))
    log.append(TOPIC, [sent]).result()
    sink = Sink(log, store, RULES, 0.0)
    until(lambda: log.topics() == ["dead", TOPIC] and log.ends("dead") == {0: 1}, [sink])
    sink.close()
    assert [replayed(log, store) for _ in range(3)] == [1, 0, 0]
    again = log.read(TOPIC, 0, 1, 10)
    assert [(one.key, one.value, one.headers) for one in again] == [(b"key", b"poison", sent.headers)]


def test_spans_that_overlap_send_each_letter_once(log: EventLog, store: ObjectStore) -> None:
    send(log)
    land(log, store)
    assert replayed(log, store, Span(3, 5)) == 2
    assert replayed(log, store, Span(0, 8)) == 6
    assert replayed(log, store) == 2
    values = [record.value for record in log.read(TOPIC, 0, 100, 1_000)]
    assert sorted(values, key=lambda value: value or b"") == POISON


def test_a_replay_that_died_before_it_was_noted_sends_nothing_twice(
    log: EventLog, store: ObjectStore
) -> None:
    send(log)
    land(log, store)
    assert replayed(log, store) == 10
    for noted in list(store.list("replayed")):
        store.delete(noted.key)
    replayed(log, store)
    assert log.ends(TOPIC) == {0: 110}


def test_a_letter_that_is_still_poison_is_a_new_letter(log: EventLog, store: ObjectStore) -> None:
    send(log)
    land(log, store)
    replayed(log, store)
    sink = Sink(log, store, RULES, 0.0)
    until(lambda: log.ends("dead") == {0: 20}, [sink])
    sink.close()
    assert replayed(log, store) == 10


def test_notes_that_overlap_or_lie_in_each_other_hold_what_they_hold(
    log: EventLog, store: ObjectStore
) -> None:
    """As runs leave them that went at the same time."""
    send(log)
    land(log, store)
    for first, end in ((1, 7), (2, 3), (6, 8)):
        store.put_if_absent(f"replayed/dead/0/{first:020d}-{end:020d}.json", b"{}")
    assert replayed(log, store) == 3
    assert [record.value for record in log.read(TOPIC, 0, 100, 10)] == [POISON[0], *POISON[8:]]


def test_what_went_before_a_letter_that_cannot_go_is_noted(log: EventLog, store: ObjectStore) -> None:
    """Who leaves that one out, a day later, does not send the others again."""
    log.create("dead", 1)
    for partition in (b"0", b"7", b"0"):
        origin = (("__connect.errors.topic", TOPIC.encode()), ("__connect.errors.partition", partition))
        log.append("dead", [Record(b"poison", headers=origin)]).result()
    with pytest.raises(BadInput, match=r"dead letter at offset 1.*partition 7"):
        replayed(log, store)
    assert replayed(log, store, Span(0, 1)) == replayed(log, store, Span(2, 3)) == 0
    assert log.ends(TOPIC) == {0: 2}


def test_letters_of_one_topic_alone(log: EventLog, store: ObjectStore) -> None:
    send(log)
    land(log, store)
    assert replay(log, store, RULES, Span(), "another") == {}
    assert replay(log, store, RULES, Span(), TOPIC) == {TOPIC: 10}


def test_a_letter_without_its_origin_needs_a_sink_of_one_topic(log: EventLog, store: ObjectStore) -> None:
    log.create("dead", 1)
    log.append("dead", [Record(b"poison")]).result()
    two = msgspec.structs.replace(RULES, topics=(TOPIC, "other"))
    with pytest.raises(BadInput, match=r"offset 0 does not say.*context\.headers\.enable"):
        replay(log, store, two, Span(), None)
    assert replayed(log, store) == 1


def test_without_a_dead_letter_topic_there_is_nothing_to_replay(log: EventLog, store: ObjectStore) -> None:
    with pytest.raises(SettingError, match=r"errors\.deadletterqueue\.topic\.name"):
        replay(log, store, msgspec.structs.replace(RULES, dead_letters=None), Span(), None)
