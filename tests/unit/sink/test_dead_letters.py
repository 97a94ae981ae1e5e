"""Poison goes to its topic once, whole and with its reason; the rest lands."""

import json

from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.sink.rotation import Rotation
from pinterest_pipeline.sink.rules import DeadLetterRules, Rules
from pinterest_pipeline.sink.shape import Shape
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
