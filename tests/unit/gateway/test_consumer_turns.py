"""A turn on a consumer instance ends whatever happens to its request, and leaves no file behind."""

import errno
import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from pinterest_pipeline.errors import DiskFull, Unavailable, UnknownConsumer
from pinterest_pipeline.gateway import consumer_store
from pinterest_pipeline.gateway.consumer_shapes import InstanceSettings
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.consumer_turns import Turn, Turns
from tests.open_files import open_below

SETTINGS = InstanceSettings("json", "earliest", True, 1, 1_000)


def test_a_lock_that_the_system_refuses_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns(tmp_path / "turns")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        with pytest.raises(Unavailable, match="No locks available"):
            turns.take(1)
    assert open_below(tmp_path) == []


def test_an_unused_instance_that_a_full_disk_keeps_is_removed_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ConsumerStore(tmp_path, timeout_seconds=-1)
    store.create("g", "one", SETTINGS)
    with monkeypatch.context() as patch:

        def refuse(*_: object) -> bool:
            raise DiskFull("the disk is full", "free some space")

        patch.setattr(consumer_store, "remove", refuse)
        with pytest.raises(DiskFull):
            store.remove_unused()
    store.remove_unused()
    store.create("g", "one", SETTINGS)
    store.close()


def test_an_instance_that_two_gateways_remove_at_once_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = (ConsumerStore(tmp_path, timeout_seconds=-1) for _ in range(2))
    here.create("g", "one", SETTINGS)
    take: Callable[[Turns, int], Turn | None] = Turns.take

    def take_after_the_other(turns: Turns, id_: int) -> Turn | None:
        monkeypatch.undo()
        there.remove_unused()
        return take(turns, id_)

    monkeypatch.setattr(Turns, "take", take_after_the_other)
    here.remove_unused()
    assert list((tmp_path / "turns").iterdir()) == []
    for store in (here, there):
        store.close()


def test_a_file_that_cannot_be_removed_keeps_no_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ConsumerStore(tmp_path, timeout_seconds=60)
    store.create("g", "one", SETTINGS)

    def gone(*_: object) -> None:
        raise UnknownConsumer("g", "one")

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(ConsumerStore, "_load", gone)
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(Unavailable, match="Read-only file system"):
            store.enter("g", "one")
    entered = store.enter("g", "one")
    assert entered is not None
    entered[1].end()
    store.close()
