"""What consumer instances are and where they stand, in one SQLite file that all gateways of a folder share.

A commit outlives the process that made it, at no cost; after a loss of power the last ones may be missing.
Then positions are those of a moment before: records come again, none is left out.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pinterest_pipeline.errors import ConsumerExists, UnknownConsumer
from pinterest_pipeline.eventlog.base import Part
from pinterest_pipeline.eventlog.filelock import FileLock, opened_under_lock
from pinterest_pipeline.gateway.consumer_file import (
    Holding,
    Instance,
    Kept,
    Range,
    Topics,
    holdings_of,
    instance_of,
    known_to,
    let_go,
    members,
    note_change,
    now_ms,
    of_earlier,
    opened,
    remove,
    take,
    translated,
    unknown,
)
from pinterest_pipeline.gateway.consumer_shapes import InstanceSettings, Subscribe
from pinterest_pipeline.gateway.consumer_turns import Turn, Turns
from pinterest_pipeline.gateway.sharing import shares


class ConsumerStore:
    """The instances of a folder, which is made when it is needed first. Any thread may use it.

    An instance that was not used for `timeout_seconds` is removed. Every method may raise Unavailable or
    DiskFull.
    """

    def __init__(self, folder: Path, timeout_seconds: float = 300.0) -> None:
        self._path = folder / "consumers.sqlite"
        self._timeout_ms = int(timeout_seconds * 1_000)
        self._turns = Turns(folder / "turns")
        self._lock = threading.Lock()
        self._file: tuple[FileLock, sqlite3.Connection] | None = None

    @property
    def timeout_seconds(self) -> float:
        return self._timeout_ms / 1_000

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                lock, connection = self._file
                connection.close()
                lock.close()
                self._file = None

    # Instances

    def create(self, group: str, name: str, settings: InstanceSettings) -> None:
        """Make an instance; raises ConsumerExists."""
        self.remove_unused()
        with self._transaction() as connection:
            row = (group, name, msgspec.json.encode(settings), now_ms())
            try:
                connection.execute(
                    "INSERT INTO instances (consumer_group, name, settings, used_ms) VALUES (?, ?, ?, ?)", row
                )
            except sqlite3.IntegrityError:
                raise ConsumerExists(
                    f"the group '{group}' has a consumer instance '{name}' already",
                    "use it, delete it, or choose another name",
                ) from None

    def enter(self, group: str, name: str) -> tuple[Instance, Turn] | None:
        """The instance, and the turn to work on it; None while another request has the turn.

        Raises UnknownConsumer.
        """
        self.remove_unused()
        turn = self._turns.take(self._id(group, name))
        if turn is None:
            return None
        try:
            return self._load(group, name, turn.id), turn
        except BaseException as error:
            try:
                if isinstance(error, UnknownConsumer):
                    self._turns.forget(turn.id)
            finally:
                turn.end()
            raise

    def remove_unused(self) -> None:
        """Remove the instances that were not used for too long, but none that is just being answered."""
        with self._transaction(write=False) as connection:
            limit = now_ms() - self._timeout_ms
            rows = connection.execute("SELECT id FROM instances WHERE used_ms < ?", (limit,)).fetchall()
        for (id_,) in rows:
            turn = self._turns.take(id_)
            if turn is not None:
                try:
                    self._remove_unless_used(id_, limit)
                finally:
                    turn.end()

    def _remove_unless_used(self, id_: int, limit: int) -> None:
        """Remove an instance whose turn the caller has, unless it was used since `limit`.

        Another gateway may have removed it just before: then the turn has made its file anew.
        """
        with self._transaction() as connection:
            remove(connection, "id = ? AND used_ms < ?", (id_, limit))
            left = connection.execute("SELECT 1 FROM instances WHERE id = ?", (id_,)).fetchone()
        if left is None:
            self._turns.forget(id_)

    def remove(self, instance: Instance) -> None:
        """Remove an instance whose turn the caller has."""
        with self._transaction() as connection:
            remove(connection, "id = ?", (instance.id,))
        self._turns.forget(instance.id)

    def _id(self, group: str, name: str) -> int:
        with self._transaction(write=False) as connection:
            row = connection.execute(
                "SELECT id FROM instances WHERE consumer_group = ? AND name = ?", (group, name)
            ).fetchone()
        if row is None:
            raise unknown(group, name)
        return int(row[0])

    def _load(self, group: str, name: str, id_: int) -> Instance:
        with self._transaction() as connection:
            connection.execute("UPDATE instances SET used_ms = ? WHERE id = ?", (now_ms(), id_))
            row = connection.execute(
                "SELECT settings, subscription, topics, answer,"
                " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)"
                " FROM instances WHERE id = ?",
                (id_,),
            ).fetchone()
        if row is None:
            raise unknown(group, name)
        return instance_of(id_, group, name, row)

    # Partitions

    def holdings(self, instance: Instance) -> list[Holding]:
        with self._transaction(write=False) as connection:
            return holdings_of(connection, instance)

    def subscribe(self, instance: Instance, subscription: Subscribe, topics: Topics) -> Instance:
        """The instance with another subscription, which comes to these topics; `share` does the rest.

        Topics that it came to before, or its group by the same subscription, are known as they were
        then: what came since is later.
        """
        text = msgspec.json.encode(subscription)
        with self._transaction() as connection:
            known: Topics = {**topics, **instance.topics}
            for earlier in known_to(connection, instance.group, text):
                known = {name: earlier[name] for name in known if name in earlier}
            connection.execute(
                "UPDATE instances SET subscription = ?, topics = ? WHERE id = ?",
                (text, msgspec.json.encode(known), instance.id),
            )
            note_change(connection, instance.group)
        return msgspec.structs.replace(instance, subscription=subscription, topics=known)

    def unsubscribe(self, instance: Instance) -> None:
        """Hold nothing any more, by subscription or by assignment."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE instances SET subscription = NULL, topics = NULL WHERE id = ?", (instance.id,)
            )
            connection.execute("DELETE FROM holdings WHERE instance_id = ?", (instance.id,))
            note_change(connection, instance.group)

    def assign(self, instance: Instance, parts: Sequence[Part], topics: Topics) -> None:
        """Hold these partitions and no others; what was held already keeps its position."""
        with self._transaction() as connection:
            held = {(held.topic, held.partition): held for held in holdings_of(connection, instance)}
            let_go(connection, [holding for part, holding in held.items() if part not in parts])
            missing = [part for part in parts if part not in held]
            take(connection, instance, missing, topics, topics, shared=False)
            note_change(connection, instance.group)

    def renew(self, instance: Instance, holdings: Sequence[Holding], topics: Topics) -> list[Holding]:
        """Hold the same partitions of their topics' successors instead; all that it holds then."""
        with self._transaction() as connection:
            let_go(connection, holdings)
            parts = [(holding.topic, holding.partition) for holding in holdings]
            take(connection, instance, parts, topics, {}, shared=False)
            return holdings_of(connection, instance)

    def share(self, instance: Instance, topics: Topics) -> tuple[list[Holding], list[Holding]]:
        """Take of the instance's share of these topics what nobody holds.

        All that it holds then; and what of that is none of its share, to be let go once its position is kept.
        """
        with self._transaction() as connection:
            if topics != instance.topics:
                text = msgspec.json.encode(topics)
                connection.execute("UPDATE instances SET topics = ? WHERE id = ?", (text, instance.id))
                note_change(connection, instance.group)
            share = shares(instance.name, members(connection, instance.group), topics)
            held = holdings_of(connection, instance)
            earlier = of_earlier(held, topics)
            let_go(connection, earlier)
            held = [one for one in held if one not in earlier]
            surplus = [one for one in held if (one.topic, one.partition) not in share]
            missing = share.keys() - {(one.topic, one.partition) for one in held}
            if missing:
                take(connection, instance, sorted(missing), topics, instance.topics, shared=True)
                held = holdings_of(connection, instance)
            return held, surplus

    def let_go(self, instance: Instance, holdings: Iterable[Holding]) -> None:
        """Leave holdings to the others of the group."""
        with self._transaction() as connection:
            let_go(connection, holdings)
            note_change(connection, instance.group)

    def holder(self, group: str, part: Part) -> str | None:
        """The name of the instance that holds a partition by its subscription."""
        with self._transaction(write=False) as connection:
            row = connection.execute(
                "SELECT i.name FROM holdings h JOIN instances i ON i.id = h.instance_id"
                " WHERE h.shared AND h.consumer_group = ? AND h.topic = ? AND h.partition = ?",
                (group, *part),
            ).fetchone()
        return None if row is None else str(row[0])

    # Positions

    def place(self, positions: Iterable[tuple[Holding, int, int | None]]) -> None:
        """Set where holdings stand, and where their group's position was kept."""
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE holdings SET position = ?, committed = ?, moves = moves + 1 WHERE id = ?",
                [(position, committed, holding.id) for holding, position, committed in positions],
            )

    def kept(self, holdings: Iterable[tuple[Holding, int]]) -> None:
        """Note where the group's position of holdings was kept."""
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE holdings SET committed = ? WHERE id = ?",
                [(position, holding.id) for holding, position in holdings],
            )

    def promise(self, instance: Instance, kept: Kept) -> None:
        """Remember what an answer holds, before it is given."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE instances SET answer = ? WHERE id = ?", (msgspec.json.encode(kept), instance.id)
            )

    def delivered(self, instance: Instance, ranges: Sequence[Range]) -> None:
        """Move on behind the records of an answer, where nobody has moved meanwhile."""
        with self._transaction() as connection:
            connection.execute("UPDATE instances SET used_ms = ? WHERE id = ?", (now_ms(), instance.id))
            (latest,) = connection.execute(
                "SELECT coalesce(max(moves), 0) FROM holdings WHERE instance_id = ?", (instance.id,)
            ).fetchone()
            connection.executemany(
                "UPDATE holdings SET position = ?, moves = ? WHERE id = ? AND moves = ?",
                [(range_.next, latest + 1, range_.holding, range_.moves) for range_ in ranges],
            )

    def changes(self, groups: Sequence[str]) -> dict[str, int]:
        """When members or shares of groups changed last; a group that has no instance is left out."""
        with self._transaction(write=False) as connection:
            rows = connection.execute(
                "SELECT consumer_group, generation FROM changes"
                " WHERE consumer_group IN (SELECT value FROM json_each(?))",
                (msgspec.json.encode(groups).decode(),),
            ).fetchall()
        return dict(rows)

    @contextmanager
    def _transaction(self, *, write: bool = True) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._file is None:
                    self._file = opened_under_lock(self._path, opened)
                lock, connection = self._file
                if not write:
                    yield connection
                    return
                # SQLite, before its version 3.51.3, may lose what is committed while another process begins a
                # checkpoint (https://sqlite.org/wal.html#walresetbug): here one ends before the other begins.
                with lock.held(), connection:
                    connection.execute("BEGIN IMMEDIATE")
                    yield connection
            except (sqlite3.Error, OSError) as error:
                raise translated(error, self._path) from error
