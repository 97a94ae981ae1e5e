"""Each start has one plan, and a position is found in the chain wherever it lies."""

import subprocess
import sys

import msgspec
import pytest

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.sink.manifest import Entry, Manifest
from pinterest_pipeline.sink.shape import Shape

PART = ("t", 0)
KEY = "manifest/topics/t/0/00000000000000/00000000000000000000.json"


def entry(start: int, end: int) -> Entry:
    return Entry("t", "id", 0, start, end, (), 0, {}, 0, end - start, Shape(gzip_level=6), 0)


@pytest.fixture
def manifest(store: ObjectStore) -> Manifest:
    return Manifest(store, "topics")


def test_the_first_plan_of_a_start_stays(manifest: Manifest, store: ObjectStore) -> None:
    assert manifest.propose(entry(0, 5)) == entry(0, 5)
    assert manifest.propose(entry(0, 9)) == entry(0, 5)
    assert manifest.at(PART, 0) == entry(0, 5)
    assert manifest.at(PART, 5) is None
    assert [found.key for found in store.list("manifest")] == [KEY]


@pytest.mark.parametrize(
    ("position", "inside", "up_to"),
    [
        (0, None, 5),
        (1, 0, 1_000_007),
        (5, None, 1_000_007),
        (7, 5, None),
        (1_000_006, 5, None),
        (1_000_007, None, None),
        (1_000_009, None, None),
        (9_000_000, None, None),
    ],
)
def test_a_position_inside_a_plan_goes_on_behind_it_and_up_to_the_next(
    manifest: Manifest, position: int, inside: int | None, up_to: int | None
) -> None:
    for bounds in ((0, 5), (5, 1_000_007), (1_000_007, 1_000_009)):
        manifest.propose(entry(*bounds))
    begun, following = manifest.resume(PART, position)
    assert (begun and begun.start, following) == (inside, up_to)


def test_a_position_before_all_plans_goes_on_up_to_the_first(manifest: Manifest) -> None:
    manifest.propose(entry(50_000_000, 50_000_001))
    assert manifest.resume(PART, 2) == (None, 50_000_000)


def test_a_plan_far_behind_is_found_too(manifest: Manifest) -> None:
    large = entry(3, 50_000_000)
    manifest.propose(large)
    manifest.propose(entry(50_000_000, 50_000_001))
    assert manifest.resume(PART, 40_000_000) == (large, None)
    assert manifest.resume(PART, 49_999_999) == (large, None)


def test_entries_come_in_the_order_of_their_starts(manifest: Manifest) -> None:
    for start in (2_000_000, 10, 0):
        manifest.propose(entry(start, start + 1))
    assert [found.start for found in manifest.entries(PART)] == [0, 10, 2_000_000]


def test_what_is_no_entry_is_named(manifest: Manifest, store: ObjectStore) -> None:
    store.put_if_absent(KEY, b"{}")
    with pytest.raises(BadInput, match="is no entry of a manifest"):
        manifest.at(PART, 0)


def test_an_entry_keeps_its_shape(manifest: Manifest) -> None:
    manifest.propose(entry(0, 1))
    found = manifest.at(PART, 0)
    assert found is not None
    assert msgspec.to_builtins(found.shape) == {"gzip_level": 6}


_FIRST_OF_MANY_THREADS = """\
import importlib, sys, threading
from pinterest_pipeline.sink import manifest, shape

class Store:
    def get(self, key):
        return sys.argv[1].encode()

sys.setswitchinterval(1e-7)
for _ in range(40):
    importlib.reload(shape), importlib.reload(manifest)
    entries, gate = manifest.Manifest(Store(), "topics"), threading.Barrier(8)
    def read():
        gate.wait()
        assert entries.at(("a", 0), 0).missing == 1
    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def test_threads_that_read_the_first_entry_of_a_process_do_not_end_it() -> None:
    text = msgspec.json.encode(entry(0, 1)).decode()
    done = subprocess.run([sys.executable, "-c", _FIRST_OF_MANY_THREADS, text], check=False)
    assert done.returncode == 0
