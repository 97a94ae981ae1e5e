"""Streams are begun, ended, kept longer and tagged, each time within one transaction."""

from collections.abc import Callable

import msgspec

from pinterest_pipeline.errors import LimitExceeded, StreamInUse
from pinterest_pipeline.eventlog import sqlite_shards, sqlite_topics
from pinterest_pipeline.eventlog.sqlite_reshaping import active, check_limit
from pinterest_pipeline.eventlog.sqlite_writer import Transaction
from pinterest_pipeline.eventlog.streams import (
    CREATING_LIMIT,
    DEFAULT_RETENTION_HOURS,
    FOREVER_HOURS,
    TAG_LIMIT,
)


def create(transaction: Transaction, name: str, shards: int, now: int) -> None:
    """Make a stream that is ACTIVE and keeps every record; raises TopicExists."""
    topic_id = sqlite_topics.create(transaction, name, shards, now)
    sqlite_shards.insert_stream(transaction.connection, topic_id, "ACTIVE", 0, FOREVER_HOURS, {})


def begin(
    transaction: Transaction, name: str, shards: int, tags: dict[str, str], now: int, until_ms: int
) -> None:
    """Make a stream that is CREATING until then; raises TopicExists and LimitExceeded."""
    connection = transaction.connection
    _check_tags(name, tags)
    check_limit(sqlite_shards.open_count(connection), shards)
    if sqlite_shards.creating(connection, now) >= CREATING_LIMIT:
        raise LimitExceeded(f"{CREATING_LIMIT} streams are CREATING already", "try again later")
    topic_id = sqlite_topics.create(transaction, name, shards, now)
    sqlite_shards.insert_stream(connection, topic_id, "CREATING", until_ms, DEFAULT_RETENTION_HOURS, tags)


def end(transaction: Transaction, name: str, now: int, until_ms: int) -> None:
    """Have a stream be DELETING until then; raises UnknownTopic and StreamInUse."""
    stream = sqlite_shards.load(transaction.connection, name, now)
    if stream.status in ("CREATING", "DELETING"):
        raise StreamInUse(f"Stream {name} is in state {stream.status}", "wait until that is over")
    transaction.connection.execute(
        "UPDATE streams SET status = 'DELETING', until_ms = ? WHERE topic_id = ?", (until_ms, stream.id)
    )


def finish(transaction: Transaction, now: int) -> None:
    """Delete the streams whose deletion is over; a new one may have taken a name, so it is asked for here."""
    for name in sqlite_shards.ended(transaction.connection, now):
        sqlite_topics.delete(transaction, name)


def retain(transaction: Transaction, name: str, change: Callable[[int], int], now: int) -> None:
    """Keep records for `change(hours now)` hours; raises what it raises, UnknownTopic and StreamInUse."""
    stream = active(sqlite_shards.load(transaction.connection, name, now))
    transaction.connection.execute(
        "UPDATE streams SET retention_hours = ? WHERE topic_id = ?",
        (change(stream.retention_hours), stream.id),
    )


def tag(
    transaction: Transaction, name: str, change: Callable[[dict[str, str]], dict[str, str]], now: int
) -> None:
    """Set the tags to `change(tags now)`; raises UnknownTopic and LimitExceeded."""
    stream = sqlite_shards.load(transaction.connection, name, now)
    tags = change(dict(stream.tags))
    _check_tags(name, tags)
    transaction.connection.execute(
        "UPDATE streams SET tags = ? WHERE topic_id = ?",
        (msgspec.json.encode(tags).decode(), stream.id),
    )


def _check_tags(name: str, tags: dict[str, str]) -> None:
    if len(tags) > TAG_LIMIT:
        raise LimitExceeded(
            f"Failed to add tags to stream {name} because a given stream cannot have more than {TAG_LIMIT}"
            " tags associated with it"
        )
