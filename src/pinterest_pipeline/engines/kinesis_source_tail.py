"""The driver's look at one shard: which records there are behind a place, without keeping them."""

import time
from contextlib import suppress
from typing import Any, Final, NamedTuple

from pinterest_pipeline.engines.kinesis_source_client import (
    Answer,
    Described,
    Expired,
    Gone,
    Kinesis,
    milliseconds,
)
from pinterest_pipeline.engines.kinesis_source_offsets import Place
from pinterest_pipeline.engines.kinesis_source_options import KinesisOptions
from pinterest_pipeline.errors import Fatal

NEW_CHECKPOINT: Final = (
    "start with another checkpointLocation: rows that the tables hold already change nothing there"
)


class Seen(NamedTuple):
    """What a look found."""

    place: Place
    size: int
    """Bytes of data and keys."""

    def then(self, later: "Seen") -> "Seen":
        """Two looks, one behind the other, as one."""
        first, last = self.place, later.place
        place = Place(
            first.first or last.first,
            last.last or first.last,
            first.records + last.records,
            seen=last.seen,
            closed=last.closed,
        )
        return Seen(place, self.size + later.size)


class Tail:
    """One shard as the driver follows it; one thread at a time. Times are seconds of the monotonic clock."""

    def __init__(self, kinesis: Kinesis, options: KinesisOptions, stream: str, shard: str) -> None:
        self._kinesis = kinesis
        self._options = options
        self._stream = stream
        self._shard = shard
        self._iterator: str | None = None
        self._stands_at: str | None = None
        """The sequence number that the iterator stands behind; None when there is no iterator."""
        self._expected = ""
        """The record that must come first, for nothing behind it to be missing."""
        self.not_before = 0.0
        self.behind_ms = 1
        """How far behind the newest record it was at the last look; more than 0 before the first."""
        self.looked = 0.0

    def stands_at(self, place: Place) -> bool:
        """Whether it can go on there without asking where that is."""
        return self._iterator is not None and self._stands_at == place.last

    def look(self, place: Place, stream: Described) -> Seen:
        """Ask once for what is behind a place. Raises Gone, and Fatal if records may have expired unread."""
        answer = self._ask(place)
        records = answer.records
        if self._expected and (records or not answer.behind_ms):
            if records and records[0]["SequenceNumber"] == self._expected:
                del records[0]
            else:
                self._refuse_a_gap(place, answer.now, stream)
            self._expected = ""
        drop_earlier(records, place)
        size = sum(len(record["Data"]) + len(record["PartitionKey"]) for record in answer.records)
        self._pace(size, answer)
        found = Place(
            first=records[0]["SequenceNumber"] if records else "",
            last=records[-1]["SequenceNumber"] if records else "",
            records=len(records),
            seen=answer.now - answer.behind_ms,
            closed=answer.next_iterator is None,
        )
        self._iterator = answer.next_iterator
        self._stands_at = found.last or place.last
        return Seen(found, size)

    def _ask(self, place: Place) -> Answer:
        if not self.stands_at(place):
            self._open(place)
        assert self._iterator is not None
        most = self._options.max_records_per_fetch
        try:
            return self._kinesis.get(self._iterator, most)
        except Expired:
            self._open(place)
            return self._kinesis.get(self._iterator, most)

    def _open(self, place: Place) -> None:
        self._stands_at, self._expected = place.last, place.last
        self._iterator = self._iterator_at(place)

    def _iterator_at(self, place: Place) -> str:
        """At the record that was read last, to see that it is there; else where the shard begins."""
        ask = self._kinesis.iterator
        if place.last:
            with suppress(Gone):
                return ask(self._stream, self._shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=place.last)
        if place.since is not None:
            return ask(self._stream, self._shard, "AT_TIMESTAMP", Timestamp=place.since / 1000)
        return ask(self._stream, self._shard, "TRIM_HORIZON")

    def _pace(self, size: int, answer: Answer) -> None:
        self.looked = time.monotonic()
        wait = max(self._options.min_fetch_period, size / self._options.bytes_a_second)
        self.not_before = self.looked + wait
        self.behind_ms = answer.behind_ms if answer.next_iterator else 0

    def _refuse_a_gap(self, place: Place, now: int, stream: Described) -> None:
        """The record that was read last has expired: those behind it too, unless all of them were seen."""
        if place.seen is None or now - place.seen >= stream.retention_ms:
            raise Fatal(
                f"records of {self._shard} of the stream '{self._stream}' may have expired unread: the one"
                f" that was read last is not there any more, and the stream keeps records for"
                f" {stream.retention_ms // 3_600_000} hours",
                NEW_CHECKPOINT,
            )


def drop_earlier(records: list[dict[str, Any]], place: Place) -> None:
    """Take away what came before the time from which on the shard counts: boto3 asks for whole seconds."""
    if place.since is not None and not place.last:
        kept = next(
            (
                number
                for number, record in enumerate(records)
                if milliseconds(record["ApproximateArrivalTimestamp"]) >= place.since
            ),
            len(records),
        )
        del records[:kept]
