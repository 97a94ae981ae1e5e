"""The file of the consumer instances: its tables, and its rows as what they mean."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from pinterest_pipeline.errors import DiskFull, PipelineError, Unavailable, UnknownConsumer, is_disk_full
from pinterest_pipeline.eventlog.base import Part
from pinterest_pipeline.gateway.consumer_shapes import InstanceSettings, Subscribe

_BUSY_SECONDS: Final = 30.0
_VERSION: Final = 2

# `topics` holds what the subscription came to when its owner asked last. Of the holdings that come from
# subscriptions, each partition has one in its group; of those that were assigned by hand, any number.
_TABLES: Final = (
    """CREATE TABLE instances (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        consumer_group TEXT NOT NULL,
        name TEXT NOT NULL,
        settings BLOB NOT NULL,
        subscription BLOB,
        topics BLOB,
        answer BLOB,
        used_ms INTEGER NOT NULL,
        UNIQUE (consumer_group, name)
    )""",
    "CREATE INDEX instances_by_use ON instances (used_ms)",
    """CREATE TABLE holdings (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        instance_id INTEGER NOT NULL,
        consumer_group TEXT NOT NULL,
        topic TEXT NOT NULL,
        partition INTEGER NOT NULL,
        topic_id TEXT NOT NULL,
        shared INTEGER NOT NULL,
        position INTEGER,
        committed INTEGER,
        later INTEGER NOT NULL,
        moves INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX holdings_by_instance ON holdings (instance_id)",
    "CREATE UNIQUE INDEX shared_once ON holdings (consumer_group, topic, partition) WHERE shared",
    "CREATE TABLE changes (generation INTEGER PRIMARY KEY AUTOINCREMENT, consumer_group TEXT UNIQUE)",
    f"PRAGMA user_version = {_VERSION}",
)

# Instances of another version of the file end as unused ones do: their groups' positions are in the log.
_REMOVAL: Final = tuple(f"DROP TABLE IF EXISTS {table}" for table in ("instances", "holdings", "changes"))


Topics = Mapping[str, tuple[str, int]]
"""Topics that are there: the id and the number of partitions of each."""


class Range(msgspec.Struct, frozen=True, array_like=True):
    """Records that an answer holds: of a holding, from an offset up to one that is not among them."""

    holding: int
    moves: int
    topic: str
    topic_id: str
    partition: int
    first: int
    next: int
    count: int


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """The last answer that may be asked for again, and the key to ask with."""

    key: str
    ranges: list[Range]


def _anything(_: str) -> bool:
    return True


class Instance(msgspec.Struct, frozen=True):
    """A consumer instance, as it is at a generation; `topics` are those its subscription came to."""

    id: int
    group: str
    name: str
    settings: InstanceSettings
    subscription: Subscribe | None
    topics: Topics
    answer: Kept | None
    generation: int
    may_read: Callable[[str], bool] = _anything
    """Whether the caller of this request may read a topic."""


class Holding(msgspec.Struct, frozen=True, array_like=True):
    """A partition that an instance reads. `moves` grows whenever its position is set.

    One that came `later` than the subscription is read from its beginning, whatever the instance asked for.
    """

    id: int
    topic: str
    partition: int
    topic_id: str
    shared: bool
    position: int | None
    committed: int | None
    later: bool
    moves: int

    @property
    def dirty(self) -> bool:
        """Whether it stands elsewhere than where its group's position was kept."""
        return self.position is not None and self.position != self.committed


Place = TypeVar("Place", Holding, Range, Holding | Range)


def of_earlier(places: Sequence[Place], topics: Topics) -> list[Place]:
    """Those of a topic that was deleted and that these topics have a successor of."""
    return [place for place in places if topics.get(place.topic, (place.topic_id, 0))[0] != place.topic_id]


# Made here, also what is only converted: msgspec ends the process when threads meet a type that is new to it.
msgspec.json.Decoder(Holding)
_settings: Final = msgspec.json.Decoder(InstanceSettings)
_subscription: Final = msgspec.json.Decoder(Subscribe)
_topics: Final = msgspec.json.Decoder(dict[str, tuple[str, int]])
_kept: Final = msgspec.json.Decoder(Kept)
_HOLDINGS: Final = (
    "SELECT id, topic, partition, topic_id, shared, position, committed, later, moves FROM holdings"
    " WHERE instance_id = ? ORDER BY topic, partition"
)


