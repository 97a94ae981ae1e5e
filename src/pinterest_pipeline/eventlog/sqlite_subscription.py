"""A member of a group in the `sqlite` home: reads what it holds, and settles with the others when told to."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.eventlog import sqlite_batches, sqlite_groups
from pinterest_pipeline.eventlog.base import READ_BYTES, Part, StoredRecord
from pinterest_pipeline.eventlog.sqlite_groups import Holding, Member, Settled, not_held
from pinterest_pipeline.eventlog.sqlite_readers import Readers
from pinterest_pipeline.eventlog.sqlite_writer import Transaction, Writer, now_ms

_FIRST_WAIT: Final = 0.002
_LONGEST_WAIT: Final = 0.05
"""Seconds between two looks at the file; one look takes some 12 µs (measured)."""

_BEATS_PER_SESSION: Final = 3


class SqliteSubscription:
    """A Subscription; raises UnknownTopic when made."""

    def __init__(self, readers: Readers, writer: Writer, member: Member) -> None:
        self._readers = readers
        self._writer = writer
        self._member = member
        self._held: dict[Part, Holding] = {}
        self._positions: dict[Part, int] = {}
        self._paused: set[Part] = set()
        self._turn = 0
        self._closed = False
        self._id = writer.submit(
            lambda transaction: sqlite_groups.join(transaction.connection, member, now_ms())
        ).result()

    def poll(self, max_records: int, seconds: float) -> dict[Part, list[StoredRecord]]:
        deadline, wait = time.monotonic() + seconds, _FIRST_WAIT
        while True:
            found = self._look(max_records)
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(wait, left))
            wait = min(2 * wait, _LONGEST_WAIT)

    def held(self) -> frozenset[Part]:
        return frozenset(self._held)

    def seek(self, part: Part, offset: int) -> None:
        self._require([part])
        self._positions[part] = max(offset, 0)

    def pause(self, parts: Sequence[Part]) -> None:
        self._require(parts)
        self._paused.update(parts)

    def resume(self, parts: Sequence[Part]) -> None:
        self._paused.difference_update(parts)

    def commit(self, positions: Mapping[Part, int]) -> None:
        self._require(positions)
        wanted = {part: (self._held[part].partition_id, offset) for part, offset in positions.items()}
        self._writer.submit(
            lambda transaction: sqlite_groups.commit_held(
                transaction.connection, self._member.group, self._id, wanted, now_ms()
            )
        ).result()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._held = {}
        self._writer.submit(
            lambda transaction: sqlite_groups.leave(transaction.connection, self._id)
        ).result()

    def _require(self, parts: Sequence[Part] | Mapping[Part, int]) -> None:
        for part in parts:
            if part not in self._held:
                raise not_held(part, self._member.group)

    def _look(self, max_records: int) -> dict[Part, list[StoredRecord]]:
        """What is there now, without waiting."""
        ends = self._ends()
        if ends is None:
            self._settle()
            ends = self._ends()
        return self._read(ends, max_records) if ends else {}

    def _ends(self) -> dict[int, int] | None:
        """The ends of the held partitions, by id; None when the member has to settle first."""
        with self._readers.one() as reader:
            rows = reader.execute(
                "SELECT m.heartbeat_ms, h.partition_id, p.next_offset FROM members m"
                " LEFT JOIN holdings h ON h.member_id = m.id LEFT JOIN partitions p ON p.id = h.partition_id"
                " WHERE m.id = ? AND NOT m.stale",
                (self._id,),
            ).fetchall()
        beat_ms = self._member.session_ms // _BEATS_PER_SESSION
        if not rows or not 0 <= now_ms() - rows[0][0] < beat_ms:
            return None
        return {partition_id: end for _, partition_id, end in rows if end is not None}

    def _settled(self, transaction: Transaction) -> Settled:
        if self._closed:
            raise Unavailable(f"this member has left the group '{self._member.group}'")
        return sqlite_groups.settle(transaction.connection, self._member, self._id, now_ms())

    def _settle(self) -> None:
        member_id, holdings = self._writer.submit(self._settled).result()
        kept = {
            part
            for part, holding in holdings.items()
            if member_id == self._id
            and part in self._held
            and self._held[part].partition_id == holding.partition_id
        }
        self._positions = {
            part: self._positions[part] if part in kept else holding.committed
            for part, holding in holdings.items()
        }
        self._paused &= kept
        self._id, self._held = member_id, holdings

    def _read(self, ends: Mapping[int, int], max_records: int) -> dict[Part, list[StoredRecord]]:
        """The next records of the partitions that have some; each time another one is first."""
        held = self._held  # the log may be closed meanwhile, by another thread
        waiting = [
            part
            for part, holding in held.items()
            if part not in self._paused and self._positions[part] < ends.get(holding.partition_id, 0)
        ]
        self._turn += 1
        first = self._turn % max(len(waiting), 1)
        found: dict[Part, list[StoredRecord]] = {}
        with self._readers.one() as reader:
            for part in waiting[first:] + waiting[:first]:
                if max_records <= 0:
                    break
                share = READ_BYTES // len(waiting)
                new = sqlite_batches.read(
                    reader, held[part].partition_id, part[1], self._positions[part], max_records, share
                )
                if new:
                    found[part] = new
                    max_records -= len(new)
                    self._positions[part] = new[-1].offset + 1
        return found
