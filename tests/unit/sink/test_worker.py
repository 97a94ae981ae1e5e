"""Every record of a topic lands in exactly one object, whatever stops the sink and wherever it is cut."""

import json
import threading
import time

import pytest
from structlog.testing import capture_logs

from pinterest_pipeline.errors import BadInput, Unavailable
from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.layout import ObjectName
from pinterest_pipeline.sink.rotation import Rotation
from pinterest_pipeline.sink.rules import Rules
from pinterest_pipeline.sink.shape import Shape
from pinterest_pipeline.sink.verification import manifest_problems
from pinterest_pipeline.sink.worker import Sink
from tests.unit.sink.conftest import MakeSink
from tests.unit.sink.sample import GROUP, TOPIC, Clock, append, committed, landed, numbers, objects, until

STEADY = pytest.mark.parametrize("session_seconds", [45.0])
"""No slow commit ends a session: what is said is said of members that stay."""


def key(start: int) -> str:
    return ObjectName(TOPIC, 0, start).key("topics")


def test_an_object_is_closed_by_count(log: EventLog, store: ObjectStore, make_sink: MakeSink) -> None:
    append(log, *numbers(5))
    until(lambda: committed(log) == 4, [make_sink(flush_size=2)])
    assert landed(store) == [[0, 1], [2, 3]]


def test_an_object_is_closed_by_bytes(log: EventLog, store: ObjectStore, make_sink: MakeSink) -> None:
    append(log, b'{"a":"%s"}' % (b"x" * 5_000), *numbers(1))
    until(lambda: committed(log) == 1, [make_sink(flush_bytes=5_000)])
    assert landed(store) == [[0]]


def test_an_object_is_closed_by_age_when_no_more_comes(
    log: EventLog, store: ObjectStore, make_sink: MakeSink, clock: Clock
) -> None:
    append(log, *numbers(3))
    sink = make_sink(flush_seconds=10)
    for _ in range(5):
        sink.step(0)
    clock.now = 9.9
    sink.step(0)
    assert landed(store) == []
    clock.now = 10
    until(lambda: committed(log) == 3, [sink])
    assert landed(store) == [[0, 1, 2]]


def test_a_line_holds_the_record_and_its_position(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, b'{"ind":7,"title":"a"}', None)
    until(lambda: committed(log) == 2, [make_sink(flush_size=2)])
    first, tombstone = (json.loads(line) for line in store.get(key(0)).splitlines())
    timestamp = log.read(TOPIC, 0, 0, 1)[0].timestamp
    position = {"_topic": TOPIC, "_partition": 0, "_offset": 0, "_timestamp": timestamp}
    assert first == {"ind": 7, "title": "a", **position}
    assert tombstone["_raw"] is None


def test_a_new_sink_goes_on_where_the_last_one_committed(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(3))
    first = make_sink(flush_size=2)
    until(lambda: committed(log) == 2, [first])
    first.close()
    append(log, *numbers(1, 3))
    until(lambda: committed(log) == 4, [make_sink(flush_size=2)])
    assert landed(store) == [[0, 1], [2, 3]]


@STEADY
def test_stopping_lands_what_was_read(log: EventLog, store: ObjectStore, make_sink: MakeSink) -> None:
    append(log, *numbers(3))
    sink = make_sink()
    sink.step(0)
    sink.step(0)
    sink.flush()
    assert (landed(store), committed(log)) == ([[0, 1, 2]], 3)


@pytest.mark.parametrize("before", [1, 2, 3, 4, 7])
def test_a_plan_that_was_left_behind_is_finished_as_it_says(
    log: EventLog, store: ObjectStore, make_sink: MakeSink, before: int
) -> None:
    append(log, *numbers(7))
    lost = make_sink(flush_size=before)
    until(lambda: committed(log) >= before, [lost])
    lost.close()
    was = objects(store)
    for name in list(was)[1:]:
        store.delete(name)  # as if it had died between the plan and the upload of these
    log.commit(GROUP, TOPIC, {0: 0})
    sink = make_sink(flush_size=3, flush_seconds=0)
    until(lambda: committed(log) == 7, [sink])
    assert [offset for offsets in landed(store) for offset in offsets] == list(range(7))
    assert was.items() <= objects(store).items()


