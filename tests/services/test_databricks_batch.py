"""`databricks/s3_bucket_mount.py` unchanged on Spark with Delta, over objects that the sink landed."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from pinterest_pipeline.analyses.catalog import load
from pinterest_pipeline.config import Settings, SinkSettings
from pinterest_pipeline.errors import BadInput, Fatal
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.lakehouse import full_refresh, is_yes, past_answers
from pinterest_pipeline.landing import run_compaction
from pinterest_pipeline.pipeline import answers, load_batch
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.tables.catalog import CatalogSchema
from pinterest_pipeline.workspace import Workspace
from tests.auto_loader_stand_in import stand_in_for_auto_loader
from tests.branches import JsonPost, append, land
from tests.databricks_stand_in import run_notebook

pytestmark = [pytest.mark.services, pytest.mark.timeout(900), pytest.mark.usefixtures("interpreted_spark")]

NOTEBOOK = Path(__file__).parents[2] / "databricks" / "s3_bucket_mount.py"
BAD = [b"not json", b"\xff", b'{"title":"no ind"}', b'{"index":"7x"}', b'{"index":8,"follower_count":"many"}']

Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def _auto_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_auto_loader(monkeypatch)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(Settings(data=tmp_path, sink=SinkSettings(flush_size=40)))


@pytest.fixture
def target(spark: SparkSession, workspace: Workspace) -> Iterator[CatalogSchema]:
    name = f"batch_{secrets.token_hex(4)}"
    spark.sql(f"CREATE SCHEMA {name}")
    yield CatalogSchema("spark_catalog", name, workspace.settings.pipeline_id, "batch")
    spark.sql(f"DROP SCHEMA {name} CASCADE")


def run(spark: SparkSession, workspace: Workspace, target: CatalogSchema, **asked: str) -> dict[str, Any]:
    return run_notebook(
        NOTEBOOK,
        spark,
        {
            "catalog": target.catalog,
            "schema": target.schema,
            "objects": str(workspace.root / "objects"),
            "progress": str(workspace.root / "progress"),
            **asked,
        },
    )


def posts(count: int) -> list[JsonPost]:
    return [{table: wire_row(post[table]) for table in TABLES} for post in generate(count)]


def land_with_bad(workspace: Workspace, count: int) -> None:
    append(workspace, posts(count))
    log = workspace.topics_log()
    log.append(names.topic(workspace.settings.pipeline_id, "pin"), [Record(value) for value in BAD]).result()
    log.close()
    land(workspace)


def by_ind(frame: DataFrame) -> Rows:
    rows: Rows = frame.toArrow().to_pylist()
    return sorted(rows, key=lambda row: row["ind"])


def check(spark: SparkSession, workspace: Workspace, target: CatalogSchema, shown: dict[str, Any]) -> None:
    """What the notebook left and showed is what `load` and `analyse` make of the same objects."""
    with workspace.engine() as engine:
        load_batch(workspace, engine)
        expected = answers(workspace, engine, "batch")
    for table in TABLES:
        ours = sorted(workspace.table("batch", table).head(10_000), key=lambda row: row["ind"])
        assert by_ind(spark.read.table(target.clean_table(table))) == ours
    assert set_aside(spark.read.table(target.quarantine_table()).toArrow().to_pylist()) == set_aside(
        workspace.quarantine("batch").head(10_000)
    )
    titles = [f"<h3>{analysis.number}. {analysis.question}</h3>" for analysis in load()]
    assert shown["displayHTML"].shown == titles
    frames, others = shown["display"].shown[: len(load())], shown["display"].shown[len(load()) :]
    assert [frame.columns[-1] for frame in others] == ["count", *["_rescued_data"] * len(TABLES)]
    for analysis, frame in zip(load(), frames, strict=True):
        assert frame.toArrow().to_pylist() == expected[analysis.name]


def set_aside(rows: Rows) -> list[tuple[Any, ...]]:
    """A line that is no JSON has no position that Spark could read, so it is told by its text."""
    return sorted((row["table_name"], str(row["ind"]), str(row["_offset"]), row["raw"]) for row in rows)


def versions(spark: SparkSession, target: CatalogSchema) -> list[int]:
    tables = [*map(target.clean_table, TABLES), target.quarantine_table()]
    return [spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").collect()[0]["version"] for table in tables]


def test_it_loads_what_is_new_and_gives_the_answers_of_pinpipe(
    spark: SparkSession, workspace: Workspace, target: CatalogSchema
) -> None:
    land_with_bad(workspace, 60)
    check(spark, workspace, target, run(spark, workspace, target))
    before = versions(spark, target)
    run(spark, workspace, target)
    assert versions(spark, target) == before  # a second run finds nothing new, and writes nothing

    newer = [{table: row | {"title": "newer"} for table, row in post.items()} for post in posts(80)[40:]]
    append(workspace, newer)
    land(workspace)
    run_compaction(workspace, 2**20)
    check(spark, workspace, target, run(spark, workspace, target))

    shutil.rmtree(workspace.root / "progress")
    check(spark, workspace, target, run(spark, workspace, target))


def test_objects_that_a_killed_compaction_left_beside_the_merged_ones_count_once(
    spark: SparkSession, workspace: Workspace, target: CatalogSchema, tmp_path: Path
) -> None:
    for _ in range(2):
        land_with_bad(workspace, 20)
    shutil.copytree(tmp_path / "objects" / "topics", tmp_path / "small")
    assert all(done.merged for done in run_compaction(workspace, 2**20).values())
    shutil.copytree(tmp_path / "small", tmp_path / "objects" / "topics", dirs_exist_ok=True)
    check(spark, workspace, target, run(spark, workspace, target))


def test_whatever_write_it_dies_in_each_record_is_loaded_once(
    spark: SparkSession, workspace: Workspace, target: CatalogSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_with_bad(workspace, 30)
    for write in ("set_aside", "upsert"):
        for after in (False, True):
            with monkeypatch.context() as patch:
                _die(patch, write, after=after)
                with pytest.raises(StreamingQueryException, match="died"):
                    run(spark, workspace, target)
    check(spark, workspace, target, run(spark, workspace, target))


def _die(patch: pytest.MonkeyPatch, name: str, *, after: bool) -> None:
    real = getattr(CatalogSchema, name)

    def dying(*arguments: Any) -> None:
        if after:
            real(*arguments)
        raise RuntimeError("died")

    patch.setattr(CatalogSchema, name, dying)


def test_everything_anew_and_a_past_date(
    spark: SparkSession, workspace: Workspace, target: CatalogSchema
) -> None:
    land_with_bad(workspace, 30)
    run(spark, workspace, target)
    before_drift = target.clean_table("user")  # as a version of the package left it that knew no drift
    spark.sql(f"ALTER TABLE {before_drift} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    spark.sql(f"ALTER TABLE {before_drift} DROP COLUMN _rescued_data")
    spark.sql(f"UPDATE {target.clean_table('pin')} SET category = 'wrong'")
    spark.sql(f"DELETE FROM {target.quarantine_table()}")
    check(spark, workspace, target, run(spark, workspace, target, full_refresh="yes"))

    shown = run(spark, workspace, target, until="2020-01-31T00:00:00+00:00")["display"].shown
    assert [frame.count() for frame in shown[: len(load())]] == [0] * len(load())
    spark.sql(f"UPDATE {target.clean_table('pin')} SET _offset = 10000 + _offset")
    with pytest.raises(Fatal, match="rows of pin whose records no object has"):
        full_refresh(spark, str(workspace.root / "objects"), target)
    with pytest.raises(BadInput, match="'soon' is no time"):
        past_answers(spark, str(workspace.root / "objects"), target, "soon")
    with pytest.raises(BadInput, match="neither yes nor no"):
        is_yes("perhaps")
