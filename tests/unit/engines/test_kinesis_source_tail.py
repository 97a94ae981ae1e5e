"""Small decisions of the driver's look at a shard."""

from datetime import UTC, datetime

from pinterest_pipeline.engines.kinesis_source_offsets import Place
from pinterest_pipeline.engines.kinesis_source_tail import Seen, drop_earlier


def records(*milliseconds: int) -> list[dict[str, datetime]]:
    return [
        {"ApproximateArrivalTimestamp": datetime.fromtimestamp(time / 1000, UTC)} for time in milliseconds
    ]


def test_what_came_before_the_beginning_is_left_out_until_something_was_read() -> None:
    found = records(1_000, 1_400, 1_500, 1_499)
    drop_earlier(found, Place(since=1_500))
    assert found == records(1_500, 1_499)
    drop_earlier(found, Place("1", "2", 2, since=9_000))
    assert len(found) == 2
    drop_earlier(found, Place(since=9_000))
    assert found == []


def test_two_looks_one_behind_the_other_are_one() -> None:
    one, two = Seen(Place("1", "3", 3, seen=5), 30), Seen(Place("4", "4", 1, seen=6, closed=True), 10)
    nothing = Seen(Place(seen=7), 0)
    assert one.then(two) == Seen(Place("1", "4", 4, seen=6, closed=True), 40)
    assert nothing.then(one) == Seen(Place("1", "3", 3, seen=5), 30)
    assert one.then(nothing) == Seen(Place("1", "3", 3, seen=7), 30)
