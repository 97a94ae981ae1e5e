"""Appends: bounds what waits, chooses partitions, sends, answers.

The partitions of a topic are looked up off to the side, so that no append ever blocks: appends to a topic
that is being looked up wait their turn in order.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from pinterest_pipeline.errors import PipelineError, Unavailable
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_request import Request
from pinterest_pipeline.eventlog.kafka_sender import Sender
from pinterest_pipeline.eventlog.kafka_topics import Topic

_LOOKUPS: Final = 4


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
        self._bytes = 0
        self._open = 0
        self._idle = threading.Condition(self._lock)
        self._closed = False
        self._lookups = ThreadPoolExecutor(_LOOKUPS, "kafka-lookup")
        self._sender = Sender(clients, max_record_bytes, self._finish)

    def remember_by(self, keys: Keys) -> None:
        """Say who remembers requests with a key; to be called first."""
        self._keys = keys

    def submit(self, request: Request) -> None:
        """Send a request when its turn comes; its future says what came of it."""
        is_settled = False
        with self._lock:
            problem = self._problem(request.size)
            if problem is None:
                self._bytes += request.size
                self._open += 1
                is_settled = self._accept(request)
        if problem is not None:
            request.future.set_exception(problem)
        elif is_settled:
            self._finish(request)

    def _problem(self, size: int) -> PipelineError | None:
        if self._closed:
            return Unavailable("the event log is closed")
        if (refused := self._clients.refused()) is not None:
            return refused
        if self._bytes and self._bytes + size > self._most_bytes:
            return Unavailable(
                f"too much waits already: {self._bytes:,} bytes that Kafka has not acknowledged",
                "send again a little later",
            )
        return None

    def _accept(self, request: Request) -> bool:
        """Send at once, or wait for the topic to be looked up; holds the lock. True when all is known."""
        waiting = self._waiting.get(request.topic)
        if waiting is not None:
            waiting.append(request)
            return False
        known = self._known.get(request.topic)
        if known is not None and known.is_fresh() and known.fits(request):
            return self._begin(known, request)
        self._waiting[request.topic] = deque([request])
        self._lookups.submit(self._look_up, request.topic)
        return False

    def _look_up(self, topic: str) -> None:
        is_over = False
        while not is_over:
            is_over = self._go_on(topic, *self._found(topic))

    def _go_on(self, topic: str, known: Topic | None, problem: PipelineError | None) -> bool:
        """Send what waits for the topic; False when one came meanwhile that needs to know more of it."""
        settled: list[Request] = []
        with self._lock:
            if known is not None and known.ends is None and self._waits_with_key(topic):
                return False
            requests = self._waiting.pop(topic)
            if known is None:
                self._known.pop(topic, None)
            else:
                self._known[topic] = known
                settled = [request for request in requests if self._begin(known, request)]
        for request in settled:
            self._finish(request)
        if problem is not None:
            for request in requests:
                self.fail(request, problem)
        return True

    def _waits_with_key(self, topic: str) -> bool:
        return any(request.once is not None for request in self._waiting[topic])

    def _found(self, topic: str) -> tuple[Topic | None, PipelineError | None]:
        """The topic, as it was known before if the brokers are away; or why there is none."""
        with self._lock:
            before = self._known.get(topic)
            with_ends = self._waits_with_key(topic)
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
            self._sender.learn(topic)
        return known

    # Sending

    def _begin(self, topic: Topic, request: Request) -> bool:
        """Choose the partitions and send, or first have the key noted; holds the lock, to keep the order.

        True when all is known without asking the brokers.
        """
        now = time.time_ns() // 1_000_000
        choose, largest = self._partitioner, self._max_record_bytes
        request.places = topic.places(request.records, now, choose, largest)
        request.known = topic
        if request.once is not None:
            self._keys.begin(topic, request)
            return False
        return self._sender.send(request)

    def send(self, request: Request) -> None:
        """Send a request whose partitions are chosen and whose key is noted."""
        with self._lock:
            is_settled = self._sender.send(request)
        if is_settled:
            self._finish(request)

    def _finish(self, request: Request) -> None:
        if request.may_repeat:
            self._repeat(request)
            return
        problem = request.failure(self._clients.refused())
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
            is_settled = self._accept(request)
        if is_settled:
            self._finish(request)

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
        self._sender.close()
