"""Every record of a topic lands in exactly one object, whatever stops the sink and wherever it is cut."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pinterest_pipeline.config import SinkSettings
from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.folder import FolderStore
from pinterest_pipeline.objects.landed import landed_objects
from pinterest_pipeline.objects.layout import ObjectName
from pinterest_pipeline.sink.worker import GROUP, Sink

TOPIC = "id.pin"
FIRST_KEY = ObjectName(TOPIC, 0, 0).key("topics")


class Clock:
    """Seconds that pass only when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    log = SqliteEventLog(tmp_path / "log.sqlite", kafka_partition, 2**20)
    log.create(TOPIC, 1)
    yield log
    log.close()


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return FolderStore(tmp_path / "objects")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def append(log: EventLog, *values: bytes | None) -> None:
    log.append(TOPIC, [Record(value, partition=0) for value in values]).result()


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b'{"ind":%d}' % number for number in range(start, start + count)]


def landed(store: ObjectStore) -> list[list[int]]:
    """The offsets of each object, object by object."""
    return [
        [json.loads(line)["_offset"] for line in store.get(found.key).splitlines()]
        for found in landed_objects(store, "topics", TOPIC)
    ]


def test_an_object_is_closed_by_count(log: EventLog, store: ObjectStore, clock: Clock) -> None:
    append(log, *numbers(5))
    Sink(log, store, [TOPIC], SinkSettings(flush_size=2), clock).step()
    assert landed(store) == [[0, 1], [2, 3]]
    assert log.committed(GROUP, TOPIC) == {0: 4}


def test_an_object_is_closed_by_bytes(log: EventLog, store: ObjectStore, clock: Clock) -> None:
    append(log, b'{"a":"%s"}' % (b"x" * 5_000), *numbers(1))
    Sink(log, store, [TOPIC], SinkSettings(flush_bytes=5_000), clock).step()
    assert landed(store) == [[0]]


def test_an_object_is_closed_by_age_when_no_more_comes(
    log: EventLog, store: ObjectStore, clock: Clock
) -> None:
    append(log, *numbers(3))
    sink = Sink(log, store, [TOPIC], SinkSettings(flush_seconds=10), clock)
    sink.step()
    clock.now = 9.9
    sink.step()
    assert landed(store) == []
    clock.now = 10
    sink.step()
    assert landed(store) == [[0, 1, 2]]


def test_a_line_holds_the_record_and_its_position(log: EventLog, store: ObjectStore, clock: Clock) -> None:
    append(log, b'{"ind":7,"title":"a"}', None)
    Sink(log, store, [TOPIC], SinkSettings(flush_size=2), clock).step()
    first, tombstone = (json.loads(line) for line in store.get(FIRST_KEY).splitlines())
    timestamp = log.read(TOPIC, 0, 0, 1)[0].timestamp
    position = {"_topic": TOPIC, "_partition": 0, "_offset": 0, "_timestamp": timestamp}
    assert first == {"ind": 7, "title": "a", **position}
    assert tombstone["_raw"] is None


def test_a_new_sink_goes_on_where_the_last_one_committed(
    log: EventLog, store: ObjectStore, clock: Clock
) -> None:
    append(log, *numbers(3))
    Sink(log, store, [TOPIC], SinkSettings(flush_size=2), clock).step()
    append(log, *numbers(1, 3))
    Sink(log, store, [TOPIC], SinkSettings(flush_size=2), clock).step()
    assert landed(store) == [[0, 1], [2, 3]]


@pytest.mark.parametrize("before", [1, 2, 3, 4, 7])
def test_a_crash_after_the_upload_and_before_the_commit_repeats_nothing(
    log: EventLog, store: ObjectStore, clock: Clock, before: int
) -> None:
    append(log, *numbers(7))
    lost = Sink(log, store, [TOPIC], SinkSettings(flush_size=before), clock)
    lost.step()
    log.commit(GROUP, TOPIC, {0: 0})  # as if it had died before its first commit
    sink = Sink(log, store, [TOPIC], SinkSettings(flush_size=3), clock)
    while log.committed(GROUP, TOPIC) != {0: 7}:
        sink.step()
        sink.flush()
    offsets = [offset for offsets in landed(store) for offset in offsets]
    assert offsets == list(range(7))


def test_two_sinks_by_mistake_land_each_record_once(log: EventLog, store: ObjectStore, clock: Clock) -> None:
    first = Sink(log, store, [TOPIC], SinkSettings(flush_size=3), clock)
    second = Sink(log, store, [TOPIC], SinkSettings(flush_size=2), clock)
    for start in range(0, 30, 5):
        append(log, *numbers(5, start))
        first.step()
        second.step()
    for sink in (first, second):
        sink.flush()
        while sink.step():
            pass
        sink.flush()
    assert sorted(offset for offsets in landed(store) for offset in offsets) == list(range(30))


def test_an_object_of_other_records_stops_the_sink(log: EventLog, store: ObjectStore, clock: Clock) -> None:
    append(log, *numbers(2))
    store.put_if_absent(FIRST_KEY, b'{"_offset":0}\n')
    with pytest.raises(BadInput, match="does not hold the records"):
        Sink(log, store, [TOPIC], SinkSettings(flush_size=2), clock).step()
    assert log.committed(GROUP, TOPIC).get(0, 0) == 0


def test_an_object_that_a_power_cut_tore_is_written_again(
    log: EventLog, store: ObjectStore, clock: Clock
) -> None:
    append(log, *numbers(3))
    Sink(log, store, [TOPIC], SinkSettings(flush_size=3), clock).step()
    whole = store.get(FIRST_KEY)
    for torn in (b"", whole[:10], whole[:-1]):
        Path(store.where(FIRST_KEY)).write_bytes(torn)
        log.commit(GROUP, TOPIC, {0: 0})
        Sink(log, store, [TOPIC], SinkSettings(flush_size=3), clock).step()
        assert store.get(FIRST_KEY) == whole
        assert log.committed(GROUP, TOPIC) == {0: 3}
