"""The records of a key go one after the other; batches hold no more than Kinesis takes."""

import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.eventlog.kinesis_queue import BATCH_BYTES, BATCH_RECORDS, Entry, KeyedQueue, Request


def entry(key: str, place: int = 0, size: int = 10) -> Entry:
    return Entry(Request("s", 1), place, key, b"", 0.0, size)


def queue_of(*entries: Entry) -> KeyedQueue:
    queue = KeyedQueue()
    for one in entries:
        queue.add(one)
    return queue


def places(batch: list[Entry]) -> list[int]:
    return [one.place for one in batch]


def test_a_batch_has_a_key_once() -> None:
    first, second, other = entry("a", 1), entry("a", 2), entry("b", 3)
    queue = queue_of(first, second, other)
    assert queue.take(0) == [first, other]
    assert queue.take(0) == []
    assert queue.next_at() is None
    queue.over(first)
    assert queue.take(0) == [second]


def test_what_failed_holds_back_the_rest_of_its_key_until_its_time() -> None:
    first, second, other = entry("a", 1), entry("a", 2), entry("b", 3)
    queue = queue_of(first, second, other)
    queue.take(0)
    queue.again(first, 5.0)
    queue.over(other)
    assert (queue.take(4.9), queue.next_at()) == ([], 5.0)
    assert queue.take(5.0) == [first]


def test_a_batch_has_so_many_records_at_most() -> None:
    queue = queue_of(*(entry(str(place), place) for place in range(BATCH_RECORDS + 3)))
    assert places(queue.take(0)) == list(range(BATCH_RECORDS))
    assert places(queue.take(0)) == [500, 501, 502]


def test_a_batch_has_so_many_bytes_at_most_and_a_larger_record_goes_alone() -> None:
    half = BATCH_BYTES // 2
    queue = queue_of(
        *(entry(str(place), place, size) for place, size in enumerate((half, half, 1, 3 * half, 1)))
    )
    assert [places(queue.take(0)) for _ in range(5)] == [[0, 1], [2], [3], [4], []]


def test_a_record_that_spoilt_a_batch_goes_alone() -> None:
    suspects = [entry(str(place), place) for place in range(3)]
    queue = queue_of(*suspects)
    for one in queue.take(0):
        one.is_alone = True
        queue.again(one, 1.0)
    queue.add(entry("new", 9))
    assert sorted(places(queue.take(1.0)) for _ in range(4)) == [[0], [1], [2], [9]]


@given(st.lists(st.sampled_from("abcd"), max_size=60), st.integers(0, 10**6))
def test_every_record_goes_once_and_in_the_order_of_its_key(keys: list[str], seed: int) -> None:
    """Several batches are under way at once, and any record may fail any number of times."""
    chance = random.Random(seed)
    queue = queue_of(*(entry(key, place) for place, key in enumerate(keys)))
    landed: dict[str, list[int]] = defaultdict(list)
    under_way: list[Entry] = []
    now = 0.0
    while len(under_way) + sum(map(len, landed.values())) < len(keys) or under_way:
        batch = queue.take(now)
        assert len({one.key for one in batch + under_way}) == len(batch + under_way)
        under_way += batch
        chance.shuffle(under_way)
        now += 1.0
        if not under_way:
            continue
        one = under_way.pop()
        if chance.random() < 0.3:
            queue.again(one, now + 2 * chance.random())
        else:
            landed[one.key].append(one.place)
            queue.over(one)
    assert landed == {key: [place for place, one in enumerate(keys) if one == key] for key in set(keys)}
