"""Small objects become large ones; whoever reads meanwhile or afterwards reads each record once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.objects.base import ObjectStore, StoredObject
from pinterest_pipeline.objects.folder import FolderStore
from pinterest_pipeline.objects.landed import landed_objects
from pinterest_pipeline.sink import compaction
from pinterest_pipeline.sink.compaction import compact
from pinterest_pipeline.sink.shape import Shape
from pinterest_pipeline.sink.verification import manifest_problems
from tests.unit.sink.conftest import MakeSink
from tests.unit.sink.sample import TOPIC, append, committed, landed, numbers, until

PART = (TOPIC, 0)


@pytest.fixture(autouse=True)
def small_objects(log: EventLog, make_sink: MakeSink) -> None:
    append(log, *numbers(20))
    until(lambda: committed(log) == 20, [make_sink(flush_size=2)])


def readable(store: ObjectStore) -> bytes:
    """What a reader from the beginning gets."""
    return b"".join(store.get(found.key) for found in landed_objects(store, "topics", TOPIC))


def test_the_same_bytes_lie_in_fewer_objects(store: ObjectStore) -> None:
    was = readable(store)
    done = compact(store, "topics", PART, 20, 2**20)
    assert (done.merged, done.written) == (10, 1)
    assert readable(store) == was
    assert landed(store) == []
    assert manifest_problems(store, "topics", PART, 0, 20) == []


def test_nothing_is_merged_that_a_reader_has_not_read(store: ObjectStore) -> None:
    compact(store, "topics", PART, 9, 2**20)
    assert landed(store) == [[start, start + 1] for start in range(8, 20, 2)]
    assert manifest_problems(store, "topics", PART, 0, 20) == []


def test_later_objects_are_merged_later(log: EventLog, store: ObjectStore, make_sink: MakeSink) -> None:
    compact(store, "topics", PART, 20, 2**20)
    append(log, *numbers(4, 20))
    until(lambda: committed(log) == 24, [make_sink(flush_size=2)])
    compact(store, "topics", PART, 24, 2**20)
    assert readable(store).count(b"\n") == 24
    assert manifest_problems(store, "topics", PART, 0, 24) == []


class _Counting(FolderStore):
    """Says what was asked of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.got: list[str] = []
        self.listed: list[str] = []

    def get(self, key: str) -> bytes:
        self.got.append(key)
        return super().get(key)

    def list(self, folder: str) -> Iterator[StoredObject]:
        self.listed.append(folder)
        return super().list(folder)


def test_what_was_merged_is_not_read_again(store: ObjectStore, tmp_path: Path) -> None:
    """Else each run takes as long as all before it together."""
    small = landed_objects(store, "topics", TOPIC)[0].size
    assert compact(store, "topics", PART, 20, 3 * small).written > 2
    counting = _Counting(tmp_path / "objects")
    assert compact(counting, "topics", PART, 20, 3 * small).written == 0
    assert [key for key in counting.got if not key.startswith("manifest/")] == []
    assert counting.listed.count(f"topics/{TOPIC}") == 1


def test_a_large_object_is_closed_by_its_bytes(store: ObjectStore) -> None:
    small = landed_objects(store, "topics", TOPIC)[0].size
    assert compact(store, "topics", PART, 20, 5 * small).written in (2, 3)


class _Dies(Exception):
    pass


@pytest.mark.parametrize(
    "point", ["after_compaction_plan", "after_compaction_upload", "mid_compaction_removal"]
)
def test_killed_anywhere_it_loses_and_doubles_nothing(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    was = readable(store)

    def die(here: str) -> None:
        if here == point:
            raise _Dies

    monkeypatch.setattr(compaction, "crash_at", die)
    with pytest.raises(_Dies):
        compact(store, "topics", PART, 20, 2**20)
    assert readable(store) == was
    monkeypatch.undo()
    compact(store, "topics", PART, 20, 2**20)
    assert readable(store) == was
    assert landed(store) == []
    assert manifest_problems(store, "topics", PART, 0, 20) == []


def test_at_no_moment_a_reader_sees_a_record_twice_or_misses_one(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our load; and who reads the first folder alone, who sees what is not merged yet."""
    was, moments = readable(store), []

    def look(here: str) -> None:
        moments.append(here)
        assert readable(store) == was
        alone = [offset for offsets in landed(store) for offset in offsets]
        assert alone == sorted(set(alone))

    monkeypatch.setattr(compaction, "crash_at", look)
    compact(store, "topics", PART, 20, 2**20)
    assert moments[:2] == ["after_compaction_plan", "after_compaction_upload"]
    assert moments.count("mid_compaction_removal") > 1


def test_objects_of_several_folders_stay_in_theirs(
    log: EventLog, store: ObjectStore, make_sink: MakeSink
) -> None:
    shape = Shape(topics_dir="by", partitioner="field", fields=("color",), pad_width=0, gzip_level=6)
    log.commit("sink", TOPIC, {0: 20})
    append(log, *(b'{"color":%d}' % (number % 3) for number in range(12)))
    until(lambda: committed(log) == 32, [make_sink(shape, flush_size=4)])
    compact(store, "by", PART, 32, 2**20)
    keys = sorted(found.key for found in store.list("compacted/by"))
    assert keys == [
        f"compacted/by/{TOPIC}/color={n}/{TOPIC}+0+{first}.json.gz"
        for n, first in ((0, 20), (1, 21), (2, 22))
    ]
    assert manifest_problems(store, "by", PART, 20, 32) == []
