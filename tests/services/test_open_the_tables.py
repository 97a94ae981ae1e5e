"""The snippets of the page about other tools, as they stand there, over tables that the pipeline wrote."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pinterest_pipeline.config import Settings
from pinterest_pipeline.engines.duckdb import DuckDBEngine
from pinterest_pipeline.pipeline import answers
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.reports.csv_files import write_csvs
from pinterest_pipeline.workspace import Workspace
from tests.landing import land

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.services

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "open-the-tables.md"


def snippets() -> dict[str, list[str]]:
    """Heading -> its Python snippets."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = zip(parts[1::2], parts[2::2], strict=True)
    return {heading: re.findall(r"```python\n(.*?)```", body, re.DOTALL) for heading, body in found}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, duckdb_engine: DuckDBEngine) -> Path:
    """A folder in which a batch branch was loaded, and its answers."""
    folder = tmp_path_factory.mktemp("open")
    workspace = Workspace(Settings(data=folder / "pinpipe-data"))
    for table in TABLES:
        rows = (wire_row(post[table]) for post in generate(300))
        file = land(folder / f"{table}.json", "batch", rows)
        with duckdb_engine.clean(table, "batch", [file]) as cleaned:
            workspace.table("batch", table).upsert(cleaned.rows, {"topic/0": 300}, {})
    write_csvs(answers(workspace, duckdb_engine, "batch"), folder / "answers")
    return folder


def printed(folder: Path, snippet: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(snippet, str(PAGE), "exec"), {})
    return capsys.readouterr().out


def test_every_tool_reads_the_same(
    folder: Path, spark: "SparkSession", capsys: pytest.CaptureFixture[str]
) -> None:
    found = {name: [printed(folder, snippet, capsys) for snippet in of] for name, of in snippets().items()}
    assert list(found) == ["Polars", "pandas", "DuckDB", "Spark", "The answers"]
    assert len({text for name, texts in found.items() if name != "The answers" for text in texts}) == 1
    assert re.fullmatch(r"(\('[\w-]+', \d+\) ?){3}\n", found["Spark"][0])
    assert len(set(found["The answers"])) == 1
    assert found["The answers"][0].startswith("{'country': ")
