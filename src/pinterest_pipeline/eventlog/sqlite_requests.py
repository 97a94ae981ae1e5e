"""Requests that may come again: key, fingerprint and outcomes, kept in the transaction of their records."""

import sqlite3
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from pinterest_pipeline.errors import KeyReused
from pinterest_pipeline.eventlog.base import Once, Receipt, Refusal
from pinterest_pipeline.eventlog.sqlite_file import insert

Outcomes: TypeAlias = list[Receipt | Refusal]

_KEYS_PER_QUERY: Final = 500
_REMOVED_PER_NEW: Final = 2
"""More than one, so that what is too old ends some time; few, so that no transaction is long."""

_DECODER: Final = msgspec.msgpack.Decoder(Outcomes)


class Requests:
    """The requests of one transaction, among all that are remembered."""

    def __init__(self, connection: sqlite3.Connection, keys: Sequence[str]) -> None:
        """`keys` are all that the transaction will ask for: they are looked up together."""
        self._connection = connection
        self._known: dict[tuple[int, str], tuple[bytes, bytes]] = {}
        self._new: list[tuple[int, str]] = []
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            self._look_up(keys[start : start + _KEYS_PER_QUERY])

    def _look_up(self, keys: Sequence[str]) -> None:
        marks = ", ".join("?" * len(keys))
        rows = self._connection.execute(
            f"SELECT topic_id, key, fingerprint, outcomes FROM requests WHERE key IN ({marks})",  # noqa: S608
            keys,
        )
        for topic_id, key, fingerprint, outcomes in rows.fetchall():
            self._known[topic_id, key] = (fingerprint, outcomes)

    def outcomes(self, topic_id: int, once: Once) -> Outcomes | None:
        """What this very request came to, None when it is new; raises KeyReused for another request."""
        known = self._known.get((topic_id, once.key))
        if known is None:
            return None
        fingerprint, outcomes = known
        if fingerprint != once.fingerprint:
            raise KeyReused()
        return _DECODER.decode(outcomes)

    @property
    def are_new(self) -> bool:
        """Whether there is something to write."""
        return bool(self._new)

    def remember(self, topic_id: int, once: Once, outcomes: Outcomes) -> None:
        self._known[topic_id, once.key] = (once.fingerprint, msgspec.msgpack.encode(outcomes))
        self._new.append((topic_id, once.key))

    def flush(self, now: int, kept_ms: int) -> None:
        """Write what is new; forget a little of what is older than `kept_ms` (both in milliseconds)."""
        if not self._new:
            return
        values = [value for request in self._new for value in (*request, now, *self._known[request])]
        insert(self._connection, "requests (topic_id, key, kept_ms, fingerprint, outcomes)", 5, values)
        self._connection.execute(
            "DELETE FROM requests WHERE id IN"
            " (SELECT id FROM (SELECT id, kept_ms FROM requests ORDER BY id LIMIT ?) WHERE kept_ms < ?)",
            (_REMOVED_PER_NEW * len(self._new), now - kept_ms),
        )
        self._new = []
