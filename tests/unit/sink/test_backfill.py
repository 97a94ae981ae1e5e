"""A span of a topic is landed again under a prefix of its own, once, however often it is asked for."""

import json

import msgspec
import pytest

from pinterest_pipeline.errors import BadInput, SettingError
from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.sink.backfill import backfill
from pinterest_pipeline.sink.rotation import Rotation
from pinterest_pipeline.sink.rules import Rules
from pinterest_pipeline.sink.shape import Shape
from pinterest_pipeline.sink.span import Span
from pinterest_pipeline.sink.verification import manifest_problems
from tests.unit.sink.sample import TOPIC, append, numbers, objects

RULES = Rules("sink", "sink", (TOPIC,), "", Shape(), Rotation(4, 2**20, 10.0))


def offsets(store: ObjectStore, prefix: str = "again") -> list[list[int]]:
    return [
        [json.loads(line)["_offset"] for line in content.splitlines()]
        for content in objects(store, prefix).values()
    ]


def test_offsets_are_landed_from_and_to(log: EventLog, store: ObjectStore) -> None:
    append(log, *numbers(20))
    assert backfill(log, store, RULES, "again", Span(3, 12)) == {(TOPIC, 0): 9}
    assert offsets(store) == [[3, 4, 5, 6], [7, 8, 9, 10], [11]]
    assert objects(store) == {}
    assert manifest_problems(store, "again", (TOPIC, 0), 3, 12) == []


def test_times_are_landed_from_and_to(log: EventLog, store: ObjectStore) -> None:
    log.append(TOPIC, [Record(b"{}", timestamp=1_700_000_000_000 + n * 1000) for n in range(8)]).result()
    backfill(log, store, RULES, "again", Span(from_ms=1_700_000_002_000, to_ms=1_700_000_005_000))
    assert offsets(store) == [[2, 3, 4]]


def test_asked_again_it_goes_on_where_it_was(log: EventLog, store: ObjectStore) -> None:
    append(log, *numbers(10))
    backfill(log, store, RULES, "again", Span(0, 6))
    was = objects(store, "again")
    store.delete(next(iter(was)))  # as if it had died before this upload
    other = msgspec.structs.replace(RULES, rotation=Rotation(3, 2**20, 10.0))
    backfill(log, store, other, "again", Span(0, 10))
    assert offsets(store) == [[0, 1, 2, 3], [4, 5], [6, 7, 8], [9]]
    assert was.items() <= objects(store, "again").items()


def test_a_plan_that_was_left_behind_is_finished_from_its_midst_too(
    log: EventLog, store: ObjectStore
) -> None:
    append(log, *numbers(8))
    backfill(log, store, RULES, "again", Span(0, 4))
    store.delete(next(iter(objects(store, "again"))))  # as if it had died before this upload
    backfill(log, store, RULES, "again", Span(2, 8))
    assert offsets(store) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_span_that_reaches_into_another_lands_nothing_twice(log: EventLog, store: ObjectStore) -> None:
    append(log, *numbers(20))
    for first, stop in ((10, 12), (5, 7), (0, 20)):
        backfill(log, store, RULES, "again", Span(first, stop))
    assert [offset for one in offsets(store) for offset in one] == list(range(20))
    assert manifest_problems(store, "again", (TOPIC, 0), 0, 20) == []


def test_topics_are_found_by_their_pattern(log: EventLog, store: ObjectStore) -> None:
    append(log, *numbers(3))
    log.create("other", 1)
    rules = msgspec.structs.replace(RULES, topics=(), pattern=TOPIC[:5] + ".*")
    assert backfill(log, store, rules, "again", Span()) == {(TOPIC, 0): 3}
    assert offsets(store) == [[0, 1, 2]]


@pytest.mark.parametrize("prefix", ["", "/", "a/../b", "manifest", "compacted/topics"])
def test_a_prefix_that_cannot_be_is_refused(log: EventLog, store: ObjectStore, prefix: str) -> None:
    with pytest.raises(SettingError, match="--prefix"):
        backfill(log, store, RULES, prefix, Span())


def test_the_sinks_own_prefix_is_refused(log: EventLog, store: ObjectStore) -> None:
    with pytest.raises(BadInput, match="where the sink itself lands"):
        backfill(log, store, RULES, "topics", Span())


@pytest.mark.parametrize(
    ("span", "what"), [((5, 3), "offset"), ((5, 5), "offset"), ((None, None, 9, 4), "time")]
)
def test_a_span_that_ends_before_it_begins_is_refused(span: tuple[int | None, ...], what: str) -> None:
    with pytest.raises(BadInput, match=f"nothing from {what}"):
        Span(*span)
