"""Topics as they stand in the file: made, found, described, deleted."""

import sqlite3
from collections.abc import Mapping
from typing import Final

from pinterest_pipeline.errors import BadInput, TopicExists, UnknownTopic
from pinterest_pipeline.eventlog import sqlite_batches
from pinterest_pipeline.eventlog.base import PartitionDescription, TopicDescription
from pinterest_pipeline.eventlog.sqlite_groups import tell_all
from pinterest_pipeline.eventlog.sqlite_writer import Transaction

BROKER: Final = 0
_PURGED_AT_ONCE: Final = 500
"""Batches; more would keep the writers waiting."""


def check(partitions: int, replication: int | None, configs: Mapping[str, str] | None) -> None:
    """Raises BadInput for a topic that one machine cannot keep."""
    if partitions < 1:
        raise BadInput(f"a topic of {partitions} partitions cannot hold anything", "ask for 1 or more")
    if replication not in (None, 1):
        raise BadInput(
            f"{replication} copies of a topic were asked for, a log on one machine keeps 1",
            "leave the replication out, or use Kafka as the log",
        )
    if configs:
        raise BadInput(
            f"a topic of this log keeps every record as it came and has no setting '{min(configs)}'",
            "leave the settings out, or use Kafka as the log",
        )


def create(transaction: Transaction, topic: str, partitions: int, now: int) -> int:
    """Make a topic and return its id; `now` is in milliseconds since 1970."""
    execute = transaction.connection.execute
    if execute("SELECT 1 FROM topics WHERE name = ?", (topic,)).fetchone():
        raise TopicExists(topic)
    (latest,) = execute("SELECT coalesce(max(created_ms), 0) FROM topics").fetchone()
    created = max(now, latest + 1)
    topic_id = execute("INSERT INTO topics (name, created_ms) VALUES (?, ?)", (topic, created)).lastrowid
    transaction.connection.executemany(
        "INSERT INTO partitions (topic_id, partition) VALUES (?, ?)",
        [(topic_id, number) for number in range(partitions)],
    )
    tell_all(transaction.connection)
    assert topic_id is not None
    return topic_id


def delete(transaction: Transaction, topic: str) -> None:
    topic_id = transaction.topic(topic).id
    transaction.flush()  # records of this very group may belong to the topic
    execute = transaction.connection.execute
    execute("UPDATE topics SET name = NULL WHERE id = ?", (topic_id,))
    execute("DELETE FROM streams WHERE topic_id = ?", (topic_id,))
    execute("DELETE FROM shards WHERE topic_id = ?", (topic_id,))
    tell_all(transaction.connection)


def deleted(connection: sqlite3.Connection) -> list[int]:
    """The partitions that deleted topics left behind."""
    rows = connection.execute(
        "SELECT p.id FROM topics t JOIN partitions p ON p.topic_id = t.id WHERE t.name IS NULL"
    )
    return [partition_id for (partition_id,) in rows]


def purge(transaction: Transaction) -> bool:
    """Remove some of what deleted topics left behind; whether more is left."""
    execute = transaction.connection.execute
    room = _PURGED_AT_ONCE
    for partition_id in deleted(transaction.connection):
        room -= sqlite_batches.remove_some(transaction.connection, partition_id, room)
        if room == 0:
            return True
        execute("DELETE FROM positions WHERE partition_id = ?", (partition_id,))
        execute("DELETE FROM holdings WHERE partition_id = ?", (partition_id,))
        execute("DELETE FROM partitions WHERE id = ?", (partition_id,))
    return False


def partitions(reader: sqlite3.Connection, topic: str) -> dict[int, tuple[int, int]]:
    """Id and next offset of each partition; raises UnknownTopic."""
    rows = reader.execute(
        "SELECT p.partition, p.id, p.next_offset FROM topics t JOIN partitions p ON p.topic_id = t.id"
        " WHERE t.name = ? ORDER BY p.partition",
        (topic,),
    ).fetchall()
    if not rows:
        raise UnknownTopic(topic)
    return {number: (partition_id, end) for number, partition_id, end in rows}


def names(reader: sqlite3.Connection) -> list[str]:
    rows = reader.execute("SELECT name FROM topics WHERE name IS NOT NULL ORDER BY name")
    return [name for (name,) in rows]


def describe(reader: sqlite3.Connection, topic: str, log_id: str) -> TopicDescription:
    """One broker keeps the only copy of each partition; raises UnknownTopic."""
    row = reader.execute(
        "SELECT t.id, count(*), t.created_ms FROM topics t JOIN partitions p ON p.topic_id = t.id"
        " WHERE t.name = ? GROUP BY t.id",
        (topic,),
    ).fetchone()
    if row is None:
        raise UnknownTopic(topic)
    topic_id, count, created_ms = row
    layout = tuple(PartitionDescription(number, BROKER, (BROKER,), (BROKER,)) for number in range(count))
    return TopicDescription(topic, f"{log_id}-{topic_id}", layout, created_ms)
