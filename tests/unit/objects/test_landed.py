"""The objects of a topic: in order, without a gap, with the offset each ends at."""

from pathlib import Path

import pytest

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.objects import landed
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.folder import FolderStore
from pinterest_pipeline.objects.landed import LandedObject, end_offset, in_steps, landed_objects
from pinterest_pipeline.objects.layout import ObjectName

KEY = ObjectName("124df56aef51.pin", 0, 42).key("topics")


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return FolderStore(tmp_path)


def of(name: ObjectName, size: int = 1) -> LandedObject:
    return LandedObject(name, name.key("topics"), size)


def test_objects_are_in_order_of_partition_and_offset(store: ObjectStore) -> None:
    written = [ObjectName("a.pin", 1, 0), ObjectName("a.pin", 0, 10_000_000_000), ObjectName("a.pin", 0, 9)]
    for name in [*written, ObjectName("a.pins", 0, 0)]:
        store.put_if_absent(name.key("topics"), b"x")
    store.put_if_absent("topics/a.pin/_SUCCESS", b"")
    assert landed_objects(store, "topics", "a.pin") == sorted(map(of, written))
    assert landed_objects(store, "topics", "nothing") == []


@pytest.mark.parametrize("size", [10, 2**16 - 20, 2**16, 2**18])
def test_the_end_of_a_large_object_is_found(store: ObjectStore, size: int) -> None:
    first, last = b'{"_offset":42}\n', b'{"a":"%s","_offset":43}\n' % (b"x" * size)
    store.put_if_absent(KEY, first * 5_000 + last)
    assert end_offset(store, KEY) == 44


@pytest.mark.parametrize("content", [b'{"ind":1}\n', b"", b"\xff\n", b"x" * 2**17])
def test_an_object_without_positions_is_named(store: ObjectStore, content: bytes) -> None:
    store.put_if_absent(KEY, content)
    with pytest.raises(BadInput, match=r"0000000042\.json ends without an _offset"):
        end_offset(store, KEY)


def test_a_listing_that_missed_an_object_leaves_no_gap(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero, ten, twenty, thirty = (of(ObjectName("t", 0, start)) for start in (0, 10, 20, 30))
    listings = iter([[zero, twenty], [zero, ten, twenty, thirty], []])
    monkeypatch.setattr(landed, "_listed", lambda *_: next(listings))
    assert landed_objects(store, "topics", "t") == [zero, ten, twenty]


def test_steps_keep_the_order_and_their_size() -> None:
    objects = [of(ObjectName("t", 0, number), size) for number, size in enumerate((4, 5, 2, 20, 1, 1))]
    steps = list(in_steps(objects, 10))
    assert [[found.size for found in step] for step in steps] == [[4, 5], [2], [20], [1, 1]]
    assert [found for step in steps for found in step] == objects
    assert list(in_steps([], 10)) == []
