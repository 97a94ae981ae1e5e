"""The working folder: what lies where in it, and who may work in it."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from pinterest_pipeline.broker.node import Node, node_address
from pinterest_pipeline.config import OWN_S3, Settings
from pinterest_pipeline.engines.base import Engine
from pinterest_pipeline.engines.duckdb import DuckDBEngine
from pinterest_pipeline.engines.spark import SparkEngine
from pinterest_pipeline.errors import AlreadyRunning, MissingPart, Unavailable
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.stream_log import StreamLog
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.store import open_store
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import TABLES, Branch
from pinterest_pipeline.records.names import Table as TableName
from pinterest_pipeline.s3server.address import object_settings
from pinterest_pipeline.tables.delta import Table, Upkeep

_READ_RECORDS = 5_000
_log = structlog.get_logger("engine")


@dataclass(frozen=True)
class Workspace:
    """What lies where in the working folder."""

    settings: Settings

    @property
    def root(self) -> Path:
        return self.settings.data

    @property
    def receipts(self) -> Path:
        return self.root / "receipts"

    @property
    def spill(self) -> Path:
        return self.root / "spill"

    @property
    def s3(self) -> Path:
        """The folder of an S3 server of our own."""
        return self.root / "s3"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def topics_log(self) -> EventLog:
        if self.settings.log.home == "kafka":
            return self._kafka_log()
        self.root.mkdir(parents=True, exist_ok=True)
        settings = self.settings.log
        return SqliteEventLog(
            self.root / "topics.sqlite",
            kafka_partition,
            settings.max_record_bytes,
            session_seconds=settings.session_seconds,
        )

    def streams_log(self) -> StreamLog:
        if self.settings.log.streams_home == "kinesis":
            return self._kinesis_log()
        self.root.mkdir(parents=True, exist_ok=True)
        settings = self.settings
        return SqliteStreamLog(
            self.root / "streams.sqlite",
            settings.log.max_record_bytes,
            settings.log.session_seconds,
            settings.kinesis.transition_seconds,
            settings.kinesis.shard_limits,
        )

    def objects(self) -> ObjectStore:
        settings = self.settings.objects
        if settings.url == OWN_S3:
            settings = object_settings(self.s3, settings)
        return open_store(settings, self.root / "objects")

    def table(self, branch: Branch, table: TableName) -> Table:
        return self._table(branch, names.delta_table(branch, self.settings.pipeline_id, table))

    def quarantine(self, branch: Branch) -> Table:
        return self._table(branch, names.QUARANTINE)

    def has_tables(self, branch: Branch) -> bool:
        """Whether all three tables of a branch are there."""
        return all(self.table(branch, table).exists() for table in TABLES)

    def engine(self) -> Engine:
        _sweep(self.spill)
        settings = self.settings
        if settings.engine.name == "spark":
            return SparkEngine(settings.engine, settings.cache, self.spill, _log.info)
        return DuckDBEngine(settings.engine, self.spill)

    @contextmanager
    def only_one(self, what: str) -> Iterator[None]:
        """Hold the lock of `what`; raises AlreadyRunning when another has it. A dead holder frees it."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f"{what}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(
                    f"another '{what}' works in {self.root}",
                    "stop it first, or name another folder by PINPIPE_DATA",
                ) from None
            yield

    @property
    def kafka(self) -> Path:
        """The folder of our own Kafka node."""
        return self.root / "kafka"

    def kafka_node(self) -> Node:
        return Node(self.kafka.absolute(), self.settings.cache, self.settings.kafka.port)

    def _kafka_log(self) -> EventLog:
        try:
            from pinterest_pipeline.eventlog.kafka import KafkaEventLog
        except ImportError:
            raise MissingPart("the client of Kafka is not installed", "kafka") from None
        settings = self.settings.kafka
        address = settings.bootstrap_servers or node_address(self.kafka)
        if address is None and not settings.port:
            raise Unavailable(
                f"no Kafka node was ever started in {self.root}",
                "start one: pinpipe kafka; or name brokers by PINPIPE_KAFKA__BOOTSTRAP_SERVERS",
            )
        address = address or f"127.0.0.1:{settings.port}"
        intents = self.root / "gateway" / "idempotency.sqlite"
        return KafkaEventLog(address, settings, kafka_partition, self.settings.log.max_record_bytes, intents)

    def _kinesis_log(self) -> StreamLog:
        try:
            from pinterest_pipeline.eventlog.kinesis import KinesisStreamLog
        except ImportError:
            raise MissingPart("the client of Kinesis (boto3) is not installed", "aws") from None
        return KinesisStreamLog(self.settings.kinesis, self.settings.log.max_record_bytes)

    def _table(self, branch: Branch, name: str) -> Table:
        settings = self.settings.tables
        upkeep = Upkeep(settings.keep_minutes * 60, settings.log_minutes * 60)
        return Table(self.root / "tables" / branch / name, upkeep)


def _sweep(spill: Path) -> None:
    """Remove what processes that were killed left behind; a name's second part is its process id."""
    for path in spill.glob("*-*-*"):
        pid = path.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            # Another process may sweep too, and be ahead.
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
