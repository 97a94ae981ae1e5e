"""Iterators over shards, and what they read: the same for the routes and for Kinesis' own API."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from pinterest_pipeline.errors import UnknownPartition
from pinterest_pipeline.eventlog.sequence import partition_of
from pinterest_pipeline.eventlog.stream_log import StreamLog
from pinterest_pipeline.eventlog.streams import Shard, Stream
from pinterest_pipeline.gateway import kinesis_answers
from pinterest_pipeline.gateway.error_codes import EXPIRED_ITERATOR, INVALID_ITERATOR, Fault

MAX_RECORDS: Final = 10_000
ITERATOR_MS: Final = 300_000


class Place(NamedTuple):
    """What a shard iterator says; it fits only the stream that was created at that time."""

    stream: str
    created_ms: int
    shard: int
    offset: int
    given_ms: int


_NOT_OURS: Final = Fault(INVALID_ITERATOR, "the shard iterator is not one that was given here")
_places: Final = msgspec.json.Decoder(Place)


def iterator(place: Place) -> str:
    """The text that stands for a place."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def place_of(text: str) -> Place | Fault:
    """The place that an iterator stands for."""
    try:
        place = _places.decode(base64.b64decode(text, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return _NOT_OURS
    return place if place.given_ms >= 0 and place.offset >= 0 else _NOT_OURS


def shard_named(stream: Stream, name: str) -> Shard:
    """The shard of a stream; raises UnknownPartition, and BadInput when the text names no shard."""
    shard = stream.shard(partition_of(name))
    if shard is None:
        raise UnknownPartition(stream.name, name)
    return shard


class ShardReader:
    """Reads the shards of one log."""

    def __init__(self, log: StreamLog) -> None:
        self._log = log

    def iterator(self, stream: Stream, shard: Shard, offset: int) -> str:
        """An iterator at an offset; it is good for five minutes."""
        return iterator(Place(stream.name, stream.created_ms, shard.number, offset, self._log.now()))

    def records(self, place: Place, limit: int = MAX_RECORDS) -> tuple[kinesis_answers.Records, int] | Fault:
        """What is at a place, and how many records; raises UnknownTopic and Throttled."""
        now = self._log.now()
        if now - place.given_ms > ITERATOR_MS:
            return _expired(place.given_ms, now)
        stream = self._log.stream(place.stream)
        if place.created_ms != stream.created_ms:
            return Fault(INVALID_ITERATOR, "the shard iterator is of another stream")
        try:
            found = self._log.get(place.stream, place.shard, place.offset, min(limit, MAX_RECORDS))
        except UnknownPartition:
            return Fault(INVALID_ITERATOR, "the shard iterator is of no shard")
        offset = found.records[-1].offset + 1 if found.records else place.offset
        answer = kinesis_answers.records(
            found.records,
            None if found.is_over else iterator(place._replace(offset=offset, given_ms=now)),
            found.behind_ms,
            self._log.stream(place.stream).children(place.shard) if found.is_over else None,
        )
        return answer, len(found.records)


def _expired(given_ms: int, now: int) -> Fault:
    given, seen = (datetime.fromtimestamp(time / 1000, UTC).ctime() for time in (given_ms, now))
    return Fault(
        EXPIRED_ITERATOR,
        f"Iterator expired. The iterator was created at time {given} UTC while right now it is {seen} UTC"
        f" which is further in the future than the tolerated delay of {ITERATOR_MS} milliseconds.",
    )
