"""Sends records to Kinesis until each is durable, refused for good, or too old."""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

from pinterest_pipeline.config import KinesisSettings
from pinterest_pipeline.errors import BadInput, Forbidden, PipelineError, Throttled, Unavailable, UnknownTopic
from pinterest_pipeline.eventlog.base import Receipt, Record, Refusal
from pinterest_pipeline.eventlog.kinesis_client import Client
from pinterest_pipeline.eventlog.kinesis_errors import Unsure, refused
from pinterest_pipeline.eventlog.kinesis_queue import OVERHEAD, Entry, KeyedQueue, Outcomes, Request
from pinterest_pipeline.eventlog.sequence import offset_of, partition_of

_THREADS: Final = 4
_MOST_KEY: Final = 256
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_PASSES: Final = ("throttled", "not_acknowledged")
_OF_WHOLE_REQUESTS: Final = (*_PASSES, "forbidden", "unknown_partition")
_LATE: Final = Refusal("throttled", "it waited for too long behind other records; it was not sent")


class Sender:
    """The writing half of the log. Any thread may use it."""

    def __init__(self, client: Client, settings: KinesisSettings, max_record_bytes: int) -> None:
        self._client = client
        self._settings = settings
        self._max_record_bytes = max_record_bytes
        self._changed = threading.Condition()
        self._queues: dict[str, KeyedQueue] = {}
        self._waiting = 0  # records
        self._waiting_bytes = 0
        self._closing = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def submit(self, stream: str, records: Sequence[Record]) -> Future[Outcomes]:
        """Send the records; never blocks."""
        request = Request(stream, len(records))
        deadline = time.monotonic() + self._settings.delivery_seconds
        entries: list[Entry] = []
        for place, record in enumerate(records):
            entry = self._entry(request, place, record, deadline)
            if isinstance(entry, Entry):
                entries.append(entry)
            else:
                request.outcomes[place] = entry
        request.left = len(entries)
        if not entries:
            _finish(request)
        elif problem := self._queued(stream, entries):
            request.future.set_exception(problem)
        return request.future

    def _entry(self, request: Request, place: int, record: Record, deadline: float) -> Entry | Refusal:
        """A record as it is sent, or why Kinesis cannot keep it."""
        key, value = record.key, record.value
        if key is None or value is None or record.partition is not None or record.timestamp is not None:
            return Refusal(
                "rejected", "a record of Kinesis has a key and a value, and asks for no shard or time"
            )
        size = len(key) + len(value)
        if size > self._max_record_bytes:
            reason = f"the record has {size} bytes, more than the {self._max_record_bytes} that the log takes"
            return Refusal("record_too_large", reason)
        try:
            text = key.decode()
        except UnicodeDecodeError:
            text = ""
        if not 1 <= len(text) <= _MOST_KEY:
            return Refusal("rejected", f"a partition key has 1 to {_MOST_KEY} characters in UTF-8")
        return Entry(request, place, text, value, deadline, size)

    def _queued(self, stream: str, entries: Sequence[Entry]) -> PipelineError | None:
        """Let the records wait for their turn, unless too much waits already."""
        size = sum(entry.size + OVERHEAD for entry in entries)
        with self._changed:
            if self._closing:
                return Unavailable("the log is closed")
            if self._waiting_bytes + size > self._settings.max_waiting_bytes and self._waiting:
                return Unavailable(
                    f"{self._waiting_bytes:,} bytes wait for Kinesis at {self._client.address} already",
                    "send less at a time, add shards, or raise PINPIPE_KINESIS__MAX_WAITING_BYTES",
                )
            queue = self._queues.setdefault(stream, KeyedQueue())
            for entry in entries:
                queue.add(entry)
            self._waiting += len(entries)
            self._waiting_bytes += size
            self._changed.notify_all()
        return None

    def _work(self) -> None:
        """One of the threads: takes batches and sends them, until the log is closed and all is sent."""
        while True:
            with self._changed:
                stream, batch = self._taken()
            if not batch:
                return
            outcomes = self._sent(stream, batch)
            with self._changed:
                done = self._settled(stream, batch, outcomes)
                self._changed.notify_all()
            for request in done:
                _finish(request)

    def _taken(self) -> tuple[str, list[Entry]]:
        """The next batch, waited for; none when all is sent and the log is closed. Holds the lock."""
        while self._waiting or not self._closing:
            now = time.monotonic()
            for stream in list(self._queues):
                queue = self._queues.pop(stream)
                self._queues[stream] = queue  # the last one from now on, so that each has its turn
                if batch := queue.take(now):
                    return stream, batch
            times = [at for queue in self._queues.values() if (at := queue.next_at()) is not None]
            self._changed.wait(max(0.0, min(times) - now) if times else None)
        return "", []

    def _sent(self, stream: str, batch: Sequence[Entry]) -> Outcomes:
        """What Kinesis says of each record; what is too old by now is not sent."""
        now = time.monotonic()
        live = [entry for entry in batch if entry.deadline > now]
        answers = iter(self._put(stream, live) if live else ())
        return [next(answers) if entry.deadline > now else _LATE for entry in batch]

    def _put(self, stream: str, batch: Sequence[Entry]) -> Outcomes:
        records = [{"Data": entry.data, "PartitionKey": entry.key} for entry in batch]
        try:
            answer = self._client.ask("put_records", stream, StreamName=stream, Records=records)
        except PipelineError as error:
            return [_refused(entry, error, len(batch)) for entry in batch]
        except Exception as error:  # a fault of ours must leave no record without its outcome
            return [_refused(entry, Unsure(f"a fault of ours: {error!r}"), len(batch)) for entry in batch]
        try:
            return [_outcome(entry, found) for entry, found in zip(batch, answer["Records"], strict=True)]
        except (LookupError, ValueError, BadInput) as error:
            wrong = Unsure(f"Kinesis at {self._client.address} gave an answer that cannot be read: {error!r}")
            return [_refused(entry, wrong, len(batch)) for entry in batch]

    def _settled(
        self, stream: str, batch: Sequence[Entry], outcomes: Sequence[Receipt | Refusal]
    ) -> list[Request]:
        """Note what became of the records; the requests that are over. Holds the lock."""
        queue, done = self._queues[stream], list[Request]()
        for entry, outcome in zip(batch, outcomes, strict=True):
            at = _next_try(entry, outcome)
            if at is not None:
                queue.again(entry, at)
                continue
            queue.over(entry)
            self._waiting -= 1
            self._waiting_bytes -= entry.size + OVERHEAD
            if isinstance(outcome, Refusal) and entry.is_doubtful:
                outcome = Refusal("not_acknowledged", outcome.reason)
            entry.request.outcomes[entry.place] = outcome
            entry.request.left -= 1
            if not entry.request.left:
                done.append(entry.request)
        if queue.is_empty:  # a client may name any number of streams, and each batch looks at all queues
            del self._queues[stream]
        return done

    def close(self) -> None:
        """Send what waits, at most for the time that a record has; what comes from now on is refused."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()


def _refused(entry: Entry, error: PipelineError, count: int) -> Refusal:
    """What an error of a whole request means for one of its records."""
    if isinstance(error, Throttled):
        return Refusal("throttled", str(error))
    if isinstance(error, BadInput):  # perhaps for another record's sake
        entry.is_alone = True
        return Refusal("rejected" if count == 1 else "throttled", error.problem)
    entry.request.error = error
    if isinstance(error, UnknownTopic):
        return Refusal("unknown_partition", "the stream is gone")
    if isinstance(error, Forbidden):
        return Refusal("forbidden", error.problem)
    entry.is_doubtful |= isinstance(error, Unsure)
    return Refusal("not_acknowledged", error.problem)


def _outcome(entry: Entry, found: Mapping[str, Any]) -> Receipt | Refusal:
    """What Kinesis says of one record."""
    if code := found.get("ErrorCode"):
        refusal = Refusal(refused(code), f"{code}: {found.get('ErrorMessage', '')}")
        entry.is_doubtful |= refusal.code == "not_acknowledged"
        return refusal
    now = time.time_ns() // 1_000_000
    return Receipt(partition_of(found["ShardId"]), offset_of(found["SequenceNumber"]), now)


def _next_try(entry: Entry, outcome: Receipt | Refusal) -> float | None:
    """When a record is tried again; None when it is over, or would be too old by then."""
    if isinstance(outcome, Receipt) or outcome.code not in _PASSES:
        return None
    pause = min(_FIRST_PAUSE * 2**entry.tries, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 -- no secret
    entry.tries += 1
    at = time.monotonic() + pause
    return at if at < entry.deadline else None


def _finish(request: Request) -> None:
    """Settle the future; it fails with the error of a request to Kinesis when that is all there is to say."""
    outcomes = [outcome for outcome in request.outcomes if outcome is not None]
    if request.error is not None and all(
        isinstance(outcome, Refusal) and outcome.code in _OF_WHOLE_REQUESTS for outcome in outcomes
    ):
        request.future.set_exception(request.error)
    else:
        request.future.set_result(outcomes)
