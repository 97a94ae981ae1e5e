"""Records of one stream on their way to Kinesis: of each key one at a time, in batches as large as it takes.

PutRecords keeps no order, and may take a later record of a key while it refuses an earlier one. So the
records of a key wait in a line of their own, and only the first of them is under way; one that has to be
tried again stays first. How much Kinesis takes:
https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
"""

import heapq
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from pinterest_pipeline.errors import PipelineError
from pinterest_pipeline.eventlog.base import Receipt, Refusal

BATCH_RECORDS: Final = 500
BATCH_BYTES: Final = 5 * 2**20
"""Data and keys of a request. AWS takes 10 MiB by now; so much, written in base64, any endpoint takes."""

OVERHEAD: Final = 200
"""Bytes a waiting record takes beside its key and value, about."""

Outcomes = list[Receipt | Refusal]


class Request:
    """An append, and what its records have come to so far."""

    __slots__ = ("error", "future", "left", "outcomes", "stream")

    def __init__(self, stream: str, count: int) -> None:
        self.stream = stream
        self.left = count
        self.outcomes: list[Receipt | Refusal | None] = [None] * count
        self.error: PipelineError | None = None
        """The last one that a whole request to Kinesis came to."""
        self.future: Future[Outcomes] = Future()
        self.future.set_running_or_notify_cancel()  # what is on its way cannot be cancelled


@dataclass(slots=True, eq=False)
class Entry:
    """A record on its way."""

    request: Request
    place: int
    """Its place in the request."""
    key: str
    data: bytes
    deadline: float
    """When it is given up, by the monotonic clock."""
    size: int
    tries: int = 0
    is_doubtful: bool = False
    """A try got no answer: it may have landed."""
    is_alone: bool = False
    """It goes without others: Kinesis did not take a batch that it was in."""


@dataclass
class KeyedQueue:
    """The lines of all keys of one stream. One thread at a time."""

    _lines: dict[str, deque[Entry]] = field(default_factory=dict)
    """The records of each key; the first may be under way."""
    _ready: deque[str] = field(default_factory=deque)
    """The keys whose first record may go."""
    _later: list[tuple[float, str]] = field(default_factory=list)
    """A heap of the keys whose first record is tried again at a time."""

    @property
    def is_empty(self) -> bool:
        """Whether no record waits or is under way."""
        return not self._lines

    def add(self, entry: Entry) -> None:
        line = self._lines.get(entry.key)
        if line is None:
            self._lines[entry.key] = deque([entry])
            self._ready.append(entry.key)
        else:
            line.append(entry)

    def take(self, now: float) -> list[Entry]:
        """The next batch; [] when nothing may go now."""
        while self._later and self._later[0][0] <= now:
            self._ready.appendleft(heapq.heappop(self._later)[1])
        batch: list[Entry] = []
        size = 0
        while self._ready and len(batch) < BATCH_RECORDS:
            entry = self._lines[self._ready[0]][0]
            size += entry.size
            if batch and (size > BATCH_BYTES or entry.is_alone):
                break
            self._ready.popleft()
            batch.append(entry)
            if entry.is_alone:
                break
        return batch

    def over(self, entry: Entry) -> None:
        """The record has landed, or is given up: the next of its key may go."""
        line = self._lines[entry.key]
        line.popleft()
        if line:
            self._ready.append(entry.key)
        else:
            del self._lines[entry.key]

    def again(self, entry: Entry, at: float) -> None:
        """Try the record again at a time; others of its key wait behind it."""
        heapq.heappush(self._later, (at, entry.key))

    def next_at(self) -> float | None:
        """When a batch may go; None when none is there, before `now` when one may go now."""
        if self._ready:
            return 0.0
        return self._later[0][0] if self._later else None