def opened(path: Path) -> sqlite3.Connection:
    """A connection to the file, which is made when absent; its folder is there."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone() != (_VERSION,):
            for statement in (*_REMOVAL, *_TABLES):
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def translated(error: Exception, path: Path) -> PipelineError:
    """An error of SQLite or of the system as one of ours."""
    if is_disk_full(error):
        return DiskFull(f"the disk of {path} is full", "free some space")
    return Unavailable(f"the file of the consumer instances, {path}, does not answer: {error}", "try again")


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def unknown(group: str, name: str) -> UnknownConsumer:
    return UnknownConsumer(
        f"the group '{group}' has no consumer instance '{name}'",
        "create it; one that was not used for too long is removed",
    )


def instance_of(id_: int, group: str, name: str, row: tuple[Any, ...]) -> Instance:
    """An instance of its settings, subscription, topics, last answer and generation."""
    settings, subscription, topics, answer, generation = row
    return Instance(
        id_,
        group,
        name,
        _settings.decode(settings),
        _subscription.decode(subscription) if subscription else None,
        _topics.decode(topics) if topics else {},
        _kept.decode(answer) if answer else None,
        generation,
    )


def holdings_of(connection: sqlite3.Connection, instance: Instance) -> list[Holding]:
    """What an instance holds, by topic and partition."""
    with closing(connection.execute(_HOLDINGS, (instance.id,))) as rows:
        return [msgspec.convert(row, Holding, strict=False) for row in rows]


def members(connection: sqlite3.Connection, group: str) -> dict[str, list[str]]:
    """The instances of a group that have a subscription, with the topics it came to."""
    rows = connection.execute(
        "SELECT name, topics FROM instances WHERE consumer_group = ? AND topics IS NOT NULL", (group,)
    ).fetchall()
    return {name: list(_topics.decode(topics)) for name, topics in rows}


def known_to(connection: sqlite3.Connection, group: str, subscription: bytes) -> list[Topics]:
    """The topics that each instance of a group with this subscription came to."""
    rows = connection.execute(
        "SELECT topics FROM instances WHERE consumer_group = ? AND subscription = ?", (group, subscription)
    ).fetchall()
    return [_topics.decode(topics) for (topics,) in rows]


def remove(connection: sqlite3.Connection, where: str, values: tuple[Any, ...]) -> None:
    """Remove the instance of a condition, if there is one, with all it holds."""
    row = connection.execute(f"SELECT id, consumer_group FROM instances WHERE {where}", values).fetchone()  # noqa: S608
    if row is None:
        return
    connection.execute("DELETE FROM holdings WHERE instance_id = ?", row[:1])
    connection.execute("DELETE FROM instances WHERE id = ?", row[:1])
    left = connection.execute("SELECT 1 FROM instances WHERE consumer_group = ?", row[1:]).fetchone()
    if left is None:
        connection.execute("DELETE FROM changes WHERE consumer_group = ?", row[1:])
    else:
        note_change(connection, row[1])


def let_go(connection: sqlite3.Connection, holdings: Iterable[Holding]) -> None:
    connection.executemany("DELETE FROM holdings WHERE id = ?", [(holding.id,) for holding in holdings])


def take(
    connection: sqlite3.Connection,
    instance: Instance,
    parts: Iterable[Part],
    topics: Topics,
    known: Topics,
    *,
    shared: bool,
) -> None:
    """Hold those of the partitions that are free; `known` is what was there before."""
    connection.executemany(
        "INSERT OR IGNORE INTO holdings"
        " (instance_id, consumer_group, topic, partition, topic_id, shared, later)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (instance.id, instance.group, *part, topics[part[0]][0], shared, _is_later(part, topics, known))
            for part in parts
        ],
    )


def _is_later(part: Part, topics: Topics, known: Topics) -> bool:
    """Whether a partition is of a topic that is new, or was made anew, or has grown."""
    topic, number = part
    topic_id, partitions = known.get(topic, ("", 0))
    return topic_id != topics[topic][0] or number >= partitions


def note_change(connection: sqlite3.Connection, group: str) -> None:
    connection.execute("INSERT OR REPLACE INTO changes (consumer_group) VALUES (?)", (group,))
