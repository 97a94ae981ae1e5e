"""When a range of a topic-partition is closed (pure).

The count and the record's time are Confluent's: https://docs.confluent.io/kafka-connectors/s3-sink/current/overview.html
The age is ours. Cut points need not be repeatable: they are planned durably before anything is uploaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf

import msgspec

from pinterest_pipeline.eventlog.base import StoredRecord
from pinterest_pipeline.sink.partitioners import Encode, Extract, encoder, extractor
from pinterest_pipeline.sink.path_format import local_time, time_zone
from pinterest_pipeline.sink.poison import Poison
from pinterest_pipeline.sink.shape import Shape

_DAY_MS = 86_400_000
_RECORD_BYTES = 100
"""What a record takes beside its key and value."""


class Rotation(msgspec.Struct, frozen=True):
    """The bounds of a range; the first that is met closes it."""

    flush_size: int
    """Records of a topic-partition, whatever their folders."""
    flush_bytes: int
    flush_seconds: float
    """Age of the first record."""
    interval_ms: int = -1
    """Span of the records' own times, with the time partitioner; -1 is none."""
    schedule_ms: int = -1
    """Span of the clock, from midnight on; -1 is none."""
    timezone: str = "UTC"
    """Whose midnight."""


@dataclass(slots=True)
class OpenRange:
    """The records of one topic-partition that wait for their plan."""

    start: int
    opened: float
    """Monotonic seconds at which the first record came."""
    wallclock_ms: int
    """The same by the clock; the time that the Wallclock extractor gives these records."""
    end: int = 0
    """Offset after the last record."""
    records: list[StoredRecord] = field(default_factory=list)
    size: int = 0
    is_full: bool = False
    watch: "_Watch | None" = None
    until: float = inf
    """Offset that another range was planned from."""

    def take(self, batch: Sequence[StoredRecord], rotation: Rotation) -> int:
        """Take records until the range is full; returns how many were taken."""
        for number, record in enumerate(batch):
            if record.offset >= self.until:
                self.is_full, self.end = True, int(self.until)
                return number
            if self.watch is not None and self.watch.parts(record):
                self.is_full = True
                return number
            self.records.append(record)
            self.end = record.offset + 1
            self.size += len(record.value or b"") + len(record.key or b"") + _RECORD_BYTES
            if self.size >= rotation.flush_bytes or len(self.records) >= rotation.flush_size:
                self.is_full = True
                return number + 1
        return len(batch)

    def is_due(self, rotation: Rotation, shape: Shape, monotonic: float, now_ms: int) -> bool:
        """Whether time alone closes the range."""
        is_old = monotonic - self.opened >= rotation.flush_seconds
        by_clock = shape.extractor == "wallclock" and shape.partitioner == "time" and rotation.interval_ms > 0
        is_spanned = by_clock and now_ms - self.wallclock_ms >= rotation.interval_ms
        return is_old or is_spanned or now_ms >= _next_schedule(self.wallclock_ms, rotation)


def open_range(
    start: int, rotation: Rotation, shape: Shape, monotonic: float, now_ms: int, until: int | None = None
) -> OpenRange:
    """An empty range from an offset on, and not beyond another."""
    watch = None
    if rotation.interval_ms > 0 and shape.partitioner == "time":
        watch = _Watch(rotation.interval_ms, extractor(shape, now_ms), encoder(shape, now_ms))
    bound = until if until is not None and until > start else inf
    return OpenRange(start, monotonic, now_ms, start, watch=watch, until=bound)


class _Watch:
    """rotate.interval.ms: a record parts the range when its time or its folder is another's."""

    def __init__(self, interval_ms: int, extract: Extract, encode: Encode) -> None:
        self._interval_ms = interval_ms
        self._extract = extract
        self._encode = encode
        self._first: tuple[int, str] | None = None

    def parts(self, record: StoredRecord) -> bool:
        try:
            found = self._extract(record), self._encode(record)
        except Poison:  # it lands in no folder
            return False
        if self._first is None:
            self._first = found
        return found[0] - self._first[0] >= self._interval_ms or found[1] != self._first[1]


def _next_schedule(opened_ms: int, rotation: Rotation) -> float:
    """The first multiple of the span after a moment, counted from midnight; at the latest the next one."""
    if rotation.schedule_ms <= 0:
        return float("inf")
    local = local_time(opened_ms, time_zone(rotation.timezone))
    since_midnight = (local - local.replace(hour=0, minute=0, second=0, microsecond=0)) // timedelta(
        milliseconds=1
    )
    next_span = (since_midnight // rotation.schedule_ms + 1) * rotation.schedule_ms
    return opened_ms - since_midnight + min(next_span, _DAY_MS)
