"""Requests with an idempotency key on Kafka: sent again, they land once and get the same receipts.

Kafka's own idempotent producer removes what librdkafka sends twice, not what a client of ours does. So each
record of a keyed request carries a header that names the request and the record's place in it, and before
anything is sent an intent is durable (intents.py). When a request comes again and the first one did not end -
its process died, or the brokers were away - the partitions are read from the intent's offset to their end,
and only records that are not there are sent.

What remains: when we look for the records of a dead process, some may still be on their way, in the buffer of
a socket or on a leader whose followers have not got them yet; then they land twice. Before we look we wait
until the ends have not moved for `SETTLE_SECONDS`, a few times so long at most: only what is on its way for
longer can do so. And a topic that is deleted and made anew within the ten seconds that we remember it for is
told apart only after them.
"""

import hashlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Final

from pinterest_pipeline.errors import PipelineError, Unavailable
from pinterest_pipeline.eventlog.base import READ_BYTES, Once, Receipt, Record, RefusalCode
from pinterest_pipeline.eventlog.intents import Begun, Decision, Intents, Interrupted, Over, Plan
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_producer import Appender
from pinterest_pipeline.eventlog.kafka_reader import Reader
from pinterest_pipeline.eventlog.kafka_request import Request
from pinterest_pipeline.eventlog.kafka_topics import Topic

HEADER: Final = "idempotency-key"
"""Name of the header; its value is `<place>:<digest>:<key>`.

The place counts from 0; the digest is the first 16 hexadecimal digits of the SHA-256 of the fingerprint.
"""
SETTLE_SECONDS: Final = 1.0
_SETTLE_TRIES: Final = 5
_READ_RECORDS: Final = 5_000
_REPAIRS: Final = 4
_FINAL: Final[frozenset[RefusalCode]] = frozenset(
    {"record_too_large", "unknown_partition", "invalid_timestamp", "rejected"}
)


class KeyedRequests:
    """The Keys of an Appender."""

    def __init__(self, path: Path, appender: Appender, admin: Admin, reader: Reader) -> None:
        self._path = path
        self._appender = appender
        self._admin = admin
        self._reader = reader
        self._repairs = ThreadPoolExecutor(_REPAIRS, "kafka-repair")
        appender.remember_by(self)

    @cached_property
    def _intents(self) -> Intents:
        """Opened with the first keyed request, by the one thread that holds the appender's lock."""
        return Intents(self._path)

    def begin(self, topic: Topic, request: Request) -> None:
        """Note the intent of a request, then send it, answer it, or repair it."""
        once, places = _once(request), request.places
        ends = topic.ends or {}
        bounds = {place: ends.get(place, 0) for place in places if isinstance(place, int)}
        request.records = _marked(request.records, once)
        try:
            intents = self._intents
        except PipelineError as problem:
            self._repairs.submit(self._appender.fail, request, problem)  # not here: the lock is held
        else:
            intents.begin(topic.id, once, Plan(tuple(places), bounds), partial(self._go_on, request))

    def _go_on(self, request: Request, decision: Decision | PipelineError) -> None:
        if isinstance(decision, PipelineError):
            self._appender.fail(request, decision)
        elif isinstance(decision, Over):
            request.outcomes = list(decision.outcomes)
            self._appender.succeed(request)
        elif isinstance(decision, Begun):
            self._appender.send(request)
        else:
            self._repairs.submit(self._repair, request, decision)

    def end(self, request: Request, problem: PipelineError | None) -> None:
        """Note what a request came to, unless it may be taken up again."""
        is_over = problem is None and all(
            isinstance(outcome, Receipt) or outcome.code in _FINAL for outcome in request.outcomes
        )
        assert request.known is not None
        self._intents.end(request.known.id, _once(request).key, request.outcomes if is_over else None)
        ends = request.known.ends or {}
        for outcome in request.outcomes:
            if isinstance(outcome, Receipt):
                ends[outcome.partition] = max(ends.get(outcome.partition, 0), outcome.offset + 1)

    def _repair(self, request: Request, found: Interrupted) -> None:
        try:
            landed = self._landed(request, found.plan)
        except PipelineError as problem:
            self._give_up(request, problem)
        except Exception as error:  # whatever it is, nobody may wait for ever
            self._give_up(request, Unavailable(f"a request cannot be taken up again: {error!r}"))
        else:
            request.outcomes = [landed.get(place) for place in range(len(request.records))]
            request.places = found.plan.places
            self._appender.send(request)

    def _give_up(self, request: Request, problem: PipelineError) -> None:
        self.end(request, problem)
        self._appender.fail(request, problem)

    def _landed(self, request: Request, plan: Plan) -> dict[int, Receipt]:
        """The receipts of those records of a request that are in the log, by their places."""
        ends = self._settled_ends(request.topic)
        mark = _mark(_once(request))
        landed: dict[int, Receipt] = {}
        for partition, offset in plan.bounds.items():
            end = ends.get(partition, 0)
            while offset < end:
                records = self._reader.read(request.topic, partition, offset, _READ_RECORDS, READ_BYTES)
                if not records:
                    break
                for record in records:
                    place = _place(record.headers, mark)
                    if place is not None:
                        landed.setdefault(place, Receipt(partition, record.offset, record.timestamp))
                offset = records[-1].offset + 1
        return landed

    def _settled_ends(self, topic: str) -> dict[int, int]:
        ends = self._admin.ends(topic)
        for _ in range(_SETTLE_TRIES):
            time.sleep(SETTLE_SECONDS)
            before, ends = ends, self._admin.ends(topic)
            if ends == before:
                break
        return ends

    def close(self) -> None:
        """Write what the last requests came to; the appender has to be closed before."""
        self._repairs.shutdown(wait=True)
        if "_intents" in self.__dict__:
            self._intents.close()


def _once(request: Request) -> Once:
    assert request.once is not None
    return request.once


def _mark(once: Once) -> bytes:
    digest = hashlib.sha256(once.fingerprint).hexdigest()[:16]
    return f":{digest}:{once.key}".encode(errors="surrogatepass")


def _marked(records: Sequence[Record], once: Once) -> list[Record]:
    mark = _mark(once)
    return [
        Record(
            record.value,
            record.key,
            record.partition,
            record.timestamp,
            (*record.headers, (HEADER, b"%d%b" % (place, mark))),
        )
        for place, record in enumerate(records)
    ]


def _place(headers: Sequence[tuple[str, bytes | None]], mark: bytes) -> int | None:
    """The place that a record of the request with this mark has in it; None for a record of another."""
    for name, value in reversed(headers):
        if name == HEADER and value is not None and value.endswith(mark):
            place = value[: -len(mark)]
            return int(place) if place.isdigit() else None
    return None
