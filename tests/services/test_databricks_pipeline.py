"""`databricks/pipeline/posts.py` unchanged; a stand-in enforces its expectations as Lakeflow does."""

import re
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from pinterest_pipeline.analyses.catalog import load
from pinterest_pipeline.cleaning.checks import expectations
from pinterest_pipeline.config import Settings, SinkSettings
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.pipeline import answers, load_batch
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import QUARANTINE, TABLES
from pinterest_pipeline.workspace import Workspace
from tests.auto_loader_stand_in import stand_in_for_auto_loader
from tests.branches import JsonPost, append, land
from tests.lakeflow_stand_in import Pipeline

pytestmark = [pytest.mark.services, pytest.mark.timeout(900), pytest.mark.usefixtures("interpreted_spark")]

FILE = Path(__file__).parents[2] / "databricks" / "pipeline" / "posts.py"
# Each has one fault.
BAD = {
    "pin": [b'{"title":"no ind"}', b'{"index":"7x"}', b'{"index":8,"follower_count":"many"}'],
    "geo": [
        b'{"ind":1,"latitude":91}',
        b'{"ind":2,"timestamp":"2020-02-30 00:00:00"}',
        b'{"ind":3,"longitude":"E"}',
    ],
    "user": [b'{"ind":1,"age":"old"}', b'{"ind":2,"age":-3}', b'{"ind":3,"date_joined":"soon"}'],
}


@pytest.fixture
def schema(spark: SparkSession) -> Iterator[str]:
    """The schema that the pipeline publishes to."""
    name = f"pipeline_{secrets.token_hex(4)}"
    spark.sql(f"CREATE SCHEMA {name}")
    spark.catalog.setCurrentDatabase(name)
    yield name
    spark.catalog.setCurrentDatabase("default")
    spark.sql(f"DROP SCHEMA {name} CASCADE")


@pytest.mark.usefixtures("schema")
def test_expectations_drop_and_count_what_the_rules_set_aside(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_for_auto_loader(monkeypatch)
    workspace = Workspace(Settings(data=tmp_path, sink=SinkSettings(flush_size=100)))
    pipeline_id = workspace.settings.pipeline_id
    posts: list[JsonPost] = [{table: wire_row(post[table]) for table in TABLES} for post in generate(60)]
    append(workspace, [*posts, *posts[:20]])
    log = workspace.topics_log()
    for table in TABLES:
        log.append(names.topic(pipeline_id, table), [Record(value) for value in BAD[table]]).result()
    log.close()
    land(workspace)
    spark.conf.set("pinpipe.objects", str(workspace.root / "objects"))
    spark.conf.set("pinpipe.pipeline_id", pipeline_id)

    pipeline = Pipeline(spark, tmp_path / "checkpoints", monkeypatch)
    pipeline.run(FILE)

    with workspace.engine() as engine:
        loaded = load_batch(workspace, engine)
        expected = answers(workspace, engine, "batch")
    set_aside = workspace.quarantine("batch").head(100)
    for table in TABLES:
        reasons = Counter(_expectation(row) for row in set_aside if row["table_name"] == table)
        assert reasons.keys() <= expectations(table, "batch").keys()
        assert +pipeline.failed[f"{table}_checked"] == reasons
        assert pipeline.dropped[f"{table}_checked"] == loaded[table].quarantined == len(BAD[table])
        clean = spark.read.table(names.catalog_table(pipeline_id, table)).toArrow().to_pylist()
        ours = workspace.table("batch", table).head(1_000)
        assert sorted(clean, key=lambda row: row["ind"]) == sorted(ours, key=lambda row: row["ind"])
    there = spark.read.table(QUARANTINE).toArrow().to_pylist()
    assert sorted(map(str, there)) == sorted(map(str, set_aside))
    for analysis in load():
        rows = spark.read.table(analysis.name).toArrow().to_pylist()  # a table has no order
        assert sorted(map(str, rows)) == sorted(map(str, expected[analysis.name]))
        assert pipeline.comments[analysis.name] == analysis.question


def _expectation(row: dict[str, Any]) -> str:
    """The expectation that the reason of a quarantined row names."""
    match = re.fullmatch(r"(\w+): expected (.*), got (.*)", row["reason"])
    assert match is not None
    column, expected, found = match.groups()
    return f"{column}: present" if found == "nothing" else f"{column}: {expected}"
