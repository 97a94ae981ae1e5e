"""Appends records: chooses their partitions, hands them to librdkafka, gathers what became of each.

One producer, idempotent, with acks=all. One thread of ours polls it; the callbacks of a request's records
share one counter. The partitions of a topic are looked up off to the side, so that no append ever blocks:
appends to a topic whose partitions are being looked up wait their turn in order.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pinterest_pipeline.errors import PipelineError, Unavailable, UnknownTopic
from pinterest_pipeline.eventlog.base import Receipt, Record, Refusal
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_errors import UNKNOWN_TOPIC, refusal
from pinterest_pipeline.eventlog.kafka_topics import Topic

_RECORD_OVERHEAD: Final = 200
"""Bytes a waiting record takes beside its key and value, about."""
_POLL_SECONDS: Final = 0.1
_LOOKUPS: Final = 4
_REFRESH_SECONDS: Final = 5.0
_HEADER_ROOM: Final = 2**18
_GONE: Final = Refusal("unknown_partition", "the partition is gone")
_GONE_CODES: Final = UNKNOWN_TOPIC | {KafkaError._UNKNOWN_PARTITION}

Outcomes = list[Receipt | Refusal]


class Request:
    """One append on its way; touched by the polling thread alone once it is sent."""

    __slots__ = ("future", "is_repeated", "is_settled", "left", "outcomes", "records", "size", "topic")

    def __init__(self, topic: str, records: Sequence[Record], size: int) -> None:
        self.topic = topic
        self.records = records
        self.size = size
        self.left = 0
        self.is_repeated = False
        self.is_settled = False
        """Whether all is known without asking the brokers."""
        self.outcomes: list[Any] = [None] * len(records)
        self.future: Future[Outcomes] = Future()


class Appender:
    """The writing half of the log; `partitioner(key, partitions)` chooses the partition of a key."""

    def __init__(
        self, clients: Clients, admin: Admin, partitioner: Callable[[bytes, int], int], max_record_bytes: int
    ) -> None:
        self._clients = clients
        self._admin = admin
        self._partitioner = partitioner
        self._max_record_bytes = max_record_bytes
        self._most_bytes = clients.settings.max_waiting_bytes
        self._lock = threading.Lock()
        self._known: dict[str, Topic] = {}
        self._waiting: dict[str, deque[Request]] = {}
        self._finished: list[Request] = []
        self._refused_here: deque[tuple[Request, int, KafkaError]] = deque()
        self._bytes = 0
        self._closed = False
        self._stop = False
        self._lookups = ThreadPoolExecutor(_LOOKUPS, "kafka-lookup")
        self._thread = threading.Thread(target=self._poll, name="kafka-producer", daemon=True)

    @cached_property
    def _producer(self) -> Producer:
        """Made with the first append: most logs are opened to be read."""
        settings = self._clients.settings
        producer = self._clients.producer(
            {
                "enable.idempotence": True,
                "acks": "all",
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

    def append(self, topic: str, records: Sequence[Record]) -> Future[Outcomes]:
        size = sum(_RECORD_OVERHEAD + len(record.value or b"") + len(record.key or b"") for record in records)
        request = Request(topic, records, size)
        with self._lock:
            problem = self._problem(size)
            if problem is None:
                self._bytes += size
                self._accept(request)
        if problem is not None:
            request.future.set_exception(problem)
        elif request.is_settled:
            self._finish(request)
        return request.future

    def _problem(self, size: int) -> PipelineError | None:
        if self._closed:
            return Unavailable("the event log is closed")
        if self._clients.is_refused():
            return self._clients.refused()
        if self._bytes and self._bytes + size > self._most_bytes:
            return Unavailable(
                f"too much waits already: {self._bytes:,} bytes that Kafka has not acknowledged",
                "send again a little later",
            )
        return None

    def _accept(self, request: Request) -> None:
        """Send at once, or wait for the topic to be looked up; holds the lock."""
        waiting = self._waiting.get(request.topic)
        if waiting is not None:
            waiting.append(request)
            return
        known = self._known.get(request.topic)
        if known is not None and known.is_fresh() and _fits(known, request):
            self._send(known, request)
        else:
            self._waiting[request.topic] = deque([request])
            self._lookups.submit(self._look_up, request.topic)

    def _look_up(self, topic: str) -> None:
        known, problem = self._found(topic)
        with self._lock:
            requests = self._waiting.pop(topic)
            if known is None:
                self._known.pop(topic, None)
            else:
                self._known[topic] = known
                for request in requests:
                    self._send(known, request)
        for request in requests:
            if problem is not None:
                self._fail(request, problem)
            elif request.is_settled:
                self._finish(request)

    def _found(self, topic: str) -> tuple[Topic | None, PipelineError | None]:
        """The topic, as it was known before if the brokers are away; or why there is none."""
        before = self._known.get(topic)
        try:
            return self._found_now(topic, before), None
        except Unavailable as error:
            return (before, None) if before is not None else (None, error)
        except PipelineError as error:
            return None, error
        except Exception as error:  # whatever it is, nobody may wait for ever
            return None, Unavailable(f"'{topic}' cannot be looked up: {error!r}")

    def _found_now(self, topic: str, before: Topic | None) -> Topic:
        known = Topic.found(self._admin, topic, before)
        if before is not None and not known.is_same(before):
            with suppress(KafkaException):
                self._producer.list_topics(topic, timeout=_REFRESH_SECONDS)  # so it learns of the change
        return known

    # Sending

    def _send(self, topic: Topic, request: Request) -> None:
        """Hand the records to librdkafka; holds the lock, so that requests keep their order."""
        now = time.time_ns() // 1_000_000
        choose, largest, outcomes = self._partitioner, self._max_record_bytes, request.outcomes
        places = [topic.place(record, now, choose, largest) for record in request.records]
        request.left = sum(type(place) is int for place in places)
        request.is_settled = not request.left
        produce, delivered = self._producer.produce, self._delivered
        for index, (record, place) in enumerate(zip(request.records, places, strict=True)):
            if isinstance(place, Refusal):
                outcomes[index] = place
                continue
            done = partial(delivered, request, index)
            when, headers = record.timestamp or now, list[Any](record.headers)
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
                    self._finish(request)

    def _delivered(
        self, request: Request, index: int, error: KafkaError | None, message: Message | None
    ) -> None:
        if error is None and message is not None:
            partition, offset = message.partition(), message.offset()
            assert partition is not None and offset is not None  # noqa: PT018  # it was delivered
            request.outcomes[index] = Receipt(partition, offset, message.timestamp()[1])
        elif error is not None:
            request.outcomes[index] = _GONE if error.code() in _GONE_CODES else refusal(error)
        request.left -= 1
        if not request.left:
            self._finished.append(request)

    def _finish(self, request: Request) -> None:
        outcomes = request.outcomes
        if outcomes and not request.is_repeated and all(outcome is _GONE for outcome in outcomes):
            self._repeat(request)
            return
        problem = self._failure(request)
        if problem is None:
            self._release(request)
            request.future.set_result(request.outcomes)
        else:
            self._fail(request, problem)

    def _repeat(self, request: Request) -> None:
        """The topic is not what it was, and nothing landed: look it up, then send anew."""
        request.is_repeated = True
        with self._lock:
            self._known.pop(request.topic, None)
            self._accept(request)

    def _failure(self, request: Request) -> PipelineError | None:
        """Why a request of which nothing landed failed as a whole."""
        outcomes = request.outcomes
        if not outcomes or type(outcomes[0]) is Receipt:
            return None
        if all(outcome is _GONE for outcome in outcomes):
            return UnknownTopic(request.topic)
        if not all(type(outcome) is Refusal and outcome.code == "not_acknowledged" for outcome in outcomes):
            return None
        if self._clients.is_refused():
            return self._clients.refused()
        return Unavailable(
            f"Kafka acknowledged nothing: {outcomes[0].reason}",
            "they may have landed; see the brokers",
        )

    def _fail(self, request: Request, problem: PipelineError) -> None:
        self._release(request)
        request.future.set_exception(problem)

    def _release(self, request: Request) -> None:
        with self._lock:
            self._bytes -= request.size

    def forget(self, topic: str) -> None:
        """Look the topic up before anything more is sent to it."""
        with self._lock:
            self._known.pop(topic, None)

    def close(self) -> None:
        """Wait until everything that was submitted is acknowledged or given up."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._lookups.shutdown(wait=True)
        if self._thread.is_alive():
            self._producer.flush(self._clients.settings.delivery_seconds + 5)
            self._stop = True
            self._thread.join()


def _fits(topic: Topic, request: Request) -> bool:
    """Whether the topic, as it is known, has every partition that is asked for."""
    partitions = topic.partitions
    return all(record.partition is None or record.partition < partitions for record in request.records)


def _kafka_error(error: Exception) -> KafkaError:
    if isinstance(error, KafkaException):
        found: KafkaError = error.args[0]
        return found
    code = KafkaError._QUEUE_FULL if isinstance(error, BufferError) else KafkaError._INVALID_ARG
    return KafkaError(code, str(error))
