"""Joins the rooms on Spark: objects, rules, tables of a catalog. The notebooks of `databricks/` call it.

Nothing is cached, for serverless compute refuses it.
"""

from functools import partial
from typing import Final

from pyspark.sql import DataFrame, SparkSession

from pinterest_pipeline.engines import spark_frames as frames
from pinterest_pipeline.engines.spark_lines import LINE_END, lines_of
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import TABLES, Table
from pinterest_pipeline.tables.catalog import CatalogSchema

# The sink's objects, and those that small ones were merged into.
_FOLDERS: Final = ("topics", "compacted/topics")


def object_lines(spark: SparkSession, objects: str, pipeline_id: str, table: Table) -> DataFrame:
    """A stream of the lines of a topic's objects in `VALUE`, read by Auto Loader: each object once.

    `objects` is the folder or the address that `topics/` lies in.
    """
    topic = names.topic(pipeline_id, table)
    small, merged = (
        _auto_loaded(spark, f"{objects.rstrip('/')}/{folder}/{topic}/partition=*/*.json")
        for folder in _FOLDERS
    )
    return small.union(merged)


def _auto_loaded(spark: SparkSession, pattern: str) -> DataFrame:
    reader = spark.readStream.format("cloudFiles").option("cloudFiles.format", "text")
    reader = reader.option("lineSep", LINE_END)
    # The partition is in each line; as a column of the path it would be one more column here.
    texts = reader.option("cloudFiles.partitionColumns", "").schema("value STRING").load(pattern)
    return lines_of(texts)


def load_objects(
    spark: SparkSession, objects: str, progress: str, target: CatalogSchema, table: Table
) -> None:
    """Load the objects that no run has loaded yet, and wait until it is done.

    What was read is kept below `progress`. If that is lost, all is read again, and changes nothing.
    """
    lines = object_lines(spark, objects, target.pipeline_id, table)
    writer = lines.writeStream.foreachBatch(partial(_load, target, table)).queryName(f"load {table}")
    query = writer.option("checkpointLocation", f"{progress.rstrip('/')}/{table}").trigger(availableNow=True)
    query.start().awaitTermination()


def _load(target: CatalogSchema, table: Table, lines: DataFrame, _: int) -> None:
    """Quarantine first: a crash between the two repeats only what changes nothing."""
    marked = frames.clean(lines.sparkSession, lines, table, target.branch)
    target.set_aside(frames.quarantined(lines.sparkSession, marked, table, target.branch))
    target.upsert(table, frames.newest(marked, table, target.branch))


def answers(spark: SparkSession, target: CatalogSchema) -> dict[str, DataFrame]:
    """Name of analysis -> its rows."""
    return frames.answers(spark, {table: spark.read.table(target.clean_table(table)) for table in TABLES})