def test_a_plan_of_other_settings_is_finished_by_its_own(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(4))
    until(lambda: committed(log) == 4, [make_sink(Shape(gzip_level=6), flush_size=4)])
    was = objects(store)
    for name in was:
        store.delete(name)
    log.commit(GROUP, TOPIC, {0: 0})
    until(lambda: committed(log) == 4, [make_sink(flush_size=2)])
    assert objects(store) == was


def test_a_group_that_is_moved_back_into_a_plan_lands_nothing_twice(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(6))
    first = make_sink(flush_size=4)
    until(lambda: committed(log) == 4, [first])
    first.close()
    log.commit(GROUP, TOPIC, {0: 2})
    until(lambda: committed(log) == 6, [make_sink(flush_size=2)])
    assert landed(store) == [[0, 1, 2, 3], [4, 5]]


def test_a_group_that_is_moved_into_a_plan_of_a_sink_that_died_finishes_it_first(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(6))
    lost = make_sink(flush_size=4)
    until(lambda: committed(log) == 4, [lost])
    lost.close()
    store.delete(key(0))  # as if it had died between the plan and its upload
    log.commit(GROUP, TOPIC, {0: 2})
    until(lambda: committed(log) == 6, [make_sink(flush_size=2)])
    assert landed(store) == [[0, 1, 2, 3], [4, 5]]
    assert manifest_problems(store, "topics", (TOPIC, 0), 0, 6) == []


def test_a_group_that_is_moved_back_before_all_plans_lands_up_to_the_first_and_nothing_twice(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(20))
    log.commit(GROUP, TOPIC, {0: 12})
    first = make_sink(flush_size=4)
    until(lambda: committed(log) == 20, [first])
    first.close()
    log.commit(GROUP, TOPIC, {0: 2})
    append(log, *numbers(5, 20))
    until(lambda: committed(log) == 25, [make_sink(flush_size=7, flush_seconds=0.0)])
    assert landed(store)[:4] == [[*range(2, 9)], [9, 10, 11], [*range(12, 16)], [*range(16, 20)]]
    assert manifest_problems(store, "topics", (TOPIC, 0), 2, 25) == []


def test_two_sinks_that_do_not_know_of_each_other_land_each_record_once(
    log: EventLog, store: ObjectStore, clock: Clock
) -> None:
    sinks = []
    for group, size in (("one", 3), ("two", 2)):
        rules = Rules(group, group, (TOPIC,), "", Shape(), Rotation(size, 2**20, 10.0))
        sinks.append(Sink(log, store, rules, 0.0, clock, clock.milliseconds))
    for start in range(0, 30, 5):
        append(log, *numbers(5, start))
        for sink in sinks:
            sink.step(0.01)

    def both_are_done() -> bool:
        clock.now += 1
        return all(log.committed(group, TOPIC) == {0: 30} for group in ("one", "two"))

    until(both_are_done, sinks)
    for sink in sinks:
        sink.close()
    assert [offset for offsets in landed(store) for offset in offsets] == list(range(30))


def test_a_member_that_was_put_out_and_comes_back_lands_nothing_twice(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(3))
    frozen, other = make_sink(flush_size=4), make_sink(flush_size=2)
    until(lambda: bool(frozen._held), [frozen])
    frozen.step(0)
    until(lambda: committed(log) == 2, [other])  # `frozen` is silent for longer than its session
    append(log, *numbers(5, 3))
    until(lambda: committed(log) == 8, [frozen, other])
    assert [offset for offsets in landed(store) for offset in offsets] == list(range(8))


@STEADY
def test_several_members_share_the_partitions(log: EventLog, store: ObjectStore, clock: Clock) -> None:
    log.create("many", 4)
    rules = Rules(GROUP, "s", (), "m.ny", Shape(), Rotation(2, 2**20, 10.0))
    sinks = [Sink(log, store, rules, 0.0, clock, clock.milliseconds) for _ in range(2)]
    log.append("many", [Record(b"{}", partition=number % 4) for number in range(8)]).result()
    until(lambda: log.committed(GROUP, "many") == dict.fromkeys(range(4), 2), sinks)
    assert [len(sink._held) for sink in sinks] == [2, 2]
    for sink in sinks:
        sink.close()
    assert len(objects(store)) == 4


