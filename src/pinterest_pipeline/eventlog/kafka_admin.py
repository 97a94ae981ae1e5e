"""Topics, groups and positions of a cluster, asked and changed through its admin API."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar

from confluent_kafka import (
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    ConfigSource,
    NewTopic,
    OffsetSpec,
    TopicMetadata,
)
from confluent_kafka.admin import TopicDescription as KafkaTopic

from pinterest_pipeline.errors import Forbidden, TopicExists, Unavailable, UnknownTopic
from pinterest_pipeline.eventlog.base import (
    Cluster,
    Part,
    PartitionDescription,
    TopicDescription,
)
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_errors import PASSING, no_answer, translated

T = TypeVar("T")

INTERNAL: Final = "__"
"""Kafka's own topics begin so: for us they are not there."""
_NAME: Final = re.compile(rf"(?!{INTERNAL})[a-zA-Z0-9._-]{{1,249}}")
"""The client would cut a name at a NUL, and ask for another topic."""
_LOGIN_CHECK_SECONDS: Final = 0.1
_SETTLED_SECONDS: Final = 30.0
_LISTING_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.05
_COORDINATOR_SECONDS: Final = 600.0
"""The time that librdkafka gives a request to the coordinator of a group."""


class Admin:
    """Asks the brokers and waits for the answer, `seconds` at most. Any thread may use it.

    Each method raises Unavailable when no broker answers, and Forbidden.
    """

    def __init__(self, clients: Clients, seconds: float) -> None:
        self._clients = clients
        self.client: AdminClient = clients.admin()
        self.seconds = seconds
        self.kafka = clients.name
        self._lock = threading.Lock()
        self._replaced: list[tuple[float, AdminClient]] = []
        self._asking = 0

    # Topics

    def found(self, topic: str) -> KafkaTopic:
        """A topic as the brokers know it at this moment; raises UnknownTopic."""
        _check_name(topic)
        asked = TopicCollection([topic])
        known: KafkaTopic = self.answer(
            lambda: self.client.describe_topics(asked, request_timeout=self.seconds)[topic], topic
        )
        return known

    def describe(self, topic: str) -> TopicDescription:
        known = self.found(topic)
        layout = tuple(
            PartitionDescription(
                part.id,
                -1 if part.leader is None else part.leader.id,
                tuple(broker.id for broker in part.replicas),
                tuple(broker.id for broker in part.isr),
            )
            for part in sorted(known.partitions, key=lambda part: part.id)
        )
        return TopicDescription(topic, str(known.topic_id), layout, configs=self.configs(topic))

    def configs(self, topic: str, *, defaults: bool = False) -> dict[str, str]:
        """Settings of a topic that somebody set, or all of them; none when we may not ask."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        try:
            entries = self.answer(
                lambda: self.client.describe_configs([resource], request_timeout=self.seconds)[resource],
                topic,
            )
        except Forbidden:
            return {}
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return {
            name: entry.value
            for name, entry in entries.items()
            if entry.value is not None and (defaults or entry.source == own)
        }

    def topics(self) -> list[str]:
        return sorted(self._listed())

    def parts(self) -> list[Part]:
        """Every partition of every topic."""
        return [(name, number) for name, topic in self._listed().items() for number in topic.partitions]

    def _listed(self) -> dict[str, TopicMetadata]:
        left = self.seconds
        while True:
            seconds = min(left, _LISTING_SECONDS)
            left -= seconds
            try:
                known = self.client.list_topics(timeout=seconds).topics
            except KafkaException as error:
                self.client.poll(0)
                self._clients.check()
                if left <= 0:
                    raise translated(error.args[0], kafka=self.kafka) from None
            else:
                return {name: topic for name, topic in known.items() if not name.startswith(INTERNAL)}

    def create(self, topic: str, partitions: int, replication: int, configs: Mapping[str, str]) -> None:
        """Create a topic and wait until its partitions have leaders; `replication` -1 is the cluster's.

        The controller knows of a topic before the brokers do: one that exists already is waited for, too.
        """
        new = NewTopic(topic, partitions, replication, config=dict(configs))
        try:
            self.answer(lambda: self.client.create_topics([new], request_timeout=self.seconds)[topic], topic)
        except TopicExists:
            self._settle_new(topic)
            raise
        self._settle_new(topic)

    def _settle_new(self, topic: str) -> None:
        self._settle(lambda: self._has_leaders(topic), f"the new topic '{topic}' has no leaders yet")

    def delete(self, topic: str) -> None:
        _check_name(topic)
        self.answer(lambda: self.client.delete_topics([topic], request_timeout=self.seconds)[topic], topic)
        self._settle(lambda: not self._exists(topic), f"the deleted topic '{topic}' is still there")

    def _exists(self, topic: str) -> bool:
        try:
            self.found(topic)
        except UnknownTopic:
            return False
        return True

    def _has_leaders(self, topic: str) -> bool:
        try:
            return all(part.leader is not None for part in self.found(topic).partitions)
        except UnknownTopic:  # the broker that we asked has not heard of it
            return False

    def _settle(self, is_settled: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _SETTLED_SECONDS
        while not is_settled():
            if time.monotonic() > deadline:
                raise Unavailable(otherwise, "try again")
            time.sleep(0.02)

    def cluster(self) -> Cluster:
        known = self.answer(lambda: self.client.describe_cluster(request_timeout=self.seconds))
        brokers = tuple(sorted(node.id for node in known.nodes))
        return Cluster(known.cluster_id, brokers, known.controller.id if known.controller else -1)

    # Offsets

    def beginnings(self, topic: str) -> dict[int, int]:
        return self._known(topic, self._parts(topic), OffsetSpec.earliest())

    def ends(self, topic: str) -> dict[int, int]:
        return self._known(topic, self._parts(topic), OffsetSpec.latest())

    def offsets_at(self, topic: str, timestamp: int) -> dict[int, int]:
        # For Kafka a time before 1970 is no time: -1 is the end of a partition.
        parts, which = self._parts(topic), OffsetSpec.for_timestamp(max(0, timestamp))
        found = self._asked_offsets(topic, parts, which)
        if min(found.values()) < 0:  # that is: none so late, or not told; told apart by asking again
            found = self._asked_offsets(topic, parts, which)
        if min(found.values()) >= 0:
            return found
        ends = self.ends(topic)
        return {part: offset if offset >= 0 else ends[part] for part, offset in found.items()}

    def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """Beginning and end of one partition; raises UnknownTopic also when it lacks this partition."""
        low = self._known(topic, [partition], OffsetSpec.earliest())
        return low[partition], self.end(topic, partition)

    def end(self, topic: str, partition: int) -> int:
        return self._known(topic, [partition], OffsetSpec.latest())[partition]

    def _parts(self, topic: str) -> list[int]:
        return sorted(part.id for part in self.found(topic).partitions)

    def _asked_offsets(self, topic: str, parts: list[int], which: OffsetSpec) -> dict[int, int]:
        def ask() -> "Future[dict[int, int]]":
            asked = {TopicPartition(topic, part): which for part in parts}
            return _gathered(self.client.list_offsets(asked, request_timeout=self.seconds))

        found = self.answer(ask, topic)
        return {part: found[part] for part in parts}

    def _known(self, topic: str, parts: list[int], which: OffsetSpec) -> dict[int, int]:
        """Beginnings or ends, which every partition has.

        The client says -1, and no error, of one that it was not told because its connection was closed, as
        brokers do when a token ends.
        """
        deadline = time.monotonic() + self.seconds
        while min((found := self._asked_offsets(topic, parts, which)).values()) < 0:
            if time.monotonic() > deadline:
                raise Unavailable(f"{self.kafka} does not say where '{topic}' ends", "try again")
            time.sleep(_PAUSE_SECONDS)
        return found

    def answer(self, ask: "Callable[[], Future[T]]", what: str = "") -> T:
        """The answer to a request; asked again while leaders change, within the time that an answer has."""
        deadline = time.monotonic() + self.seconds + 1
        while True:
            try:
                answer = self._awaited(ask(), deadline)
            except KafkaException as error:
                self.client.poll(0)
                self._clients.check()
                if error.args[0].code() not in PASSING or time.monotonic() > deadline:
                    raise translated(error.args[0], what, self.kafka) from None
                time.sleep(_PAUSE_SECONDS)
            else:
                self._clients.admitted()
                return answer

    def of_coordinator(self, ask: "Callable[[AdminClient, float], Future[T]]", what: str) -> T:
        """As `answer`, for what the coordinator of a group is asked, with a client and the time it has.

        librdkafka ends the whole process when such a request reaches its time or its client is closed under
        it (https://github.com/confluentinc/librdkafka/issues/4605). So none is made while the brokers are
        away, each is given up here long before its time, and its client is kept until then.
        """
        self.cluster()
        with self._lock:
            asked = self.client
            self._asking += 1
        try:
            return self.answer(lambda: ask(asked, _COORDINATOR_SECONDS), what)
        except Unavailable:
            self._replace(asked)
            raise
        finally:
            with self._lock:
                self._asking -= 1

    def close(self) -> None:
        """End the client's threads, unless one waits for a coordinator.

        Left to the garbage collector, a client could be collected by its own thread, that asks for a token:
        librdkafka ends the process then.
        """
        with self._lock:
            if not self._asking:
                with self.client:  # it has no other way to be closed
                    pass

    def _replace(self, client: AdminClient) -> None:
        """A client whose coordinator was killed never asks it again, though it is back."""
        with self._lock:
            if client is not self.client:  # another thread has just done it
                return
            now = time.monotonic()
            kept = [known for known in self._replaced if now - known[0] < 2 * _COORDINATOR_SECONDS]
            self._replaced = [*kept, (now, client)]
            self.client = self._clients.admin()

    def _awaited(self, asked: "Future[T]", deadline: float) -> T:
        """What came of a request; a refused login ends the wait."""
        while True:
            with suppress(TimeoutError):
                return asked.result(_LOGIN_CHECK_SECONDS)
            self.client.poll(0)  # where the client tells of a refused login
            self._clients.check()
            if time.monotonic() > deadline:
                raise no_answer(self.kafka)


def _check_name(topic: str) -> None:
    if not _NAME.fullmatch(topic):
        raise UnknownTopic(topic)


def _gathered(asked: "Mapping[TopicPartition, Future[Any]]") -> "Future[dict[int, int]]":
    """One future with the offsets of all partitions; it fails as the first that fails."""
    together: Future[dict[int, int]] = Future()

    def note(_: "Future[Any]") -> None:
        if all(future.done() for future in asked.values()) and not together.done():
            problem = next((found for future in asked.values() if (found := future.exception())), None)
            if problem is not None:
                together.set_exception(problem)
            else:
                together.set_result(
                    {part.partition: future.result().offset for part, future in asked.items()}
                )

    for future in asked.values():
        future.add_done_callback(note)
    return together
