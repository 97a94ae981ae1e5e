"""What every home of objects promises: a folder, S3 (SeaweedFS), and the code for S3 over memory."""

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from pinterest_pipeline.config import ObjectSettings
from pinterest_pipeline.errors import BadInput, NoSuchObject
from pinterest_pipeline.objects.base import ObjectStore, StoredObject
from pinterest_pipeline.objects.remote import RemoteStore
from pinterest_pipeline.objects.store import open_store

MANY = 1_100  # more than S3 lists in one page
HOMES = [pytest.param("folder"), pytest.param("memory"), pytest.param("s3", marks=pytest.mark.services)]

Opener = Callable[[], ObjectStore]


@pytest.fixture(params=HOMES)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens one more instance of the same store."""
    where = ObjectSettings()
    if request.param == "s3":
        where = cast(ObjectSettings, request.getfixturevalue("s3_prefix"))
    memory = MemoryStore()
    if request.param == "memory":
        return lambda: RemoteStore(memory, "memory:/", retry_seconds=1)
    return lambda: open_store(where, tmp_path / "objects")


@pytest.fixture
def store(opener: Opener) -> ObjectStore:
    """An empty store."""
    return opener()


def test_what_is_put_is_there_for_every_instance(store: ObjectStore, opener: Opener) -> None:
    assert store.put_if_absent("a/b.json", b'{"a":1}\n')
    assert opener().get("a/b.json") == b'{"a":1}\n'
    assert store.head("a/b.json") == StoredObject("a/b.json", 8)


@pytest.mark.parametrize("second", [b"first", b"second", b""])
def test_an_object_never_changes(store: ObjectStore, second: bytes) -> None:
    assert store.put_if_absent("a", b"first")
    assert not store.put_if_absent("a", second)
    assert store.get("a") == b"first"


@pytest.mark.parametrize("size", [0, 1, 2**16 + 1, 11 * 2**20])
def test_any_size_is_kept_whole(store: ObjectStore, size: int, tmp_path: Path) -> None:
    content = secrets.token_bytes(size)
    store.put_if_absent("a.bin", content)
    assert store.get("a.bin") == content
    assert store.head("a.bin") == StoredObject("a.bin", size)
    assert store.fetch(["a.bin"], tmp_path)[0].read_bytes() == content


@pytest.mark.parametrize(
    ("content", "size", "tail"), [(b"abc", 2, b"bc"), (b"abc", 3, b"abc"), (b"abc", 9, b"abc"), (b"", 4, b"")]
)
def test_the_tail_is_the_end_of_an_object(store: ObjectStore, content: bytes, size: int, tail: bytes) -> None:
    store.put_if_absent("a", content)
    assert store.tail("a", size) == tail


def test_of_writers_of_one_key_exactly_one_succeeds(store: ObjectStore) -> None:
    contents = [b"%d" % number * 5_000 for number in range(8)]
    start = threading.Barrier(len(contents))

    def put(content: bytes) -> bool:
        start.wait()
        return store.put_if_absent("race", content)

    with ThreadPoolExecutor(len(contents)) as pool:
        succeeded = list(pool.map(put, contents))
    assert succeeded.count(True) == 1
    assert store.get("race") == contents[succeeded.index(True)]


def test_a_listing_goes_down_a_folder_and_not_beside_it(store: ObjectStore) -> None:
    for key in ("t/a.pin/0/x", "t/a.pin/1/y", "t/a.pins/0/x", "t/a.pi", "u"):
        store.put_if_absent(key, key.encode())
    assert sorted(found.key for found in store.list("t/a.pin")) == ["t/a.pin/0/x", "t/a.pin/1/y"]
    assert {found.key: found.size for found in store.list("")}["t/a.pins/0/x"] == 12
    assert len(list(store.list(""))) == 5
    assert list(store.list("t/nothing")) == []
    assert list(store.list("u")) == []


def test_a_long_listing_beside_a_writer_shows_all_that_was_there(store: ObjectStore) -> None:
    before = {f"t/{number:05d}" for number in range(0, 2 * MANY, 2)}
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda key: store.put_if_absent(key, b"x"), before))
        listing = store.list("t")
        first = next(listing)
        others = [pool.submit(store.put_if_absent, f"t/{number:05d}", b"x") for number in range(1, 600, 2)]
        seen = [first.key, *(found.key for found in listing)]
        assert all(other.result() for other in others)
    assert before <= set(seen)
    assert len(seen) == len(set(seen))


def test_a_deleted_object_is_gone_and_its_key_is_free(store: ObjectStore) -> None:
    store.put_if_absent("a", b"first")
    store.delete("a")
    store.delete("a")
    assert store.head("a") is None
    assert store.put_if_absent("a", b"second")
    assert store.get("a") == b"second"


def test_fetched_files_come_in_the_order_of_their_keys_with_their_endings(
    store: ObjectStore, tmp_path: Path
) -> None:
    keys = [f"t/t.pin+0+{number:010d}.json" for number in range(20)] + ["t/t.pin+1+0000000000.json.gz"]
    for key in keys:
        store.put_if_absent(key, key.encode())
    paths = store.fetch(keys[::-1], tmp_path)
    assert [path.read_bytes().decode() for path in paths] == keys[::-1]
    assert [path.name.endswith(".json.gz") for path in paths] == [True] + [False] * 20


def test_an_object_that_is_not_there_is_named(store: ObjectStore, tmp_path: Path) -> None:
    store.put_if_absent("there", b"x")
    assert store.head("a/missing") is None
    for ask in (
        lambda: store.get("a/missing"),
        lambda: store.tail("a/missing", 5),
        lambda: store.fetch(["there", "a/missing"], tmp_path),
    ):
        with pytest.raises(NoSuchObject, match="a/missing"):
            ask()


BAD_KEYS = ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\nb", "a\0", "a\\b", "\ud800", ".incoming/a"]


@pytest.mark.parametrize("key", [*BAD_KEYS, "x" * 256, "x/" * 500 + "x"])
def test_a_key_that_some_home_could_not_keep_is_refused(store: ObjectStore, key: str, tmp_path: Path) -> None:
    for ask in (
        lambda: store.put_if_absent(key, b"x"),
        lambda: store.get(key),
        lambda: store.tail(key, 1),
        lambda: store.head(key),
        lambda: store.delete(key),
        lambda: store.fetch([key], tmp_path),
    ):
        with pytest.raises(BadInput, match="key"):
            ask()


CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\\ufffe\uffff")
SEGMENTS = st.text(CHARACTERS, min_size=1, max_size=60).filter(lambda text: text not in (".", ".."))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(SEGMENTS, min_size=1, max_size=3), st.binary(max_size=2_000))
def test_odd_keys_and_any_content_come_back_as_they_were(
    store: ObjectStore, segments: list[str], content: bytes
) -> None:
    folder = secrets.token_hex(8)
    key = "/".join([folder, *segments])
    assert store.put_if_absent(key, content)
    assert store.get(key) == content
    assert list(store.list(folder)) == [StoredObject(key, len(content))]


ODD_NAMES = ["a+b=c d", "100%", "a%20b", "x#1", "a?b&c", "*[a]{b}", "~ä日本🙂", "a'\"<b>"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_signs_that_addresses_give_a_meaning_to_are_only_signs(store: ObjectStore, name: str) -> None:
    key = f"k=v/{name}"
    assert store.put_if_absent(key, b"x")
    assert [found.key for found in store.list("k=v")] == [key]
    assert store.get(key) == b"x"
