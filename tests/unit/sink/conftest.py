"""A log, a folder of objects and a sink whose clock stands still until a test moves it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.folder import FolderStore
from pinterest_pipeline.sink.rotation import Rotation
from pinterest_pipeline.sink.rules import Rules
from pinterest_pipeline.sink.shape import Shape
from pinterest_pipeline.sink.worker import Sink
from tests.unit.sink.sample import GROUP, TOPIC, Clock


@pytest.fixture
def session_seconds() -> float:
    """So short that a sink that is left behind is followed soon."""
    return 0.5


@pytest.fixture
def log(tmp_path: Path, session_seconds: float) -> Iterator[EventLog]:
    log = SqliteEventLog(tmp_path / "log.sqlite", kafka_partition, 2**20, session_seconds=session_seconds)
    log.create(TOPIC, 1)
    yield log
    log.close()


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return FolderStore(tmp_path / "objects")


@pytest.fixture
def clock() -> Clock:
    return Clock()


MakeSink = Callable[..., Sink]


@pytest.fixture
def make_sink(log: EventLog, store: ObjectStore, clock: Clock) -> Iterator[MakeSink]:
    """Makes members of one group; `shape` and what Rotation takes may be given. All are closed in the end."""
    made: list[Sink] = []

    def make(shape: Shape | None = None, own_store: ObjectStore | None = None, **bounds: float) -> Sink:
        rotation = msgspec.structs.replace(Rotation(10_000, 2**26, 10.0), **bounds)
        rules = Rules(GROUP, "test-sink", (TOPIC,), "", shape or Shape(), rotation)
        made.append(Sink(log, own_store or store, rules, 0.0, clock, clock.milliseconds))
        return made[-1]

    yield make
    for sink in made:
        sink.close()
