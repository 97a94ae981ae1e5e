"""A member of a consumer group: the brokers share out the partitions and fence whoever was away too long."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pinterest_pipeline.errors import Fenced, Unavailable, UnknownTopic
from pinterest_pipeline.eventlog.base import Part, StoredRecord
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_errors import UNKNOWN_TOPIC, translated
from pinterest_pipeline.eventlog.kafka_reader import READER, stored

_PASSING: Final = {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE}
_LOGIN_CHECK_SECONDS: Final = 0.5


class KafkaSubscription:
    """A Subscription of eventlog/base.py; commits are fenced by the generation of the group."""

    def __init__(self, clients: Clients, group: str, topics: Sequence[str]) -> None:
        self._clients = clients
        self._held: set[Part] = set()
        self._closed = False
        self._consumer: Consumer = clients.consumer(
            {
                **READER,
                "group.id": group,
                "partition.assignment.strategy": "cooperative-sticky",
                "auto.offset.reset": "earliest",
                "heartbeat.interval.ms": 1_000,  # how soon members learn that partitions are shared anew
                "session.timeout.ms": 10_000,  # how long the partitions of a killed member lie idle
            }
        )
        self._consumer.subscribe(
            list(topics), on_assign=self._given, on_revoke=self._taken, on_lost=self._taken
        )

    def poll(self, max_records: int, seconds: float) -> dict[Part, list[StoredRecord]]:
        self._check_open()
        found: dict[Part, list[StoredRecord]] = {}
        first = self._first(seconds)
        if first is None:
            return found
        messages = [first]
        if max_records > 1:
            messages += self._consumer.consume(max_records - 1, 0)
        for message in messages:
            if message.error() is not None:
                self._note(message)
                continue
            record = stored(message)
            part = (message.topic() or "", record.partition)
            if part in self._held:
                found.setdefault(part, []).append(record)
        return found

    def _first(self, seconds: float) -> Message | None:
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            message = self._consumer.poll(max(0.0, min(left, _LOGIN_CHECK_SECONDS)))
            if message is not None and message.error() is None:
                return message
            if message is not None:
                self._note(message)
            self._clients.check()
            if left <= 0:
                return None

    def _note(self, message: Message) -> None:
        """What the client tells in place of a record."""
        error = message.error()
        assert error is not None
        if error.code() == KafkaError._MAX_POLL_EXCEEDED:
            self._held.clear()
        elif error.code() in UNKNOWN_TOPIC:
            raise UnknownTopic(message.topic() or "")
        elif error.code() not in _PASSING:
            raise translated(error, message.topic() or "", self._clients.name)

    def held(self) -> frozenset[Part]:
        return frozenset(self._held)

    def seek(self, part: Part, offset: int) -> None:
        self._check_held([part])
        try:
            self._consumer.seek(TopicPartition(*part, offset))
        except KafkaException as error:
            raise translated(error.args[0], part[0], self._clients.name) from None

    def pause(self, parts: Sequence[Part]) -> None:
        self._check_held(parts)
        self._consumer.pause([TopicPartition(*part) for part in parts])

    def resume(self, parts: Sequence[Part]) -> None:
        self._check_open()
        self._consumer.resume([TopicPartition(*part) for part in parts if part in self._held])

    def commit(self, positions: Mapping[Part, int]) -> None:
        self._check_held(positions)
        if not positions:
            return
        offsets = [TopicPartition(*part, offset) for part, offset in positions.items()]
        try:
            committed = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            raise translated(error.args[0], kafka=self._clients.name) from None
        for part in committed or ():
            if part.error is not None:
                raise translated(part.error, part.topic, self._clients.name)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._held.clear()
            self._consumer.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the subscription is closed")

    def _check_held(self, parts: Iterable[Part]) -> None:
        for topic, partition in parts:
            if (topic, partition) not in self._held:
                raise Fenced(
                    f"partition {partition} of '{topic}' is not ours", "poll on; the group says what is"
                )

    def _given(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        self._held.update((part.topic, part.partition) for part in parts)

    def _taken(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        self._held.difference_update((part.topic, part.partition) for part in parts)
