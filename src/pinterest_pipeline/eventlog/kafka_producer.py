"""Appends records: chooses their partitions, hands them to librdkafka, gathers what became of each.

One producer, idempotent, with acks=all. One thread of ours polls it; the callbacks of a request's records
share one counter. The partitions of a topic are looked up off to the side, so that no append ever blocks:
appends to a topic whose partitions are being looked up wait their turn in order.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pinterest_pipeline.errors import PipelineError, Unavailable
from pinterest_pipeline.eventlog.base import Receipt, Refusal
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_errors import UNKNOWN_TOPIC, refusal
from pinterest_pipeline.eventlog.kafka_request import GONE, Request
from pinterest_pipeline.eventlog.kafka_topics import Topic

_POLL_SECONDS: Final = 0.1
_LOOKUPS: Final = 4
_REFRESH_SECONDS: Final = 5.0
_HEADER_ROOM: Final = 2**18
_GONE_CODES: Final = UNKNOWN_TOPIC | {KafkaError._UNKNOWN_PARTITION}


class Keys(Protocol):
    """Who remembers requests with a key: told of one before it is sent, and of what came of it."""

    def begin(self, topic: Topic, request: Request) -> None: ...

    def end(self, request: Request, problem: PipelineError | None) -> None: ...


class Appender:
    """The writing half of the log; `partitioner(key, partitions)` chooses the partition of a key."""

    def __init__(
        self, clients: Clients, admin: Admin, partitioner: Callable[[bytes, int], int], max_record_bytes: int
    ) -> None:
        self._keys: Keys
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
        self._open = 0
        self._idle = threading.Condition(self._lock)
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

    def remember_by(self, keys: Keys) -> None:
        """Say who remembers requests with a key; to be called first."""
        self._keys = keys

    def submit(self, request: Request) -> None:
        """Send a request when its turn comes; its future says what came of it."""
        with self._lock:
            problem = self._problem(request.size)
            if problem is None:
                self._bytes += request.size
                self._open += 1
                self._accept(request)
        if problem is not None:
            request.future.set_exception(problem)
        elif request.is_settled and request.once is None:
            self._finish(request)

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
        if known is not None and known.is_fresh() and known.fits(request):
            self._begin(known, request)
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
                    self._begin(known, request)
        for request in requests:
            if problem is not None:
                self.fail(request, problem)
            elif request.is_settled and request.once is None:
                self._finish(request)

    def _found(self, topic: str) -> tuple[Topic | None, PipelineError | None]:
        """The topic, as it was known before if the brokers are away; or why there is none."""
        with self._lock:
            before = self._known.get(topic)
            with_ends = any(request.once is not None for request in self._waiting[topic])
        try:
            return self._found_now(topic, before, with_ends), None
        except Unavailable as error:
            if before is None or (with_ends and before.ends is None):
                return None, error
            return before, None
        except PipelineError as error:
            return None, error
        except Exception as error:  # whatever it is, nobody may wait for ever
            return None, Unavailable(f"'{topic}' cannot be looked up: {error!r}")

    def _found_now(self, topic: str, before: Topic | None, with_ends: bool) -> Topic:
        known = Topic.found(self._admin, topic, before, with_ends)
        if before is not None and not known.is_same(before):
            with suppress(KafkaException):
                self._producer.list_topics(topic, timeout=_REFRESH_SECONDS)  # so it learns of the change
        return known

    # Sending

    def _begin(self, topic: Topic, request: Request) -> None:
        """Choose the partitions and send, or first have the key noted; holds the lock, to keep the order."""
        now = time.time_ns() // 1_000_000
        choose, largest = self._partitioner, self._max_record_bytes
        request.places = [topic.place(record, now, choose, largest) for record in request.records]
        request.known = topic
        if request.once is not None:
            self._keys.begin(topic, request)
        else:
            self._send(request)

    def send(self, request: Request) -> None:
        """Send a request whose partitions are chosen and whose key is noted."""
        with self._lock:
            self._send(request)
        if request.is_settled:
            self._finish(request)

    def _send(self, request: Request) -> None:
        places, outcomes = request.places or (), request.outcomes
        for index, place in enumerate(places):
            if isinstance(place, Refusal):
                outcomes[index] = place
        request.left = outcomes.count(None)
        request.is_settled = not request.left
        now = time.time_ns() // 1_000_000
        produce, delivered = self._producer.produce, self._delivered
        for index, (record, place) in enumerate(zip(request.records, places, strict=True)):
            if outcomes[index] is not None or isinstance(place, Refusal):
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
            request.outcomes[index] = GONE if error.code() in _GONE_CODES else refusal(error)
        request.left -= 1
        if not request.left:
            self._finished.append(request)

    def _finish(self, request: Request) -> None:
        if request.may_repeat:
            self._repeat(request)
            return
        problem = request.failure(self._clients.refused() if self._clients.is_refused() else None)
        # Before anybody can send it again.
        if request.once is not None:
            self._keys.end(request, problem)
        if problem is None:
            self.succeed(request)
        else:
            self.fail(request, problem)

    def _repeat(self, request: Request) -> None:
        """The topic is not what it was, and nothing landed: look it up, then send anew."""
        request.is_repeated = True
        request.outcomes = [None] * len(request.records)
        with self._lock:
            self._known.pop(request.topic, None)
            self._accept(request)

    def succeed(self, request: Request) -> None:
        """Answer a request with its outcomes."""
        self._release(request)
        request.future.set_result(request.outcomes)

    def fail(self, request: Request, problem: PipelineError) -> None:
        self._release(request)
        request.future.set_exception(problem)

    def _release(self, request: Request) -> None:
        with self._lock:
            self._bytes -= request.size
            self._open -= 1
            if not self._open:
                self._idle.notify_all()

    def forget(self, topic: str) -> None:
        """Look the topic up before anything more is sent to it."""
        with self._lock:
            self._known.pop(topic, None)

    def close(self) -> None:
        """Take nothing more, and wait until all that was submitted is answered."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._idle.wait_for(lambda: not self._open, self._clients.settings.delivery_seconds + 10)
        self._lookups.shutdown(wait=True)
        self._stop = True
        if self._thread.is_alive():
            self._thread.join()


def _kafka_error(error: Exception) -> KafkaError:
    if isinstance(error, KafkaException):
        found: KafkaError = error.args[0]
        return found
    code = KafkaError._QUEUE_FULL if isinstance(error, BufferError) else KafkaError._INVALID_ARG
    return KafkaError(code, str(error))
