"""Hands records to librdkafka and gathers what became of each.

One producer, idempotent, with acks=all. One thread of ours polls it.
"""

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from operator import attrgetter
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pinterest_pipeline.eventlog.base import Receipt, Record, Refusal
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_errors import UNKNOWN_TOPIC, refusal
from pinterest_pipeline.eventlog.kafka_request import GONE, Request

_POLL_SECONDS: Final = 0.1
_REFRESH_SECONDS: Final = 5.0
_HEADER_ROOM: Final = 2**18
_UNTOLD: Final = Refusal("not_acknowledged", "Kafka keeps the record but does not say where")
_offset: Final = attrgetter("offset")
_GONE_CODES: Final = UNKNOWN_TOPIC | {KafkaError._UNKNOWN_PARTITION}

_Content = tuple[bytes | None, bytes | None]
"""Value and key."""


class Sender:
    """Sends requests whose partitions are chosen; `done` is told of each, by the thread that polls.

    Raises SettingError for settings that the client refuses of a producer.
    """

    def __init__(self, clients: Clients, max_record_bytes: int, done: Callable[[Request], None]) -> None:
        self._clients = clients
        self._max_record_bytes = max_record_bytes
        self._done = done
        self._finished: deque[Request] = deque()
        self._refused_here: deque[tuple[Delivery, Record, KafkaError]] = deque()
        self._stop = False
        self._thread = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)
        self._made().close()  # what the client refuses is refused now, not with the first append

    def _made(self) -> Producer:
        settings = self._clients.settings
        return self._clients.producer(
            {
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 1,  # batches across requests, at no cost that a caller feels
                "message.timeout.ms": int(settings.delivery_seconds * 1_000),
                "message.max.bytes": self._max_record_bytes + _HEADER_ROOM,
                "queue.buffering.max.messages": 0,  # bytes are bounded, here
                "queue.buffering.max.kbytes": 2**31 - 1,
                # The topic was there a moment ago: one that the brokers deny is gone.
                "topic.metadata.propagation.max.ms": 2_000,
            }
        )

    @cached_property
    def _producer(self) -> Producer:
        """Made with the first append: most logs are opened to be read."""
        producer = self._made()
        self._thread.start()
        return producer

    def learn(self, topic: str) -> None:
        """Have the client ask for the partitions of a topic that is not what it was."""
        with suppress(KafkaException):
            self._producer.list_topics(topic, timeout=_REFRESH_SECONDS)

    def send(self, request: Request) -> bool:
        """Send what has no outcome yet; True when nothing has to be sent. One thread at a time."""
        deliveries = self._deliveries(request)
        request.left = len(deliveries)
        for delivery in deliveries:
            self._produce(delivery)
        return not deliveries

    def _deliveries(self, request: Request) -> list["Delivery"]:
        """What has to be sent: the records of a partition together, if their content is all there is of them.

        One with headers or a time of its own may not stand for another one of the same content.
        """
        outcomes, finished = request.outcomes, self._finished
        is_plain = not any(record.headers or record.timestamp is not None for record in request.records)
        deliveries: list[Delivery] = []
        of_partition: dict[int, list[int]] = {}
        for index, place in enumerate(request.places):
            if outcomes[index] is not None:
                continue
            if place in of_partition and is_plain:
                of_partition[place].append(index)
            elif isinstance(place, Refusal):
                outcomes[index] = place
            else:
                of_partition[place] = [index]
                deliveries.append(Delivery(request, place, of_partition[place], finished))
        return deliveries

    def _produce(self, delivery: "Delivery") -> None:
        """One by one: `produce_batch` takes neither headers nor times, and is no faster."""
        produce, partition = self._producer.produce, delivery.partition
        topic, records = delivery.request.topic, delivery.request.records
        for index in delivery.indexes:
            record = records[index]
            try:
                if record.headers or record.timestamp is not None:
                    produce(topic, record.value, record.key, partition, delivery, **_further(record))
                else:
                    produce(topic, record.value, record.key, partition, delivery)
            except Exception as error:  # whatever the client dislikes, its record is answered for
                self._refused_here.append((delivery, record, _kafka_error(error)))

    # What became of it

    def _poll(self) -> None:
        poll = self._producer.poll
        while not self._stop:
            poll(_POLL_SECONDS)
            while self._refused_here:
                delivery, record, error = self._refused_here.popleft()
                delivery.refuse(record.value, record.key, error)
            while self._finished:
                self._done(self._finished.popleft())

    def close(self) -> None:
        """Stop polling; nothing may be under way any more."""
        self._stop = True
        if self._thread.is_alive():
            self._thread.join()
            self._producer.close()  # its threads end here, and not where the garbage collector meets it


class Delivery:
    """Told what became of those records of a request that go to one partition together.

    The request goes to `finished` when all its deliveries are over. The client says the offset and the
    content of a record, not its index. In a partition an idempotent producer's offsets rise in the order of
    sending, which gives the receipts their places; and a refused record is found by its content, where
    records that are alike may stand for each other.
    """

    __slots__ = ("_finished", "_receipts", "_refused", "indexes", "partition", "request")

    def __init__(
        self, request: Request, partition: int, indexes: list[int], finished: deque[Request]
    ) -> None:
        self.request = request
        self.partition = partition
        self.indexes = indexes
        """Of its records in the request."""
        self._finished = finished
        self._receipts: list[Receipt] = []
        self._refused: list[tuple[_Content, Refusal]] = []

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        offset = message.offset()
        if error is None and offset is not None:
            self._receipts.append(Receipt(self.partition, offset, message.timestamp()[1]))
            self._settle()
        else:
            self.refuse(message.value(), message.key(), error)

    def refuse(self, value: bytes | None, key: bytes | None, error: KafkaError | None) -> None:
        """Note what Kafka has against a record of this content; None: it is there, but nobody says where."""
        if error is not None and error.code() in _GONE_CODES:
            refused = GONE
        else:
            refused = _UNTOLD if error is None else refusal(error)
        self._refused.append(((value, key), refused))
        self._settle()

    def _settle(self) -> None:
        """Give each record its outcome once all are known."""
        if len(self._receipts) + len(self._refused) < len(self.indexes):
            return
        outcomes = self.request.outcomes
        received = sorted(self._receipts, key=_offset)
        for index, receipt in zip(self._received(), received, strict=True):
            outcomes[index] = receipt
        self.request.left -= 1
        if not self.request.left:
            self._finished.append(self.request)

    def _received(self) -> list[int]:
        """The indexes of what was not refused, in order; what was refused gets its outcome."""
        if not self._refused:
            return self.indexes
        records, outcomes = self.request.records, self.request.outcomes
        alike: defaultdict[_Content, deque[int]] = defaultdict(deque)
        for index in self.indexes:
            alike[records[index].value, records[index].key].append(index)
        for content, refused in self._refused:
            outcomes[alike[content].popleft()] = refused
        return sorted(index for indexes in alike.values() for index in indexes)


def _further(record: Record) -> dict[str, Any]:
    """Named only where there is something to say: an empty list of headers takes as long as all else."""
    further: dict[str, Any] = {}
    if record.headers:
        further["headers"] = list(record.headers)
    if record.timestamp is not None:
        further["timestamp"] = record.timestamp
    return further


def _kafka_error(error: Exception) -> KafkaError:
    if isinstance(error, KafkaException):
        found: KafkaError = error.args[0]
        return found
    code = KafkaError._QUEUE_FULL if isinstance(error, BufferError) else KafkaError._INVALID_ARG
    return KafkaError(code, str(error))
