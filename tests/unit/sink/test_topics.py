"""Topics come, go and are made anew while a sink runs."""

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
from structlog.testing import capture_logs

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.objects.base import ObjectStore, StoredObject
from pinterest_pipeline.sink import worker
from pinterest_pipeline.sink.rotation import Rotation
from pinterest_pipeline.sink.rules import Rules
from pinterest_pipeline.sink.shape import Shape
from pinterest_pipeline.sink.worker import Sink
from tests.unit.sink.conftest import MakeSink
from tests.unit.sink.sample import GROUP, TOPIC, Clock, append, committed, landed, numbers, until


def test_a_topic_made_anew_under_its_name_is_not_taken_for_the_old_one(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(2))
    first = make_sink(flush_size=2)
    until(lambda: committed(log) == 2, [first])
    first.close()
    log.delete(TOPIC)
    log.create(TOPIC, 1)
    append(log, b'{"ind":"other"}', b'{"ind":"too"}')
    with pytest.raises(BadInput, match="is of an earlier topic of this name"):
        until(lambda: committed(log) == 2, [make_sink(flush_size=2)])
    assert committed(log) == 0


def test_a_topic_made_anew_under_a_running_sink_is_not_taken_for_the_old_one(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    append(log, *numbers(2))
    sink = make_sink(flush_size=2)
    until(lambda: committed(log) == 2, [sink])
    log.delete(TOPIC)
    log.create(TOPIC, 1)
    append(log, *numbers(5))
    with pytest.raises(BadInput, match="is of an earlier topic of this name"):
        until(lambda: committed(log) > 0, [sink])
    assert committed(log) == 0


def test_a_topic_that_is_deleted_while_it_is_begun_does_not_stop_the_others(
    log: EventLog, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.create("id.gone", 1)
    append(log, *numbers(2))
    beginnings, left = log.beginnings, ["id.gone"]

    def begin(topic: str) -> dict[int, int]:
        for name in left:
            left.remove(name)
            log.delete(name)
        return beginnings(topic)

    monkeypatch.setattr(log, "beginnings", begin)
    stop = threading.Event()
    rules = Rules(GROUP, "test-sink", (), r"id\..*", Shape(), Rotation(2, 2**26, 10.0))
    thread = threading.Thread(target=Sink(log, store, rules, 0.0).run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 20
    while committed(log) < 2 and thread.is_alive() and time.monotonic() < deadline:
        stop.wait(0.01)
    stop.set()
    thread.join()
    assert landed(store) == [[0, 1]]


def test_topics_that_match_later_are_landed_too(
    log: EventLog, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_TOPICS_SECONDS", 0.0)
    sink = Sink(log, store, Rules(GROUP, "s", (), r"later\..*", Shape(), Rotation(1, 2**20, 10.0)), 0.0)
    assert sink.step(0) is False
    for name in ("later.a", "later.b", "other"):
        log.create(name, 1)
        log.append(name, [Record(b"{}")]).result()
        if name != "other":
            until(partial(is_landed, log, name), [sink])
    sink.step(0)
    sink.close()
    assert log.committed(GROUP, "other") == {}


def is_landed(log: EventLog, topic: str) -> bool:
    return log.committed(GROUP, topic) == {0: 1}


def test_a_topic_that_is_named_and_not_there_yet_is_waited_for(
    log: EventLog, store: ObjectStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_MISSING_SECONDS", 0.0)
    rules = Rules(GROUP, "test-sink", (TOPIC, "later"), "", Shape(), Rotation(1, 2**26, 10.0))
    sink = Sink(log, store, rules, 0.0, clock, clock.milliseconds)
    append(log, *numbers(1))
    with capture_logs() as said:
        until(lambda: committed(log) == 1, [sink])
    waiting = [line["topics"] for line in said if line["event"].startswith("waiting for topics")]
    assert waiting == ["later"]
    log.create("later", 1)
    log.append("later", [Record(b"{}")]).result()
    until(lambda: log.committed(GROUP, "later") == {0: 1}, [sink])
    sink.close()


def test_the_manifests_of_many_partitions_are_read_at_once(
    log: EventLog, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first listing of each partition waits for the other's: one by one they would wait for ever."""
    log.create("wide", 2)
    log.append("wide", [Record(b"{}", partition=number) for number in range(2)]).result()
    rules = Rules(GROUP, "test-sink", ("wide",), "", Shape(), Rotation(1, 2**26, 10.0))
    meeting, left, listed = threading.Barrier(2, timeout=20), {"wide/0", "wide/1"}, store.list

    def meet(folder: str) -> Iterator[StoredObject]:
        if folder[-6:] in left:
            left.remove(folder[-6:])
            meeting.wait()
        return listed(folder)

    monkeypatch.setattr(store, "list", meet)
    sink = Sink(log, store, rules, 0.0)
    until(lambda: log.committed(GROUP, "wide") == {0: 1, 1: 1}, [sink])
    sink.close()
    assert left == set()
