"""The event log on Apache Kafka, or what speaks its protocol, as Amazon MSK does."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.errors import BadInput, Unavailable
from pinterest_pipeline.eventlog.base import (
    READ_BYTES,
    Cluster,
    Group,
    Once,
    Receipt,
    Record,
    Refusal,
    StoredRecord,
    Subscription,
    TopicDescription,
)
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_groups import Groups
from pinterest_pipeline.eventlog.kafka_once import KeyedRequests
from pinterest_pipeline.eventlog.kafka_positions import Positions
from pinterest_pipeline.eventlog.kafka_producer import Appender
from pinterest_pipeline.eventlog.kafka_reader import Reader
from pinterest_pipeline.eventlog.kafka_request import Request
from pinterest_pipeline.eventlog.kafka_subscription import KafkaSubscription

_MOST_ANSWER_SECONDS: Final = 10.0
_OVERHEAD: Final = 2**16
"""Bytes of a record's headers and frame that a topic made here takes beside key and value."""
_KAFKAS_LARGEST: Final = 1_048_588


class KafkaEventLog:
    """An EventLog in the cluster of `bootstrap_servers`.

    `partitioner(key, partitions)` chooses the partition of a record that has a key; `max_record_bytes` bounds
    key and value together; `intents` is a file that remembers requests with a key, shared by all processes
    that append (see kafka_once.py). Kafka keeps the times that records come with, so that those of a
    partition may decrease; and of a topic it knows no time of creation.
    Raises SettingError for settings that the client refuses. It connects when it is first used.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        settings: KafkaSettings,
        partitioner: Callable[[bytes, int], int],
        max_record_bytes: int,
        intents: Path,
    ) -> None:
        seconds = min(settings.delivery_seconds, _MOST_ANSWER_SECONDS)
        self._replication = settings.replication or -1
        self._max_record_bytes = max_record_bytes
        self._clients = Clients(bootstrap_servers, settings)
        self._brokers = Admin(self._clients, seconds)
        self._reader = Reader(self._clients, self._brokers, seconds)
        self._positions = Positions(self._clients, seconds)
        self._appender = Appender(self._clients, self._brokers, partitioner, max_record_bytes)
        self._keyed = KeyedRequests(intents, self._appender, self._brokers, self._reader)
        self._lock = threading.Lock()
        self._subscriptions: list[KafkaSubscription] = []
        self._closed = False

    def append(
        self, topic: str, records: Sequence[Record], once: Once | None = None
    ) -> Future[list[Receipt | Refusal]]:
        request = Request(topic, records, once)
        self._appender.submit(request)
        return request.future

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int = READ_BYTES
    ) -> list[StoredRecord]:
        self._check_open()
        return self._reader.read(topic, partition, offset, max_records, max_bytes)

    def beginnings(self, topic: str) -> dict[int, int]:
        return self._admin.beginnings(topic)

    def ends(self, topic: str) -> dict[int, int]:
        return self._admin.ends(topic)

    def offsets_at(self, topic: str, timestamp: int) -> dict[int, int]:
        return self._admin.offsets_at(topic, timestamp)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        return self._groups.committed(group, topic)

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        self._groups.commit(group, topic, positions)

    def positions(self, group: str) -> dict[str, dict[int, int]]:
        return self._groups.positions(group)

    def groups(self) -> list[str]:
        return self._groups.names()

    def describe_group(self, group: str) -> Group:
        return self._groups.describe(group)

    def subscribe(self, group: str, topics: Sequence[str]) -> Subscription:
        for topic in topics:
            self._admin.found(topic)
        subscription = KafkaSubscription(self._clients, group, topics)
        with self._lock:
            self._subscriptions.append(subscription)
        return subscription

    def create(
        self,
        topic: str,
        partitions: int,
        replication: int | None = None,
        configs: Mapping[str, str] | None = None,
    ) -> None:
        if partitions < 1:
            raise BadInput(f"a topic of {partitions} partitions cannot hold anything", "ask for 1 or more")
        own = dict(configs or {})
        if self._max_record_bytes + _OVERHEAD > _KAFKAS_LARGEST:
            own.setdefault("max.message.bytes", str(self._max_record_bytes + _OVERHEAD))
        self._admin.create(topic, partitions, replication or self._replication, own)

    def delete(self, topic: str) -> None:
        self._admin.delete(topic)
        self._appender.forget(topic)

    def topics(self) -> list[str]:
        return self._admin.topics()

    def describe(self, topic: str) -> TopicDescription:
        return self._admin.describe(topic)

    def cluster(self) -> Cluster:
        return self._admin.cluster()

    def close(self) -> None:
        if self._closed:
            return
        self._appender.close()
        self._closed = True
        self._keyed.close()
        self._reader.close()
        self._positions.close()
        with self._lock:
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.close()
        self._brokers.close()

    @property
    def _admin(self) -> Admin:
        self._check_open()
        return self._brokers

    @property
    def _groups(self) -> Groups:
        return Groups(self._admin, self._positions)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the event log is closed")
