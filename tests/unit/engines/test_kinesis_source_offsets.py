"""Offsets of the source `kinesis`: what a batch holds, and how shards follow each other."""

import json
import random

from pinterest_pipeline.engines.kinesis_source_offsets import (
    RENEWED_MS,
    Lineage,
    Place,
    ShardRange,
    StreamOffset,
    decoded,
    encoded,
    grown,
    is_news,
    moved,
    ranges,
    roots,
)

READ = Place("1", "5", 5, seen=10)


def test_an_offset_survives_json_and_says_no_more_than_it_must() -> None:
    offset = {"s": StreamOffset(7, {"a": READ, "b": Place(since=3), "c": Place(closed=True)})}
    text = json.dumps(encoded(offset))
    assert decoded(json.loads(text)) == offset
    assert json.loads(text)["s"]["shards"]["b"] == {"since": 3}


def test_a_batch_holds_what_its_end_says_wherever_it_began() -> None:
    end = {"s": StreamOffset(7, {"a": READ, "b": Place("8", "9", 2, closed=True), "c": Place()})}
    begun = {"s": StreamOffset(7, {"a": Place("0", "0", 1), "b": Place(), "c": Place()})}
    whole = [ShardRange("s", "a", "1", "5", 5), ShardRange("s", "b", "8", "9", 2)]
    assert ranges(begun, end) == ranges({}, end) == whole
    assert ranges(end, end) == []


def test_a_look_that_found_nothing_keeps_the_batch_it_came_from() -> None:
    place = moved(READ, Place(seen=90, closed=True))
    assert (place.first, place.last, place.records) == ("1", "5", 5)
    assert (place.seen, place.closed) == (90, True)
    assert moved(READ, Place("6", "6", 1, seen=90)) == Place("6", "6", 1, seen=90)


def test_what_has_to_be_written_down() -> None:
    assert not is_news(READ, Place(seen=11))
    assert is_news(READ, Place("6", "6", 1, seen=11))
    assert is_news(READ, Place(seen=11, closed=True))
    assert is_news(READ, Place(seen=10 + RENEWED_MS))
    assert is_news(Place(since=1), Place(seen=11)), "where a query began is written down at once"


SPLIT: Lineage = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_a_query_begins_in_the_shards_without_parents() -> None:
    assert roots(SPLIT, None) == {"a": Place()}
    assert roots({"b": ("a",), "c": ("a",), "d": ("b", "c")}, 5) == {"b": Place(since=5), "c": Place(since=5)}


def test_children_come_once_all_parents_are_read_and_then_these_leave() -> None:
    over = Place("1", "2", 2, closed=True)
    assert grown({"a": READ}, SPLIT) == {"a": READ}
    assert grown({"a": over}, SPLIT) == {"b": Place(), "c": Place()}
    assert grown({"b": over, "c": READ}, SPLIT) == {"b": over, "c": READ}
    assert grown({"b": over, "c": over}, SPLIT) == {"d": Place()}
    assert grown({"d": READ}, SPLIT) == {"d": READ}


def test_a_closed_shard_waits_for_its_children_to_be_listed() -> None:
    over = Place(closed=True)
    assert grown({"a": over}, {"a": ()}) == {"a": over}
    assert grown({"a": over}, {"b": ("a",)}) == {"b": Place()}, "also when it is not listed any more itself"


def test_any_reshards_are_read_once_each_and_parents_first() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        lineage: dict[str, tuple[str, ...]] = {"0": (), "1": (), "2": ()}
        still_open = ["0", "1", "2"]
        for _ in range(rng.randint(1, 12)):
            if len(still_open) > 1 and rng.random() < 0.5:
                at = rng.randrange(len(still_open) - 1)
                lineage[str(len(lineage))] = (still_open.pop(at), still_open.pop(at))
                still_open.insert(at, str(len(lineage) - 1))
            else:
                at = rng.randrange(len(still_open))
                parent = still_open.pop(at)
                for _ in range(2):
                    lineage[str(len(lineage))] = (parent,)
                    still_open.insert(at, str(len(lineage) - 1))
        read: list[str] = []
        places = roots(lineage, None)
        while len(read) < len(lineage):
            shard = rng.choice([one for one, place in places.items() if not place.closed and one not in read])
            assert all(parent in read for parent in lineage[shard])
            read.append(shard)
            if shard not in still_open:
                places[shard] = Place(closed=True)
            places = grown(places, lineage)
        assert sorted(places) == sorted(still_open)
