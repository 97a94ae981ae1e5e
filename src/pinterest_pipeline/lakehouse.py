"""Joins the rooms on Spark: objects, rules, tables of a catalog. The notebooks of `databricks/` call it.

Nothing is cached, for serverless compute refuses it.
"""

from functools import partial
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from pinterest_pipeline.analyses.catalog import load
from pinterest_pipeline.cleaning.select import clean_columns, clean_steps
from pinterest_pipeline.engines.spark_lines import IS_THERE, LINE_END, TEXT, VALUE, raw_relation
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import TABLES, Table
from pinterest_pipeline.records.schemas import POSITION_COLUMNS
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
    return small.union(merged).selectExpr(TEXT).where(IS_THERE)


def _auto_loaded(spark: SparkSession, pattern: str) -> DataFrame:
    reader = spark.readStream.format("cloudFiles").option("cloudFiles.format", "text")
    reader = reader.option("lineSep", LINE_END)
    # The partition is in each line; as a column of the path it would be one more column here.
    return reader.option("cloudFiles.partitionColumns", "").schema("value STRING").load(pattern)


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
    cleaned = cleaned_lines(lines, table)
    target.set_aside(quarantined(cleaned, table))
    target.upsert(table, cleaned.where("`_reason` IS NULL").select(*clean_columns(table, target.branch)))


def cleaned_lines(lines: DataFrame, table: Table) -> DataFrame:
    """What `clean_select` gives for landed lines, and the line itself in `VALUE`."""
    ruled, typed, finished = clean_steps(table, "batch", (VALUE,))
    return raw_relation(lines, table, "batch").selectExpr(*ruled).selectExpr(*typed).selectExpr(*finished)


def quarantined(cleaned: DataFrame, table: Table) -> DataFrame:
    """The rows of `cleaned_lines` that have a reason, as they are set aside."""
    return cleaned.where("`_reason` IS NOT NULL").select(
        f.lit(table).alias("table_name"),
        f.col("_ind").alias("ind"),
        f.col("_reason").alias("reason"),
        f.col(VALUE).alias("raw"),
        *POSITION_COLUMNS["batch"],
    )


def answers(spark: SparkSession, target: CatalogSchema) -> dict[str, DataFrame]:
    """Name of analysis -> its rows."""
    for table in TABLES:
        spark.read.table(target.clean_table(table)).createOrReplaceTempView(table)
    return {analysis.name: spark.sql(analysis.sql) for analysis in load()}
