"""The homes of the event log that the contract suite runs on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog

MAX_RECORD_BYTES = 4_096

Opener = Callable[[], EventLog]


def _sqlite(folder: Path) -> EventLog:
    return SqliteEventLog(folder / "log.sqlite", kafka_partition, MAX_RECORD_BYTES)


HOMES: dict[str, Callable[[Path], EventLog]] = {"sqlite": _sqlite}


@pytest.fixture(params=sorted(HOMES))
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens one more instance of the same log, for records of up to 4,096 bytes; all closed afterwards."""
    opened: list[EventLog] = []

    def opener() -> EventLog:
        opened.append(HOMES[request.param](tmp_path))
        return opened[-1]

    yield opener
    for log in opened:
        log.close()


@pytest.fixture
def log(open_log: Opener) -> EventLog:
    """An empty log."""
    return open_log()
