"""Objects are written once, under Confluent's names, and found again in order."""

from pathlib import Path

import pytest

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.objects.layout import ObjectName, parse
from pinterest_pipeline.objects.store import ObjectStore

NAME = ObjectName("124df56aef51.pin", 0, 42)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path, "topics")


def test_the_name_is_topic_partition_and_first_offset_in_ten_digits() -> None:
    key = NAME.key("topics")
    assert key == "topics/124df56aef51.pin/partition=0/124df56aef51.pin+0+0000000042.json"
    assert parse(key) == NAME


@pytest.mark.parametrize(
    "key",
    [
        "topics/t/partition=0/t+0+0000000042.json#1",
        "topics/t/partition=0/t+1+0000000042.json",
        "topics/t/partition=0/t+0+42.json",
        "topics/t/_SUCCESS",
    ],
)
def test_other_names_are_no_objects(key: str) -> None:
    assert parse(key) is None


def test_what_is_put_is_there(store: ObjectStore) -> None:
    assert store.put_if_absent(NAME, b'{"_offset":42}\n')
    assert store.get(NAME) == b'{"_offset":42}\n'
    assert store.path(NAME).read_bytes() == b'{"_offset":42}\n'
    assert store.end(NAME) == 43


def test_an_object_never_changes(store: ObjectStore) -> None:
    store.put_if_absent(NAME, b"first")
    assert not store.put_if_absent(NAME, b"second")
    assert store.get(NAME) == b"first"


def test_names_are_in_order_of_partition_and_offset(store: ObjectStore) -> None:
    written = [ObjectName("a.pin", 1, 0), ObjectName("a.pin", 0, 10_000_000_000), ObjectName("a.pin", 0, 9)]
    for name in [*written, ObjectName("a.pins", 0, 0)]:
        store.put_if_absent(name, b"x")
    assert store.names("a.pin") == sorted(written)
    assert store.names("nothing") == []


@pytest.mark.parametrize("size", [10, 2**16 - 20, 2**16, 2**18])
def test_the_end_of_a_large_object_is_found(store: ObjectStore, size: int) -> None:
    first, last = b'{"_offset":42}\n', b'{"a":"%s","_offset":43}\n' % (b"x" * size)
    store.put_if_absent(NAME, first * 5_000 + last)
    assert store.end(NAME) == 44


def test_a_listing_that_missed_an_object_leaves_no_gap(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero, ten, twenty, thirty = (ObjectName("t", 0, start) for start in (0, 10, 20, 30))
    listings = iter([[zero, twenty], [zero, ten, twenty, thirty]])
    monkeypatch.setattr(store, "_listed", lambda _: next(listings))
    assert store.names("t") == [zero, ten, twenty]


def test_an_object_without_positions_is_named(store: ObjectStore) -> None:
    store.put_if_absent(NAME, b'{"ind":1}\n')
    with pytest.raises(BadInput, match=r"0000000042\.json ends without an _offset"):
        store.end(NAME)
