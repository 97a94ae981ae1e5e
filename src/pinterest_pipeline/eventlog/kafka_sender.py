"""Hands records to librdkafka and gathers what became of each.

One producer, idempotent, with acks=all. One thread of ours polls it; the callbacks of a request's records
share one counter.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pinterest_pipeline.eventlog.base import Receipt, Refusal
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_errors import UNKNOWN_TOPIC, refusal
from pinterest_pipeline.eventlog.kafka_request import GONE, Request

_POLL_SECONDS: Final = 0.1
_REFRESH_SECONDS: Final = 5.0
_HEADER_ROOM: Final = 2**18
_UNTOLD: Final = Refusal("not_acknowledged", "Kafka keeps the record but does not say where")
_GONE_CODES: Final = UNKNOWN_TOPIC | {KafkaError._UNKNOWN_PARTITION}


class Sender:
    """Sends requests whose partitions are chosen; `done` is told of each, by the thread that polls."""

    def __init__(self, clients: Clients, max_record_bytes: int, done: Callable[[Request], None]) -> None:
        self._clients = clients
        self._max_record_bytes = max_record_bytes
        self._done = done
        self._finished: deque[Request] = deque()
        self._refused_here: deque[tuple[_Delivery, KafkaError]] = deque()
        self._stop = False
        self._thread = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)

    @cached_property
    def _producer(self) -> Producer:
        """Made with the first append: most logs are opened to be read."""
        settings = self._clients.settings
        producer = self._clients.producer(
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
        self._thread.start()
        return producer

    def learn(self, topic: str) -> None:
        """Have the client ask for the partitions of a topic that is not what it was."""
        with suppress(KafkaException):
            self._producer.list_topics(topic, timeout=_REFRESH_SECONDS)

    def send(self, request: Request) -> bool:
        """Send what has no outcome yet; True when nothing has to be sent. One thread at a time."""
        places, outcomes = request.places, request.outcomes
        for index, place in enumerate(places):
            if isinstance(place, Refusal):
                outcomes[index] = place
        request.left = outcomes.count(None)
        if not request.left:
            return True
        if len(outcomes) > 1 and all(
            record.timestamp is None and not record.headers for record in request.records
        ):
            self._send_plain(request, places)
        else:
            self._send_each(request, places)
        return False

    def _send_plain(self, request: Request, places: Sequence[int | Refusal]) -> None:
        """All records of a partition in one call, which takes neither headers nor times: half the time."""
        groups: dict[int, list[dict[str, Any]]] = {}
        outcomes, finished = request.outcomes, self._finished
        for index, (record, place) in enumerate(zip(request.records, places, strict=True)):
            if outcomes[index] is None and type(place) is int:
                done = _Delivery(request, index, finished)
                groups.setdefault(place, []).append(
                    {"value": record.value, "key": record.key, "callback": done}
                )
        for partition, messages in groups.items():
            if self._producer.produce_batch(request.topic, messages, partition) < len(messages):
                self._refused_here.extend(
                    (message["callback"], message["_error"]) for message in messages if "_error" in message
                )

    def _send_each(self, request: Request, places: Sequence[int | Refusal]) -> None:
        now = time.time_ns() // 1_000_000
        produce, outcomes, finished = self._producer.produce, request.outcomes, self._finished
        for index, (record, place) in enumerate(zip(request.records, places, strict=True)):
            if outcomes[index] is not None or isinstance(place, Refusal):
                continue
            done = _Delivery(request, index, finished)
            when: int = record.timestamp or now
            headers: list[Any] = list(record.headers)
            try:
                produce(request.topic, record.value, record.key, place, done, timestamp=when, headers=headers)
            except Exception as error:  # whatever the client dislikes, its record is answered for
                self._refused_here.append((done, _kafka_error(error)))

    # What became of it

    def _poll(self) -> None:
        poll = self._producer.poll
        while not self._stop:
            poll(_POLL_SECONDS)
            while self._refused_here:
                done, error = self._refused_here.popleft()
                done(error, None)
            while self._finished:
                self._done(self._finished.popleft())

    def close(self) -> None:
        """Stop polling; nothing may be under way any more."""
        self._stop = True
        if self._thread.is_alive():
            self._thread.join()
            self._producer.close()  # its threads end here, and not where the garbage collector meets it


class _Delivery(msgspec.Struct, frozen=True, gc=False):
    """Told what became of the record at `index` of a request; requests that are over go to `finished`.

    There is one for each record that waits. They are in no cycle, so the garbage collector passes them over.
    """

    request: Request
    index: int
    finished: deque[Request]

    def __call__(self, error: KafkaError | None, message: Message | None) -> None:
        request, index = self.request, self.index
        if error is not None:
            request.outcomes[index] = GONE if error.code() in _GONE_CODES else refusal(error)
        elif message is not None:
            offset = message.offset()
            request.outcomes[index] = (
                _UNTOLD if offset is None else Receipt(request.places[index], offset, message.timestamp()[1])
            )
        request.left -= 1
        if not request.left:
            self.finished.append(request)


def _kafka_error(error: Exception) -> KafkaError:
    if isinstance(error, KafkaException):
        found: KafkaError = error.args[0]
        return found
    code = KafkaError._QUEUE_FULL if isinstance(error, BufferError) else KafkaError._INVALID_ARG
    return KafkaError(code, str(error))
