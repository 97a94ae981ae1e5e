"""Reads shards by iterators: each goes on where one ended, and is renewed once it is too old."""

import threading
import time
from collections import OrderedDict
from typing import Any, Final, NamedTuple

from pinterest_pipeline.errors import BadInput, Retryable, Throttled, UnknownPartition, UnknownTopic
from pinterest_pipeline.eventlog.base import StoredRecord
from pinterest_pipeline.eventlog.kinesis_client import Client, Pauses
from pinterest_pipeline.eventlog.kinesis_directory import Directory
from pinterest_pipeline.eventlog.kinesis_errors import ExpiredIterator
from pinterest_pipeline.eventlog.kinesis_shapes import records_of
from pinterest_pipeline.eventlog.sequence import sequence_number, shard_id
from pinterest_pipeline.eventlog.stream_log import ShardRecords, within
from pinterest_pipeline.eventlog.streams import Shard

_MOST_RECORDS: Final = 10_000
_MOST_ITERATORS: Final = 1_000
_TURN_SECONDS: Final = 30.0
"""How long a read waits for its turn: a shard gives 2 MB a second, and an answer may have 10."""

_STRETCH_SECONDS: Final = 0.2
"""The pause behind a stretch that held nothing: a shard gives 5 reads a second."""

_Place = tuple[str, int, int]
"""A stream, a shard of it, and a position."""


class _Iterator(NamedTuple):
    token: str
    created_ms: int
    """Of its stream."""


class Reader:
    """The reading half of the log. Any thread may use it."""

    def __init__(self, client: Client, directory: Directory) -> None:
        self._client = client
        self._directory = directory
        self._lock = threading.Lock()
        self._iterators: OrderedDict[_Place, _Iterator] = OrderedDict()

    def read(
        self, name: str, number: int, position: int, max_records: int, max_bytes: int
    ) -> list[StoredRecord]:
        """What is there; waits for its turn, and passes over stretches of a shard that hold nothing."""
        pauses, began = Pauses(), time.monotonic()
        while True:
            try:
                found = self.get(name, number, position, max_records, max_bytes)
            except Retryable as error:
                patience = _TURN_SECONDS if isinstance(error, Throttled) else self._client.seconds
                if not self._client.paused(pauses.next(), began + patience):
                    raise
                continue
            if found.records or found.is_over or not found.behind_ms:
                return found.records
            self._client.paused(_STRETCH_SECONDS, float("inf"))

    def get(self, name: str, number: int, position: int, max_records: int, max_bytes: int) -> ShardRecords:
        """What one request gives."""
        place = (name, number, position)
        iterator = self._taken(place) or self._asked(place)
        limit = min(max_records, _MOST_RECORDS)
        try:
            answer = self._client.ask("get_records", name, ShardIterator=iterator.token, Limit=limit)
        except Retryable:
            self._keep(place, iterator)
            raise
        except ExpiredIterator:
            return self.get(name, number, position, max_records, max_bytes)
        except UnknownTopic:
            self._directory.forget(name)
            raise
        except BadInput:
            iterator = self._asked_anew(place, iterator)
            answer = self._client.ask("get_records", name, ShardIterator=iterator.token, Limit=limit)
        return self._found(place, iterator, answer, max_bytes)

    def _found(
        self, place: _Place, iterator: _Iterator, answer: dict[str, Any], max_bytes: int
    ) -> ShardRecords:
        name, number, position = place
        found = records_of(number, answer["Records"])
        taken = within(found, max_bytes)
        following = answer.get("NextShardIterator")
        behind_ms = answer.get("MillisBehindLatest", 0)
        if len(taken) < len(found):
            return ShardRecords(taken, max(1, behind_ms), is_over=False)
        behind = taken[-1].offset + 1 if taken else position
        if following is None:
            self._note_end(name, number, behind)
        else:
            self._keep((name, number, behind), iterator._replace(token=following))
        return ShardRecords(taken, behind_ms, is_over=following is None)

    def _note_end(self, name: str, number: int, end: int) -> None:
        stream = self._directory.stream(name)
        shard = stream.shard(number)
        if shard is not None:
            self._directory.ended(stream, number, max(end, shard.start))

    def _taken(self, place: _Place) -> _Iterator | None:
        """The iterator at a place, which is then nobody else's; none of a stream that was replaced."""
        with self._lock:
            found = self._iterators.pop(place, None)
        return found if found and self._directory.may_be(place[0], found.created_ms) else None

    def _keep(self, place: _Place, iterator: _Iterator) -> None:
        with self._lock:
            self._iterators[place] = iterator
            if len(self._iterators) > _MOST_ITERATORS:
                self._iterators.popitem(last=False)

    def _asked(self, place: _Place) -> _Iterator:
        """A new iterator; raises UnknownTopic and UnknownPartition."""
        name, number, position = place
        stream = self._directory.stream(name)
        if stream.shard(number) is None:  # a shard of this second, perhaps
            self._directory.forget(name)
            stream = self._directory.stream(name)
        shard = stream.shard(number)
        if shard is None:
            raise UnknownPartition(name, number)
        answer = self._client.insist(
            "get_shard_iterator", name, StreamName=name, ShardId=shard_id(number), **_kind(shard, position)
        )
        return _Iterator(answer["ShardIterator"], stream.created_ms)

    def _asked_anew(self, place: _Place, refused: _Iterator) -> _Iterator:
        """Another one for an iterator that was refused; raises UnknownTopic when its stream is gone."""
        self._directory.forget(place[0])
        if self._directory.stream(place[0]).created_ms != refused.created_ms:
            raise UnknownTopic(place[0])
        return self._asked(place)


def _kind(shard: Shard, position: int) -> dict[str, str]:
    """Where an iterator begins. A position lies behind a record, unless it is before all of them."""
    if position <= shard.start:
        return {"ShardIteratorType": "TRIM_HORIZON"}
    number = sequence_number(position - 1)
    return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": number}