def test_an_object_of_other_records_stops_the_sink(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(2))
    store.put_if_absent(key(0), b'{"_offset":0}\n')
    with pytest.raises(BadInput, match="does not hold the records"):
        until(lambda: committed(log) == 2, [make_sink(flush_size=2)])
    assert committed(log) == 0


def test_a_name_that_no_store_keeps_is_in_no_plan(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    """Else the plan would stop the sink after the setting was corrected, too."""
    append(log, *numbers(2))
    with pytest.raises(BadInput, match="holds a control character"):
        until(lambda: committed(log) == 2, [make_sink(Shape(file_delimiter="\\"), flush_size=2)])
    until(lambda: committed(log) == 2, [make_sink(flush_size=2)])
    assert landed(store) == [[0, 1]]


def test_an_object_that_a_power_cut_tore_is_written_again(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(3))
    until(lambda: committed(log) == 3, [make_sink(flush_size=3)])
    whole = store.get(key(0))
    for torn in (b"", whole[:10], whole[:-1]):
        store.delete(key(0))
        store.put_if_absent(key(0), torn)
        log.commit(GROUP, TOPIC, {0: 0})
        sink = make_sink(flush_size=3)
        until(lambda: committed(log) == 3, [sink])
        sink.close()
        assert store.get(key(0)) == whole


def test_a_position_behind_the_end_stops_the_sink(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(2))
    log.commit(GROUP, TOPIC, {0: 9})
    with pytest.raises(BadInput, match=r"is at offset 9 of .*, whose end is 2"):
        make_sink(flush_size=2).step(0)
    assert objects(store) == {}


def test_records_that_left_the_log_before_they_were_landed_are_named(
    log: EventLog, make_sink: MakeSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, *numbers(5))
    log.commit(GROUP, TOPIC, {0: 1})
    monkeypatch.setattr(log, "beginnings", lambda _: {0: 4})  # as Kafka's retention does
    sink = make_sink()
    with capture_logs() as logs:
        until(lambda: bool(sink._held), [sink])
    (said,) = [line for line in logs if line["event"].startswith("records left")]
    assert (said["topic"], said["partition"], said["first"], said["count"]) == (TOPIC, 0, 1, 3)


class _Flaky:
    """A store one of whose methods fails a few times."""

    def __init__(self, store: ObjectStore, method: str, failures: int) -> None:
        self._store = store
        self._method = method
        self._failures = failures

    def __getattr__(self, name: str) -> object:
        if name == self._method and self._failures:
            self._failures -= 1
            raise Unavailable("the store is away")
        return getattr(self._store, name)


def test_a_store_that_is_away_is_asked_again(
    log: EventLog, store: ObjectStore, make_sink: MakeSink, clock: Clock
) -> None:
    append(log, *numbers(4))
    flaky: object = _Flaky(store, "put_if_absent", 3)
    sink = make_sink(own_store=flaky, flush_size=2)

    def all_landed() -> bool:
        clock.now += 1
        return committed(log) == 4

    until(all_landed, [sink])
    assert landed(store) == [[0, 1], [2, 3]]


@STEADY
def test_a_sink_runs_until_it_is_told_to_stop(log: EventLog, store: ObjectStore, make_sink: MakeSink) -> None:
    append(log, *numbers(5))
    stop = threading.Event()
    sink = make_sink(flush_size=2)
    thread = threading.Thread(target=sink.run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 20
    while committed(log) < 4 and time.monotonic() < deadline:
        stop.wait(0.01)
    stop.set()
    thread.join()
    assert (landed(store), committed(log)) == ([[0, 1], [2, 3], [4]], 5)


def test_a_partition_that_could_not_be_begun_is_begun_again_though_nothing_comes(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(2))
    stop = threading.Event()
    flaky: object = _Flaky(store, "list", 3)
    thread = threading.Thread(target=make_sink(own_store=flaky, flush_size=2).run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 20
    while committed(log) < 2 and time.monotonic() < deadline:
        stop.wait(0.01)
    stop.set()
    thread.join()
    assert landed(store) == [[0, 1]]
