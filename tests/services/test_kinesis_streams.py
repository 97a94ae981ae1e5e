"""The streaming notebook on Spark, against a real gateway: equal to the other branches, exactly once."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from pinterest_pipeline.cleaning.rules import CLEAN_COLUMNS
from pinterest_pipeline.config import KinesisSettings, Settings, SinkSettings
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import BRANCHES, TABLES, Table
from pinterest_pipeline.stream_notebook import register_kinesis
from pinterest_pipeline.workspace import Workspace
from tests.branches import JsonPost, append, land
from tests.command import environment, pinpipe
from tests.databricks_stand_in import run_notebook
from tests.services.kinesis_process import KinesisGateway, kinesis_gateway

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "databricks" / "kinesis_streams.py"
REAL_POSTS = ROOT / "../shared/data/real_posts_168.jsonl.gz"
BAD = (
    b"not json",
    b"[]",
    b"\xff",
    b"",
    b'{"index":5,"follower_count":"many"}',
    b'{"title":"no ind"}',
    b'{"index":6,"title":"a","title":"b"} ',
    b'{"index":7,"_raw":1}',
    b'{"index":8,"title":"\\ud800"}',
    '{"index": 9, "title": "Größe 🎨", "description": "two\\nlines", "follower_count": 12.50}'.encode(),
)


def some_posts() -> list[JsonPost]:
    """The real posts where they are, and made ones; some of both once more, changed and unchanged."""
    posts: list[JsonPost] = [{table: wire_row(post[table]) for table in TABLES} for post in generate(120)]
    if REAL_POSTS.exists():
        with gzip.open(REAL_POSTS, "rt", encoding="utf-8") as lines:
            posts += [json.loads(line) for line in lines]
    again = [{**post, "pin": post["pin"] | {"title": "newer"}} for post in posts[::5]]
    return [{table: post[table] for table in TABLES} for post in [*posts, *again, *posts[::7]]]


def widgets(gateway: KinesisGateway, folder: Path) -> dict[str, str]:
    return {
        "endpoint": gateway.url,
        "tables": str(folder / "spark" / "tables"),
        "checkpoints": str(folder / "spark" / "checkpoints"),
    }


def rows(spark: SparkSession, path: Path, order: Sequence[str]) -> list[dict[str, Any]]:
    frame = spark.read.format("delta").load(str(path))
    return [row.asDict() for row in frame.orderBy(*order).collect()]


def test_spark_and_the_embedded_branches_give_the_same_tables_row_for_row(
    spark: SparkSession, tmp_path: Path
) -> None:
    workspace = Workspace(
        Settings(
            data=tmp_path / "data",
            sink=SinkSettings(flush_size=200),
            kinesis=KinesisSettings(transition_seconds=0),
        )
    )
    append(workspace, some_posts())
    add_bad_records(workspace)
    land(workspace)
    settings = {"PINPIPE_DATA": str(workspace.root)}
    for command in (["load"], ["stream", "--until-empty"]):
        done = pinpipe(tmp_path, *command, settings=settings)
        assert done.returncode == 0, done.stderr
    with kinesis_gateway(workspace.root) as gateway:
        shown = run_notebook(NOTEBOOK, spark, widgets(gateway, tmp_path))["display"].shown
    assert [frame.count() for frame in shown[:3]] == [1, 1, 1]
    on_spark, embedded = tmp_path / "spark" / "tables", workspace.root / "tables"
    for table in TABLES:
        name = names.delta_table("stream", workspace.settings.pipeline_id, table)
        found = rows(spark, on_spark / name, ["ind"])
        assert found == rows(spark, embedded / "stream" / name, ["ind"])
        own = list(CLEAN_COLUMNS[table])
        batch = rows(spark, embedded / "batch" / table, ["ind"])
        assert [[row[column] for column in own] for row in found] == [
            [row[column] for column in own] for row in batch
        ]
        assert len(found) > 100
    order = ["_stream", "_shard", "_sequence"]
    aside = rows(spark, on_spark / names.QUARANTINE, order)
    assert aside == rows(spark, embedded / "stream" / names.QUARANTINE, order)
    assert len(aside) >= 6


def add_bad_records(workspace: Workspace) -> None:
    for branch in BRANCHES:
        log = workspace.topics_log() if branch == "batch" else workspace.streams_log()
        source = names.source(branch, workspace.settings.pipeline_id, "pin")
        log.append(source, [Record(value, b"bad") for value in BAD]).result()
        log.close()


def test_wrong_options_are_refused_by_their_name_at_load(spark: SparkSession) -> None:
    register_kinesis(spark)
    reader = spark.readStream.format("kinesis").option("streamName", "s").option("awsSecretKey", "hidden")
    with pytest.raises(AnalysisException, match="awsAccessKey and awsSecretKey go together") as caught:
        reader.load()
    assert "hidden" not in str(caught.value)
    with pytest.raises(AnalysisException, match=r"(?i)no option 'maxFetchRates'.*mean maxFetchRate\?"):
        spark.readStream.format("kinesis").options(streamName="s", maxFetchRates="1").load()
    frame = spark.readStream.format("kinesis").options(STREAMNAME="s", region="us-east-1").load()
    assert [field.simpleString() for field in frame.schema] == [
        "partitionKey:string",
        "data:binary",
        "stream:string",
        "shardId:string",
        "sequenceNumber:string",
        "approximateArrivalTimestamp:timestamp",
    ]


KILLED_AT = ("spark-planned", "spark-read", "spark-quarantined", "spark-committed")


@pytest.mark.skipif("SPARK_KILLS" not in os.environ, reason="five drivers take ten minutes: SPARK_KILLS=1")
def test_kill_9_of_the_driver_at_each_phase_counts_each_record_once(
    spark: SparkSession, tmp_path: Path
) -> None:
    acknowledged: dict[Table, set[int]] = {table: set() for table in TABLES}
    bad: set[tuple[str, str]] = set()
    with kinesis_gateway(tmp_path) as gateway:
        client = gateway.client()
        for table in TABLES:
            client.create_stream(StreamName=names.stream("124df56aef51", table), ShardCount=2)
        gateway.advance(1)
        posts = iter(generate(500))
        for number, point in enumerate([*KILLED_AT, None]):
            put(client, [next(posts) for _ in range(30)], acknowledged, bad)
            if number == 2:
                stream = names.stream("124df56aef51", "pin")
                client.update_shard_count(
                    StreamName=stream, TargetShardCount=3, ScalingType="UNIFORM_SCALING"
                )
                gateway.advance(1)
            code = drive(gateway, tmp_path, point)
            assert code == (0 if point is None else -signal.SIGKILL)
    tables = tmp_path / "spark" / "tables"
    for table in TABLES:
        found = rows(spark, tables / names.delta_table("stream", "124df56aef51", table), ["ind"])
        assert [row["ind"] for row in found] == sorted(acknowledged[table])
    aside = rows(spark, tables / names.QUARANTINE, ["_shard", "_sequence"])
    assert sorted((row["_shard"], row["_sequence"]) for row in aside) == sorted(bad)


def put(
    client: Any, posts: Iterable[Any], acknowledged: dict[Table, set[int]], bad: set[tuple[str, str]]
) -> None:
    sent = list(posts)
    for table in TABLES:
        entries = [
            {"Data": json.dumps(wire_row(post[table])).encode(), "PartitionKey": str(post["geo"]["ind"])}
            for post in sent
        ]
        if table == "pin":
            entries += [{"Data": b"not json", "PartitionKey": str(number)} for number in range(3)]
        stream = names.stream("124df56aef51", table)
        outcomes = client.put_records(StreamName=stream, Records=entries)["Records"]
        acknowledged[table] |= {post["geo"]["ind"] for post in sent}
        bad |= {(one["ShardId"], one["SequenceNumber"]) for one in outcomes[len(sent) :]}


def drive(gateway: KinesisGateway, folder: Path, dies_at: str | None) -> int:
    """Run the notebook in a process of its own; its exit code."""
    arguments = [f"{name}={value}" for name, value in widgets(gateway, folder).items()]
    settings = {"PINPIPE_DATA": str(folder / "data"), "PINPIPE_ENGINE__SPARK_MEMORY": "1g"}
    if dies_at is not None:
        settings["PINPIPE_CRASH_AT"] = dies_at
    with (folder / "driver.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.databricks_stand_in", str(NOTEBOOK), *arguments],
            cwd=ROOT,
            env=environment() | settings,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        code = process.wait(600)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # its JVM, should it still be about to end
    return code


@pytest.fixture(autouse=True)
def _no_query_is_left(spark: SparkSession) -> Iterator[None]:
    yield
    assert spark.streams.active == []
