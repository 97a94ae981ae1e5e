"""Which streams Kinesis has, in what state and with which shards; makes and deletes them."""

import threading
import time
from typing import Any, Final, NamedTuple

from pinterest_pipeline.errors import StreamInUse, TopicExists, Unavailable, UnknownTopic
from pinterest_pipeline.eventlog.kinesis_client import Client, Pauses
from pinterest_pipeline.eventlog.kinesis_shapes import milliseconds, stream_of
from pinterest_pipeline.eventlog.streams import Stream

_FRESH_SECONDS: Final = 1.0
"""AWS describes 20 streams a second for a whole account, and a loader asks for each of its steps."""

_CHANGE_SECONDS: Final = 300.0
_STATE_ASKED: Final = (0.05, 1.0)  # first and longest pause between two looks at a stream that changes


class _Known(NamedTuple):
    stream: Stream
    until: float


class Directory:
    """The streams of one account. Any thread may use it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._ends: dict[tuple[str, int], dict[int, int]] = {}
        """The ends of closed shards that were read to them, by the stream's name and creation."""

    def stream(self, name: str) -> Stream:
        """A stream as it is now, or was a second ago; raises UnknownTopic."""
        with self._lock:
            known = self._known.get(name)
        if known is not None and time.monotonic() < known.until:
            return known.stream
        until = time.monotonic() + _FRESH_SECONDS
        stream = self._asked(name)
        with self._lock:
            self._known[name] = _Known(stream, until)
        return stream

    def may_be(self, name: str, created_ms: int) -> bool:
        """Whether the stream that was made then is the one of this name, as far as was seen; asks nobody."""
        with self._lock:
            known = self._known.get(name)
        return known is None or known.stream.created_ms == created_ms

    def forget(self, name: str) -> None:
        """Ask anew when the stream is next wanted."""
        with self._lock:
            self._known.pop(name, None)

    def ended(self, stream: Stream, shard: int, end: int) -> None:
        """Keep where a closed shard was read to its end: Kinesis itself does not tell."""
        with self._lock:
            ends = self._ends.setdefault((stream.name, stream.created_ms), {})
            ends[shard] = min(end, ends.get(shard, end))
            self._known.pop(stream.name, None)

    def names(self) -> list[str]:
        found: list[str] = []
        more = True
        while more:
            start = {"ExclusiveStartStreamName": found[-1]} if found else {}
            answer = self._client.insist("list_streams", **start)
            found += answer["StreamNames"]
            more = answer["HasMoreStreams"]
        return sorted(found)

    def create(self, name: str, shards: int) -> None:
        """Make a stream and wait until it is ACTIVE; raises TopicExists, when that one is.

        One that is being deleted is waited for first: its name is free once it is gone.
        """
        pauses, deadline = Pauses(*_STATE_ASKED), time.monotonic() + _CHANGE_SECONDS
        while not self._begun(name, shards):
            self._pause(name, "deleted", pauses, deadline)
        self._wait_until_active(name)

    def _begun(self, name: str, shards: int) -> bool:
        """Whether the stream is on its way now; raises TopicExists, once the one of its name is ACTIVE."""
        try:
            self._client.insist("create_stream", name, StreamName=name, ShardCount=shards)
        except TopicExists:
            if self._status(name) in ("DELETING", None):
                return False
            self._wait_until_active(name)
            raise
        return True

    def delete(self, name: str) -> None:
        """Delete a stream and wait until it is gone; raises UnknownTopic and StreamInUse."""
        try:
            self._client.insist("delete_stream", name, StreamName=name)
        except StreamInUse:
            if self._status(name) != "DELETING":
                raise
        pauses, deadline = Pauses(*_STATE_ASKED), time.monotonic() + _CHANGE_SECONDS
        while self._status(name) == "DELETING":
            self._pause(name, "deleted", pauses, deadline)
        self.forget(name)

    def _wait_until_active(self, name: str) -> None:
        self.forget(name)
        pauses, deadline = Pauses(*_STATE_ASKED), time.monotonic() + _CHANGE_SECONDS
        while self._status(name) not in ("ACTIVE", "UPDATING"):
            self._pause(name, "ACTIVE", pauses, deadline)

    def _status(self, name: str) -> str | None:
        try:
            return str(self._summary(name)["StreamStatus"])
        except UnknownTopic:
            return None

    def _pause(self, name: str, wanted: str, pauses: Pauses, deadline: float) -> None:
        if not self._client.paused(pauses.next(), deadline):
            raise Unavailable(
                f"the stream '{name}' at {self._client.address} is not {wanted} yet", "ask again later"
            )

    def _asked(self, name: str) -> Stream:
        summary, shards = self._summary(name), self._shards(name)
        key = (name, milliseconds(summary["StreamCreationTimestamp"]))
        with self._lock:
            ends = dict(self._ends.get(key, {}))
        return stream_of(summary, shards, ends)

    def _summary(self, name: str) -> dict[str, Any]:
        answer = self._client.insist("describe_stream_summary", name, StreamName=name)
        summary: dict[str, Any] = answer["StreamDescriptionSummary"]
        return summary

    def _shards(self, name: str) -> list[dict[str, Any]]:
        answer = self._client.insist("list_shards", name, StreamName=name)
        found: list[dict[str, Any]] = answer["Shards"]
        while token := answer.get("NextToken"):
            answer = self._client.insist("list_shards", name, NextToken=token)
            found += answer["Shards"]
        return found
