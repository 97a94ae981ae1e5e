"""Hands records to librdkafka and gathers what became of each.

One producer, idempotent, with acks=all. One thread of ours polls it; the callbacks of a request's records
share one counter.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, Final

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
        self._finished: list[Request] = []
        self._refused_here: deque[tuple[Request, int, KafkaError]] = deque()
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
        groups: dict[int, list[tuple[int, dict[str, Any]]]] = {}
        delivered, outcomes = self._delivered, request.outcomes
        for index, (record, place) in enumerate(zip(request.records, places, strict=True)):
            if outcomes[index] is None and not isinstance(place, Refusal):
                done = partial(delivered, request, index)
                message = {"value": record.value, "key": record.key, "callback": done}
                groups.setdefault(place, []).append((index, message))
        for partition, group in groups.items():
            messages = [message for _, message in group]
            if self._producer.produce_batch(request.topic, messages, partition) < len(messages):
                self._refused_here.extend(
                    (request, index, message["_error"]) for index, message in group if "_error" in message
                )

    def _send_each(self, request: Request, places: Sequence[int | Refusal]) -> None:
        now = time.time_ns() // 1_000_000
        produce, delivered, outcomes = self._producer.produce, self._delivered, request.outcomes
        for index, (record, place) in enumerate(zip(request.records, places, strict=True)):
            if outcomes[index] is not None or isinstance(place, Refusal):
                continue
            done = partial(delivered, request, index)
            when: int = record.timestamp or now
            headers: list[Any] = list(record.headers)
            try:
                produce(request.topic, record.value, record.key, place, done, timestamp=when, headers=headers)
            except Exception as error:  # whatever the client dislikes, its record is answered for
                self._refused_here.append((request, index, _kafka_error(error)))

    # What became of it

    def _poll(self) -> None:
        poll = self._producer.poll
        while not self._stop:
            poll(_POLL_SECONDS)
            while self._refused_here:
                request, index, error = self._refused_here.popleft()
                self._delivered(request, index, error, None)
            if self._finished:
                finished, self._finished = self._finished, []
                for request in finished:
                    self._done(request)

    def _delivered(
        self, request: Request, index: int, error: KafkaError | None, message: Message | None
    ) -> None:
        if error is not None:
            request.outcomes[index] = GONE if error.code() in _GONE_CODES else refusal(error)
        elif message is not None:
            offset = message.offset()
            request.outcomes[index] = (
                _UNTOLD if offset is None else Receipt(request.places[index], offset, message.timestamp()[1])
            )
        request.left -= 1
        if not request.left:
            self._finished.append(request)

    def close(self) -> None:
        """Stop polling; nothing may be under way any more."""
        self._stop = True
        if self._thread.is_alive():
            self._thread.join()


def _kafka_error(error: Exception) -> KafkaError:
    if isinstance(error, KafkaException):
        found: KafkaError = error.args[0]
        return found
    code = KafkaError._QUEUE_FULL if isinstance(error, BufferError) else KafkaError._INVALID_ARG
    return KafkaError(code, str(error))
