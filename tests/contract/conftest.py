"""The homes of the event log that the contract suite runs on."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from pinterest_pipeline.broker.node import Node
from pinterest_pipeline.config import GatewaySettings, KafkaSettings
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.eventlog.kafka import KafkaEventLog
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from tests.asking import Asking, OpenGateway

MAX_RECORD_BYTES = 4_096

Opener = Callable[[], EventLog]
PIN, GEO = "124df56aef51.pin", "124df56aef51.geo"


def _sqlite(request: pytest.FixtureRequest, folder: Path) -> Opener:
    return lambda: SqliteEventLog(folder / "log.sqlite", kafka_partition, MAX_RECORD_BYTES)


def _streams(request: pytest.FixtureRequest, folder: Path) -> Opener:
    return lambda: SqliteStreamLog(folder / "log.sqlite", MAX_RECORD_BYTES)


def _kafka(request: pytest.FixtureRequest, folder: Path) -> Opener:
    node: Node = request.getfixturevalue("kafka_broker")

    def opener() -> KafkaEventLog:
        return KafkaEventLog(
            node.address, KafkaSettings(), kafka_partition, MAX_RECORD_BYTES, folder / "intents.sqlite"
        )

    _empty(node.address, opener())
    return opener


def _empty(address: str, log: KafkaEventLog) -> None:
    """Take away what earlier tests left in the broker that all tests share."""
    with closing(log):
        for topic in log.topics():
            log.delete(topic)
        groups = log.groups()
    if groups:
        admin = AdminClient({"bootstrap.servers": address})
        for deleted in admin.delete_consumer_groups(groups).values():
            deleted.exception(10)


HOMES: dict[str, Callable[[pytest.FixtureRequest, Path], Opener]] = {
    "sqlite": _sqlite,
    "streams": _streams,
    "kafka": _kafka,
}
_MARKS = {"kafka": [pytest.mark.services]}


@pytest.fixture(params=[pytest.param(name, marks=_MARKS.get(name, [])) for name in sorted(HOMES)])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens one more instance of the same log, for records of up to 4,096 bytes; all closed afterwards."""
    opened: list[EventLog] = []
    home = HOMES[request.param](request, tmp_path)

    def opener() -> EventLog:
        opened.append(home())
        return opened[-1]

    yield opener
    for log in opened:
        log.close()


@pytest.fixture
def log(open_log: Opener) -> EventLog:
    """An empty log."""
    return open_log()


@pytest.fixture
def open_gateway(log: EventLog, tmp_path: Path) -> Iterator[OpenGateway]:
    """One more gateway over the log and the same instances; each may be the only one that is left."""
    stores: list[ConsumerStore] = []
    streams = SqliteStreamLog(tmp_path / "streams.sqlite", MAX_RECORD_BYTES)

    def opener(timeout_seconds: float = 300.0) -> Asking:
        stores.append(ConsumerStore(tmp_path / "gateway", timeout_seconds))
        return Asking(create_app(GatewaySettings(), log, streams, consumers=stores[-1]))

    yield opener
    for store in stores:
        store.close()
    streams.close()


@pytest.fixture
def gateway(log: EventLog, open_gateway: OpenGateway) -> Asking:
    """A gateway; the topic PIN has one partition, GEO has four."""
    log.create(PIN, 1)
    log.create(GEO, 4)
    return open_gateway()
