"""Jars are fetched into the cache once, whoever asks, and a folder of theirs that is there is complete."""

import errno
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pinterest_pipeline.broker.distribution import KAFKA_VERSION, jars
from pinterest_pipeline.engines.spark_jars import DELTA_VERSION, delta_jars
from pinterest_pipeline.errors import DiskFull
from pinterest_pipeline.parts import Jars, Say, jars_folder, java_version
from tests.unit.conftest import java_stand_in

OURS = Jars(owner="Ours", title="Ours 1.2 for all", name="ours", version="1.2", size="1 MB", room="2 MB")


def two(work: Path) -> Iterator[Path]:
    for name in ("a.jar", "deep/b.jar", "no.pom"):
        path = work / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return work.rglob("*.jar")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("fetched", "name"), [(jars, f"kafka-{KAFKA_VERSION}"), (delta_jars, f"delta-spark-{DELTA_VERSION}")]
)
def test_jars_that_are_there_are_taken_in_silence(
    tmp_path: Path, fetched: Callable[[Path, Say], Path], name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    said: list[str] = []
    assert fetched(tmp_path, said.append) == folder
    assert said == []


def test_the_folder_holds_the_jars_and_nothing_else(tmp_path: Path) -> None:
    cache, said = tmp_path / "new" / "cache", list[str]()
    (cache / "partial-ours-killed" / "complete").mkdir(parents=True)
    (cache / "partial-theirs-1").mkdir()
    folder = jars_folder(OURS, cache, said.append, two)
    assert names(folder) == ["a.jar", "b.jar"]
    assert names(cache) == ["ours-1.2", "ours.lock", "partial-theirs-1"]
    assert said == [f"downloading Ours 1.2 for all (1 MB, once) into {folder} ..."]


def test_who_asks_at_the_same_time_waits_for_the_first(tmp_path: Path) -> None:
    together, said = threading.Barrier(4), list[str]()

    def ask(_: int) -> Path:
        together.wait(10)
        return jars_folder(OURS, tmp_path, said.append, two)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == {tmp_path / "ours-1.2"}
    assert len(said) == 1


def test_a_full_disk_is_named_with_what_must_be_free(tmp_path: Path) -> None:
    def full(work: Path) -> Iterator[Path]:
        yield from two(work)
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(DiskFull, match=rf"no room for Ours's jars in {tmp_path}\. free 2 MB"):
        jars_folder(OURS, tmp_path, lambda _: None, full)
    assert names(tmp_path) == ["ours.lock"]


def test_another_error_is_left_to_who_asks(tmp_path: Path) -> None:
    def broken(_: Path) -> list[Path]:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        jars_folder(OURS, tmp_path, lambda _: None, broken)
    assert names(tmp_path) == ["ours.lock"]


@pytest.mark.parametrize(("said", "version"), [("17.0.15", 17), ("21", 21), ("1.8.0_402", 1), ("", 0)])
def test_the_version_of_a_java_is_its_first_number(tmp_path: Path, said: str, version: int) -> None:
    assert java_version(java_stand_in(tmp_path, said)) == version
