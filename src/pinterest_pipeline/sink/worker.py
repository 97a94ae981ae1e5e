"""Reads topics from the log and writes them as objects; commits a position only after its object is durable.

After a crash the worker goes on at the committed position. An object that was written but not committed is
found there: its name is taken, so the worker reads where it ends and goes on behind it. Objects never change.
"""

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from pinterest_pipeline.config import SinkSettings
from pinterest_pipeline.errors import BadInput, Retryable
from pinterest_pipeline.eventlog.base import EventLog, StoredRecord
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.landed import end_offset
from pinterest_pipeline.objects.layout import ObjectName
from pinterest_pipeline.records.codec import landed_line, position_suffix
from pinterest_pipeline.sink.rotation import OpenObject

GROUP = "sink"
_READ_RECORDS = 5_000
_log = structlog.get_logger("sink")


class Sink:
    """One worker for some topics. `monotonic` gives seconds; tests set it."""

    def __init__(
        self,
        log: EventLog,
        store: ObjectStore,
        topics: Sequence[str],
        settings: SinkSettings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._store = store
        self._topics = topics
        self._settings = settings
        self._monotonic = monotonic
        self._open: dict[tuple[str, int], OpenObject] = {}

    def run(self, stop: threading.Event) -> None:
        """Land records until told to stop; what waits is then landed too."""
        failures = 0
        while not stop.is_set():
            try:
                busy = self.step()
                failures = 0
            except Retryable as error:
                failures += 1
                _log.warning("trying again", problem=str(error), failures=failures)
                busy = False
            if not busy:
                stop.wait(min(self._settings.poll_seconds * 2 ** min(failures, 10), 30.0))
        self.flush()

    def step(self) -> bool:
        """Read what is new in every partition once; True when there was something."""
        busy = False
        for topic in self._topics:
            starts = self._log.beginnings(topic)
            ends = self._log.ends(topic)
            committed = self._log.committed(GROUP, topic)
            for partition, end in ends.items():
                position = max(committed.get(partition, 0), starts[partition])
                busy |= self._step_partition(topic, partition, position, end)
        return busy

    def flush(self) -> None:
        """Close every open object now."""
        for topic, partition in list(self._open):
            self._close(topic, partition)

    def _step_partition(self, topic: str, partition: int, committed: int, end: int) -> bool:
        waiting = self._open.get((topic, partition))
        position = waiting.end if waiting else committed
        records = self._log.read(topic, partition, position, _READ_RECORDS) if position < end else []
        for record in records:
            if not self._take(topic, record):
                break
        waiting = self._open.get((topic, partition))
        if waiting and waiting.is_old(self._settings, self._monotonic()):
            self._close(topic, partition)
        return bool(records)

    def _take(self, topic: str, record: StoredRecord) -> bool:
        """Add a record to its object; False when the records read after it have to be read anew."""
        key = (topic, record.partition)
        if key not in self._open:
            self._open[key] = OpenObject(record.offset, self._monotonic(), record.offset)
        waiting = self._open[key]
        waiting.add(_line(topic, record), record.offset)
        if not waiting.is_full(self._settings):
            return True
        return self._close(topic, record.partition) == record.offset + 1

    def _close(self, topic: str, partition: int) -> int:
        """Write the open object and commit; returns the offset after it."""
        waiting = self._open[topic, partition]
        key = ObjectName(topic, partition, waiting.start).key(self._settings.topics_dir)
        content = waiting.content()
        landed = self._store.put_if_absent(key, content)
        end = waiting.end if landed else self._end_of_existing(key, content)
        self._log.commit(GROUP, topic, {partition: end})
        del self._open[topic, partition]
        _log.info("object landed", topic=topic, partition=partition, first=waiting.start, end=end)
        return end

    def _end_of_existing(self, key: str, content: bytes) -> int:
        """Offset after an object that an earlier try wrote, perhaps cut elsewhere, of the same records."""
        existing = self._store.get(key)
        if content.startswith(existing) and not existing.endswith(b"\n"):  # torn by a power cut
            self._store.delete(key)
            self._store.put_if_absent(key, content)
            existing = content
        if not (existing.startswith(content) or content.startswith(existing)):
            raise BadInput(
                f"{self._store.where(key)} does not hold the records that the log has at its offsets",
                "move it away; the sink then writes it again from the log",
            )
        return end_offset(self._store, key)


def _line(topic: str, record: StoredRecord) -> bytes:
    position = {
        "_topic": topic,
        "_partition": record.partition,
        "_offset": record.offset,
        "_timestamp": record.timestamp,
    }
    return landed_line(record.value, position_suffix(position))
