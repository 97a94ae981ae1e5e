"""The homes of the event log that the contract suite runs on."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest
from confluent_kafka.admin import AdminClient

from pinterest_pipeline.broker.node import Node
from pinterest_pipeline.config import GatewaySettings, KafkaSettings
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.eventlog.kafka import KafkaEventLog
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.stream_log import StreamLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from tests.asking import Asking, OpenGateway
from tests.streams_gateway import StreamsGateway

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


class StreamHome(Protocol):
    """A home of the streams: opens instances of one log, and splits and merges as others would."""

    def open(self) -> StreamLog:
        """One more instance, for records of up to 4,096 bytes."""
        ...

    def reshard(self, stream: str, shards: int) -> None:
        """Returns once the stream has so many open shards."""
        ...


class _SqliteStreams:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "streams.sqlite"

    def open(self) -> StreamLog:
        return SqliteStreamLog(self._path, MAX_RECORD_BYTES)

    def reshard(self, stream: str, shards: int) -> None:
        with closing(SqliteStreamLog(self._path, MAX_RECORD_BYTES)) as log:
            log.update_shard_count(stream, shards)


class _KinesisStreams:
    def __init__(self, gateway: StreamsGateway) -> None:
        self._gateway = gateway

    def open(self) -> StreamLog:
        return self._gateway.log(max_record_bytes=MAX_RECORD_BYTES)

    def reshard(self, stream: str, shards: int) -> None:
        client = self._gateway.client
        client.update_shard_count(StreamName=stream, TargetShardCount=shards, ScalingType="UNIFORM_SCALING")
        asked = {"Delay": 0, "MaxAttempts": 10_000}  # 18 of the usual are over before a stream is ready
        client.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig=asked)


@pytest.fixture(params=["sqlite", pytest.param("kinesis", marks=pytest.mark.services)])
def stream_home(request: pytest.FixtureRequest, tmp_path: Path) -> StreamHome:
    """A home without a stream."""
    if request.param == "sqlite":
        return _SqliteStreams(tmp_path)
    gateway: StreamsGateway = request.getfixturevalue("streams_of_a_gateway")
    gateway.empty()
    return _KinesisStreams(gateway)


@pytest.fixture
def open_streams(stream_home: StreamHome) -> Iterator[Callable[[], StreamLog]]:
    """Opens one more instance of the same streams; all are closed afterwards."""
    opened: list[StreamLog] = []

    def opener() -> StreamLog:
        opened.append(stream_home.open())
        return opened[-1]

    yield opener
    for log in opened:
        log.close()


@pytest.fixture
def streams(open_streams: Callable[[], StreamLog]) -> StreamLog:
    """No stream is in it."""
    return open_streams()


@pytest.fixture
def open_gateway(log: EventLog, tmp_path: Path) -> Iterator[OpenGateway]:
    """One more gateway over the log and the same instances; each may be the only one that is left."""
    stores: list[ConsumerStore] = []
    streams = SqliteStreamLog(tmp_path / "streams.sqlite", MAX_RECORD_BYTES)

    def opener() -> Asking:
        stores.append(ConsumerStore(tmp_path / "gateway"))
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
