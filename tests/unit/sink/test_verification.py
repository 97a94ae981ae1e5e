"""The manifest and the objects are compared to the last byte: whatever is changed is named."""

from collections.abc import Callable

import msgspec
import pytest

from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.sink.manifest import Manifest
from pinterest_pipeline.sink.verification import manifest_problems
from tests.unit.sink.conftest import MakeSink
from tests.unit.sink.sample import TOPIC, append, committed, numbers, objects, until

PART = (TOPIC, 0)
Sabotage = Callable[[ObjectStore], None]


@pytest.fixture(autouse=True)
def six_records(log: EventLog, make_sink: MakeSink) -> None:
    append(log, *numbers(6))
    until(lambda: committed(log) == 6, [make_sink(flush_size=2)])


def test_a_whole_manifest_has_no_problem(store: ObjectStore) -> None:
    assert manifest_problems(store, "topics", PART, 0, 6) == []


def rewrite(store: ObjectStore, key: str, content: bytes) -> None:
    store.delete(key)
    store.put_if_absent(key, content)


def remove_an_object(store: ObjectStore) -> None:
    store.delete(list(objects(store))[1])


def flip_a_byte(store: ObjectStore) -> None:
    key, content = list(objects(store).items())[1]
    rewrite(store, key, content.replace(b'"ind":2', b'"ind":3'))


def shorten_an_object(store: ObjectStore) -> None:
    key, content = list(objects(store).items())[1]
    rewrite(store, key, content[: content.index(b"\n") + 1])


def copy_an_object(store: ObjectStore) -> None:
    key, content = list(objects(store).items())[1]
    store.put_if_absent(key.replace("0000000002", "0000000003"), content)


def remove_a_plan(store: ObjectStore) -> None:
    store.delete(list(objects(store, "manifest"))[1])


def overlap_a_plan(store: ObjectStore) -> None:
    key, content = list(objects(store, "manifest").items())[1]
    rewrite(store, key, content.replace(b'"end": 4', b'"end": 5'))


@pytest.mark.parametrize(
    ("sabotage", "says"),
    [
        (remove_an_object, "0000000002.json is missing"),
        (flip_a_byte, "0000000002.json is not the one that was planned"),
        (shorten_an_object, "bytes, and not"),
        (copy_an_object, "no plan names the object topics/id.pin/partition=0/id.pin+0+0000000003.json"),
        (remove_a_plan, "no plan holds the offsets 2 to 3"),
        (overlap_a_plan, "two plans hold the offsets 4 to 4"),
    ],
)
def test_every_sabotage_is_seen(store: ObjectStore, sabotage: Sabotage, says: str) -> None:
    sabotage(store)
    problems = manifest_problems(store, "topics", PART, 0, 6)
    assert any(says in problem for problem in problems), problems


def test_what_is_committed_and_not_planned_is_named(store: ObjectStore) -> None:
    assert manifest_problems(store, "topics", PART, 0, 8) == [
        "id.pin, partition 0: no plan holds the offsets 6 to 7"
    ]


def test_an_entry_says_what_its_objects_hold(store: ObjectStore) -> None:
    entry = next(Manifest(store, "topics").entries(PART))
    assert (entry.start, entry.end, entry.landed, entry.skipped, entry.missing) == (0, 2, 2, {}, 0)
    (planned,) = entry.objects
    assert (planned.first, planned.last, planned.count) == (0, 1, 2)
    assert planned.bytes == len(store.get(planned.key))
    assert msgspec.to_builtins(entry)["shape"] == {}


def test_a_plan_that_is_not_committed_may_be_on_its_way(store: ObjectStore) -> None:
    store.delete(list(objects(store))[-1])
    assert manifest_problems(store, "topics", PART, 0, 4) == []
    assert len(manifest_problems(store, "topics", PART, 0, 6)) == 1
