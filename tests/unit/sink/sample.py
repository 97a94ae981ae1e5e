"""Records, what became of them, and waiting for it."""

import json
import time
from collections.abc import Callable, Sequence

from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.sink.worker import Sink

TOPIC = "id.pin"
GROUP = "sink"
_DEADLINE_SECONDS = 20.0


class Clock:
    """Seconds that pass only when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def milliseconds(self) -> int:
        return 1_700_000_000_000 + int(self.now * 1000)


def append(log: EventLog, *values: bytes | None) -> None:
    log.append(TOPIC, [Record(value, partition=0) for value in values]).result()


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b'{"ind":%d}' % number for number in range(start, start + count)]


def objects(store: ObjectStore, folder: str = "topics") -> dict[str, bytes]:
    return {found.key: store.get(found.key) for found in sorted(store.list(folder), key=lambda one: one.key)}


def landed(store: ObjectStore) -> list[list[int]]:
    """The offsets of each object, object by object."""
    return [
        [json.loads(line)["_offset"] for line in content.splitlines()] for content in objects(store).values()
    ]


def until(condition: Callable[[], bool], sinks: Sequence[Sink]) -> None:
    """Step the sinks until a condition holds."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the sinks did not come so far"
        for sink in sinks:
            sink.step(0.01)


def committed(log: EventLog) -> int:
    return log.committed(GROUP, TOPIC).get(0, 0)
