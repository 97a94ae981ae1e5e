"""A folder shows an object only when it is on the disk, whatever stops the writer."""

import errno
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pinterest_pipeline.errors import BadInput, DiskFull, NoSuchObject, Unavailable
from pinterest_pipeline.objects.base import INCOMING
from pinterest_pipeline.objects.folder import FolderStore

SIZE = 300_000
WRITER = f"""
import sys
from pathlib import Path
from pinterest_pipeline.objects.folder import FolderStore
store = FolderStore(Path(sys.argv[1]))
for number in range(1_000_000):
    store.put_if_absent(f"t/{{number}}", bytes([number % 256]) * {SIZE})
    print(number, flush=True)
"""


def test_an_object_is_synced_before_it_is_seen_and_its_folders_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def noted_fsync(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().relative_to(tmp_path)}")
        fsync(descriptor)

    def noted_link(source: Path, target: Path) -> None:
        steps.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "link", noted_link)
    store.put_if_absent("a/b/c", b"x")
    assert steps[0].startswith(f"sync {INCOMING}/")
    assert steps[1:] == ["link", "sync a/b", "sync a", "sync ."]
    steps.clear()
    store.put_if_absent("a/b/d", b"x")
    assert steps[1:] == ["link", "sync a/b"]


def test_kill_9_leaves_whole_objects_and_all_that_were_acknowledged(tmp_path: Path) -> None:
    acknowledged = 0
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _, line in zip(range(acknowledged + 20), writer.stdout, strict=False):
            acknowledged = int(line) + 1
        writer.kill()
        writer.communicate()
        store = FolderStore(tmp_path)
        sizes = {found.key: found.size for found in store.list("")}
        assert set(sizes.values()) == {SIZE}
        assert all(f"t/{number}" in sizes for number in range(acknowledged))


def test_an_object_that_goes_while_it_is_asked_for_is_not_there(tmp_path: Path) -> None:
    """Small objects are merged and removed while others read; only a folder that fails is unavailable."""
    store, path, is_over = FolderStore(tmp_path), tmp_path / "a", threading.Event()

    def come_and_go() -> None:
        while not is_over.is_set():
            path.write_bytes(b"x")
            path.unlink()

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(come_and_go)
        try:
            for _ in range(5_000):
                with suppress(NoSuchObject):
                    store.get("a")
                store.head("a")
        finally:
            is_over.set()
        coming.result()


def test_what_killed_writers_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    FolderStore(tmp_path)
    old, young = tmp_path / INCOMING / "old", tmp_path / INCOMING / "young"
    for path in (old, young):
        path.write_bytes(b"half an obj")
    os.utime(old, (time.time() - 3_600, time.time() - 3_600))
    store = FolderStore(tmp_path)
    assert [path.name for path in (tmp_path / INCOMING).iterdir()] == ["young"]
    assert list(store.list("")) == []


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull, match="no room left for the object a/b"):
            store.put_if_absent("a/b", b"x")
    assert store.head("a/b") is None
    assert list((tmp_path / INCOMING).iterdir()) == []
    assert store.put_if_absent("a/b", b"x")


def test_another_fault_of_the_disk_can_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(Unavailable, match="a/b cannot be read or written"):
        store.put_if_absent("a/b", b"x")


def test_a_key_below_an_object_is_refused(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put_if_absent("a", b"x")
    with pytest.raises(BadInput, match="a/b cannot be kept"):
        store.put_if_absent("a/b", b"x")
    assert store.head("a/b") is None


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="file cannot be kept"):
        FolderStore(tmp_path / "file")
