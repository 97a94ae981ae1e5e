"""What the driver of a query knows of its streams: it looks at their shards and makes offsets of that."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pinterest_pipeline.engines.kinesis_source_client import Described, Gone, Kinesis
from pinterest_pipeline.engines.kinesis_source_offsets import (
    Offset,
    Place,
    StreamOffset,
    grown,
    is_news,
    moved,
    roots,
)
from pinterest_pipeline.engines.kinesis_source_options import KinesisOptions
from pinterest_pipeline.engines.kinesis_source_tail import NEW_CHECKPOINT, Seen, Tail
from pinterest_pipeline.errors import Fatal

NO_BOUND: Final = 2**63
_AT_ONCE: Final = 8  # shards that are looked at at one time
_NEVER: Final = (0.0, frozenset[str]())

Key = tuple[str, str]
"""A stream and one of its shards."""


class Driver:
    """What the driver knows of the streams of one query. Times are seconds of the monotonic clock."""

    def __init__(self, options: KinesisOptions) -> None:
        self._options = options
        self._kinesis = Kinesis(options)
        self._pool = ThreadPoolExecutor(_AT_ONCE, "kinesis")
        self._tails: dict[Key, Tail] = {}
        self._described: dict[str, Described] = {}
        self._looked_for_children: dict[str, tuple[float, frozenset[str]]] = {}
        self._only_until: float | None = None
        """With Trigger.AvailableNow: what came after this time need not be read."""

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def read_only_what_is_there(self) -> None:
        self._only_until = time.monotonic()

    def beginning(self) -> Offset:
        """Where a query without a checkpoint begins."""
        offset = {}
        for stream in self._options.streams:
            self._described[stream] = self._kinesis.describe(stream)
            position = self._options.initial_position
            if position == "trim_horizon":
                since = None
            else:
                since = self._kinesis.now(stream) if position == "latest" else position
            places = roots(self._kinesis.shards(stream, since), since)
            offset[stream] = StreamOffset(self._described[stream].created, places)
        return offset

    def recognise(self, offset: Offset) -> None:
        """Raise Fatal when the offset is of streams other than those that are there, or asked for."""
        if set(offset) != set(self._options.streams):
            raise Fatal(
                f"the checkpoint is of {', '.join(offset)}, the query of {', '.join(self._options.streams)}",
                "give each query a checkpointLocation of its own",
            )
        for stream, reached in offset.items():
            if stream not in self._described:
                self._recognise_stream(stream, reached.created)

    def _recognise_stream(self, stream: str, created: int) -> None:
        try:
            found = self._kinesis.describe(stream)
        except Gone:
            raise Fatal(
                f"the stream '{stream}' that the checkpoint is of is not there any more", NEW_CHECKPOINT
            ) from None
        if found.created != created:
            raise Fatal(
                f"the stream '{stream}' was deleted and made anew: the checkpoint is of one that was created"
                f" at {created} (ms since 1970), this one was at {found.created}",
                NEW_CHECKPOINT,
            )
        self._described[stream] = found

    def after(self, start: Offset, most: int, everything: bool) -> Offset | None:
        """The end of the batch that begins at `start`; None when there is nothing new.

        `most` is the number of bytes that fill it; with `everything` it goes to the end of each shard.
        """
        self.recognise(start)
        offset = {stream: self._with_children(stream, reached) for stream, reached in start.items()}
        seen = self._gather(offset, most, everything)
        is_new = offset != start or any(
            is_news(offset[stream].shards[shard], found.place) for (stream, shard), found in seen.items()
        )
        if not is_new:
            return None
        return {
            stream: StreamOffset(
                reached.created,
                {
                    shard: moved(place, seen[stream, shard].place) if (stream, shard) in seen else place
                    for shard, place in reached.shards.items()
                },
            )
            for stream, reached in offset.items()
        }

    def _with_children(self, stream: str, reached: StreamOffset) -> StreamOffset:
        """The places once more, with the children of closed shards; they may not be listed at once."""
        closed = frozenset(shard for shard, place in reached.shards.items() if place.closed)
        now, (then, looked_for) = time.monotonic(), self._looked_for_children.get(stream, _NEVER)
        if not closed or (closed == looked_for and now - then < self._options.shard_fetch_interval):
            return reached
        self._looked_for_children[stream] = now, closed
        return StreamOffset(reached.created, grown(reached.shards, self._kinesis.shards(stream)))

    def _gather(self, offset: Offset, most: int, everything: bool) -> dict[Key, Seen]:
        """Look at the shards until there is enough for a batch.

        It waits as the options ask for, but never with records in hand for longer than one turn of a shard.
        """
        places = {
            (stream, shard): place
            for stream, reached in offset.items()
            for shard, place in reached.shards.items()
            if not place.closed
        }
        self._open_tails(offset, places)
        until = time.monotonic() + self._options.max_fetch_duration
        seen: dict[Key, Seen] = {}
        todo = [key for key in places if not self._is_done(key)]
        while todo and _size(seen) < most:
            due, wait = self._due(todo)
            has_records = any(found.place.records for found in seen.values())
            is_slow = wait > self._options.min_fetch_period or time.monotonic() + wait > until
            must_go_on = everything or (self._only_until is not None and not has_records)
            if seen and not must_go_on and (is_slow or not has_records):
                break
            time.sleep(wait)
            self._look_at(due, places, most, seen)
            todo = [key for key in todo if self._tails[key].behind_ms and not self._is_done(key)]
        return seen

    def _open_tails(self, offset: Offset, places: dict[Key, Place]) -> None:
        """A tail for each shard. Before a place is asked for anew, the stream must be the same as ever."""
        self._tails = {
            key: self._tails.get(key) or Tail(self._kinesis, self._options, *key) for key in places
        }
        for stream in {key[0] for key, place in places.items() if not self._tails[key].stands_at(place)}:
            self._recognise_stream(stream, offset[stream].created)

    def _due(self, todo: list[Key]) -> tuple[list[Key], float]:
        """The shards whose turn comes next, longest waiting first, and how long until it has come (s).

        Turns that come at almost one time are one, so that they make one batch.
        """
        turns = {key: self._tails[key].not_before for key in todo}
        last = max(min(turns.values()), time.monotonic()) + self._options.min_fetch_period / 2
        due = sorted(
            (key for key, turn in turns.items() if turn <= last), key=lambda key: self._tails[key].looked
        )
        return due, max(0.0, max(turns[key] for key in due) - time.monotonic())

    def _look_at(self, due: list[Key], places: dict[Key, Place], most: int, seen: dict[Key, Seen]) -> None:
        """One look at each of these shards, until there is enough."""
        for first in range(0, len(due), _AT_ONCE):
            some = due[first : first + _AT_ONCE]
            for key, found in zip(
                some, self._pool.map(lambda key: self._look(key, places[key]), some), strict=True
            ):
                seen[key] = seen[key].then(found) if key in seen else found
                places[key] = moved(places[key], found.place)
            if _size(seen) >= most:
                break

    def _look(self, key: Key, place: Place) -> Seen:
        stream, shard = key
        try:
            return self._tails[key].look(place, self._described[stream])
        except Gone as error:
            self._recognise_stream(stream, self._described[stream].created)
            raise Fatal(
                f"{shard} of the stream '{stream}' cannot be read on, its records may have expired unread:"
                f" {error.problem}",
                NEW_CHECKPOINT,
            ) from error

    def _is_done(self, key: Key) -> bool:
        """Whether a shard is read as far as Trigger.AvailableNow asks for: what was there when it began."""
        tail = self._tails[key]
        return self._only_until is not None and tail.looked - tail.behind_ms / 1000 >= self._only_until


def _size(seen: dict[Key, Seen]) -> int:
    return sum(found.size for found in seen.values())
