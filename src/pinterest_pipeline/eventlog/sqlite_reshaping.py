"""Shards are split and merged, each time within the one transaction that also stops their records."""

from pinterest_pipeline.errors import BadInput, LimitExceeded, StreamInUse, UnknownPartition
from pinterest_pipeline.eventlog import sqlite_shards
from pinterest_pipeline.eventlog.partitioners import hash_range
from pinterest_pipeline.eventlog.sequence import ACCOUNT, shard_id
from pinterest_pipeline.eventlog.sqlite_groups import tell_all
from pinterest_pipeline.eventlog.sqlite_writer import Transaction
from pinterest_pipeline.eventlog.streams import SHARD_LIMIT, Shard, Stream, boundaries_within, hexadecimal


class Reshaping:
    """Changes the shards of one stream; every check comes before the first change."""

    def __init__(self, transaction: Transaction, name: str, now: int) -> None:
        """Raises UnknownTopic, and StreamInUse when the stream is not ACTIVE.

        What the transaction added must be in the file: it says where each shard ends.
        """
        self.connection = transaction.connection
        self._now = now
        self.stream = active(sqlite_shards.load(self.connection, name, now))
        (self._next_number,) = self.connection.execute(
            "SELECT max(partition) + 1 FROM partitions WHERE topic_id = ?", (self.stream.id,)
        ).fetchone()

    def finish(self, until_ms: int) -> None:
        """The stream is UPDATING until then; readers in groups learn of the new shards."""
        self.connection.execute(
            "UPDATE streams SET status = 'UPDATING', until_ms = ? WHERE topic_id = ?",
            (until_ms, self.stream.id),
        )
        tell_all(self.connection)

    def open_shard(self, number: int) -> Shard:
        """An open shard; raises UnknownPartition, and BadInput when it is closed."""
        shard = self.stream.shard(number)
        if shard is None:
            raise UnknownPartition(self.stream.name, shard_id(number))
        if shard.closed_ms is not None:
            raise BadInput(
                f"Shard {shard_id(number)} in stream {self.stream.name} under account {ACCOUNT} has already"
                " been merged or split, and thus is not eligible for merging or splitting"
            )
        return shard

    def split(self, shard: Shard, at: str) -> tuple[Shard, Shard]:
        """Two children: the second one owns the hash keys from `at` on."""
        self._close(shard)
        below = hexadecimal(int(at, 16) - 1)
        left = self._open(shard.first_hash, below, shard, None)
        return left, self._open(at, shard.last_hash, shard, None)

    def merge(self, shard: Shard, adjacent: Shard) -> Shard:
        """One child that owns what both own."""
        self._close(shard)
        self._close(adjacent)
        first = min(shard.first_hash, adjacent.first_hash)
        return self._open(first, max(shard.last_hash, adjacent.last_hash), shard, adjacent)

    def scale(self, count: int) -> None:
        """Split and merge until there are `count` shards of equal parts; those that fit already stay."""
        firsts = [hexadecimal(hash_range(number, count)[0]) for number in range(count)]
        known = frozenset(firsts)
        whole = self.stream.open_shards[0]
        for shard in self.stream.open_shards:
            for piece in self._pieces(shard, boundaries_within(shard, firsts)):
                whole = piece if piece.first_hash in known else self.merge(whole, piece)

    def _pieces(self, shard: Shard, boundaries: list[str]) -> list[Shard]:
        pieces = [shard]
        for at in boundaries:
            pieces[-1:] = self.split(pieces[-1], at)
        return pieces

    def _close(self, shard: Shard) -> None:
        self.connection.execute(
            "UPDATE shards SET closed_ms = ? WHERE partition_id = ?", (self._now, shard.id)
        )

    def _open(self, first: str, last: str, parent: Shard, adjacent: Shard | None) -> Shard:
        """A shard that goes on behind its parents: one offset is left out, their ends are told by it."""
        parents = (parent,) if adjacent is None else (parent, adjacent)
        start = max(shard.end for shard in parents) + 1
        number, self._next_number = self._next_number, self._next_number + 1
        (timestamp,) = self.connection.execute(
            "SELECT max(last_timestamp) FROM partitions WHERE id IN (?, ?)", (parents[0].id, parents[-1].id)
        ).fetchone()
        partition_id = self.connection.execute(
            "INSERT INTO partitions (topic_id, partition, next_offset, last_timestamp) VALUES (?, ?, ?, ?)",
            (self.stream.id, number, start, timestamp),
        ).lastrowid
        assert partition_id is not None
        second = None if adjacent is None else adjacent.number
        row = (first, last, parent.number, second, start, start)
        self.connection.execute(
            "INSERT INTO shards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (partition_id, self.stream.id, *row, self._now),
        )
        return Shard(number, partition_id, *row, start, self._now, None)


def active(stream: Stream) -> Stream:
    """The stream; raises StreamInUse unless it is ACTIVE."""
    if stream.status != "ACTIVE":
        raise StreamInUse(
            f"Stream {stream.name} under account {ACCOUNT} not ACTIVE, instead in state {stream.status}",
            "wait until it is ACTIVE",
        )
    return stream


def split(shaping: Reshaping, number: int, at: int) -> None:
    """Split a shard at a hash key; raises what is wrong with them."""
    shard = shaping.open_shard(number)
    first, last = int(shard.first_hash, 16), int(shard.last_hash, 16)
    if not first + 1 < at < last:
        raise BadInput(
            f"NewStartingHashKey {at} used in SplitShard() on shard {shard_id(number)} in stream"
            f" {shaping.stream.name} under account {ACCOUNT} is not both greater than one plus"
            f" the shard's StartingHashKey {first} and less than the shard's EndingHashKey {last}"
        )
    check_room(shaping, 1)
    shaping.split(shard, hexadecimal(at))


def merge(shaping: Reshaping, number: int, adjacent_number: int) -> None:
    """Merge two shards whose hash keys touch; raises what is wrong with them."""
    shard, adjacent = shaping.open_shard(number), shaping.open_shard(adjacent_number)
    left, right = sorted((shard, adjacent), key=lambda one: one.first_hash)
    if int(left.last_hash, 16) + 1 != int(right.first_hash, 16):
        raise BadInput(
            f"Shards {shard_id(number)} and {shard_id(adjacent_number)} in stream {shaping.stream.name} under"
            f" account {ACCOUNT} are not an adjacent pair of shards eligible for merging"
        )
    shaping.merge(shard, adjacent)


def update_count(shaping: Reshaping, target: int) -> int:
    """Scale to so many shards of equal parts; returns how many there were."""
    current = len(shaping.stream.open_shards)
    counts = f"Current open shard count: {current} Target shard count: {target}"
    if target > 2 * current:
        raise BadInput(
            f"UpdateShardCount cannot scale up over double your current open shard count. {counts}"
        )
    if 2 * target < current:
        raise BadInput(
            f"UpdateShardCount cannot scale down below half your current open shard count. {counts}"
        )
    check_room(shaping, target - current)
    shaping.scale(target)
    return current


def check_room(shaping: Reshaping, more: int) -> None:
    """Raises LimitExceeded when so many more open shards would be too many."""
    check_limit(sqlite_shards.open_count(shaping.connection), more)


def check_limit(current: int, more: int) -> None:
    if current + more > SHARD_LIMIT:
        raise LimitExceeded(
            "This request would exceed the shard limit for the account. Current shard count for the account:"
            f" {current}. Limit: {SHARD_LIMIT}. Number of additional shards that would have resulted from"
            f" this request: {more}"
        )
