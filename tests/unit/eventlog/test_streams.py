"""Which shards may be read: those whose ancestors are read to their end."""

from msgspec import structs

from pinterest_pipeline.eventlog.streams import Shard, readable


def shard(number: int, start: int, end: int, *parents: int) -> Shard:
    """A closed one."""
    parent, adjacent = (*parents, None, None)[:2]
    return Shard(number, number, "", "", parent, adjacent, start, start, end, 0, 0)


def found(shards: list[Shard], **positions: int) -> list[int]:
    named = {one.number: positions.get(f"shard_{one.number}", 0) for one in shards}
    return sorted(readable(shards, named, {one.number: one.beginning for one in shards}))


def test_a_child_waits_for_both_of_its_parents() -> None:
    shards = [shard(0, 0, 5), shard(1, 0, 3), shard(2, 6, 9, 0, 1)]
    assert found(shards) == [0, 1]
    assert found(shards, shard_0=5) == [1]
    assert found(shards, shard_0=5, shard_1=3) == [2]


def test_a_shard_waits_for_its_grandparents_when_its_parents_are_empty() -> None:
    """One change of the number of shards may split and merge, and leave shards that never held a record."""
    shards = [shard(0, 0, 5), shard(1, 6, 6, 0), shard(2, 7, 9, 1)]
    assert found(shards) == [0]
    assert found(shards, shard_0=5) == [2]


def test_an_open_shard_is_read_again_and_again_and_a_closed_one_to_its_end() -> None:
    shards = [shard(0, 0, 5), structs.replace(shard(1, 0, 3), closed_ms=None)]
    assert found(shards, shard_0=4, shard_1=3) == [0, 1]
    assert found(shards, shard_0=5, shard_1=3) == [1]


def test_a_parent_that_has_expired_keeps_nobody_waiting() -> None:
    assert found([shard(2, 7, 9, 0, 1)]) == [2]
