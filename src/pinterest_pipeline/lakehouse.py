"""Joins the rooms on Spark: landed objects, the rules, tables of a catalog. What the notebooks of `databricks/` call.

Nothing is cached, for serverless compute refuses it.
"""

from functools import partial
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from pinterest_pipeline.cleaning.select import clean_columns, clean_select, raw_columns
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import Table
from pinterest_pipeline.records.schemas import POSITION_COLUMNS
from pinterest_pipeline.tables.catalog import CatalogSchema

_FOLDERS: Final = (
    "topics",
    "compacted/topics",
)  # the sink's objects, and those that small ones were merged into


def object_lines(spark: SparkSession, objects: str, pipeline_id: str, table: Table) -> DataFrame:
    """A stream of the lines of a topic's objects as `value`, read by Auto Loader: each object once.

    `objects` is the folder or the address that `topics/` lies in.
    """
    topic = names.topic(pipeline_id, table)
    found = [
        _lines(spark, f"{objects.rstrip('/')}/{folder}/{topic}/partition=*/*.json") for folder in _FOLDERS
    ]
    return found[0].union(found[1]).where("TRIM(`value`) <> ''")


def _lines(spark: SparkSession, pattern: str) -> DataFrame:
    reader = spark.readStream.format("cloudFiles").option("cloudFiles.format", "text")
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


def raw_lines(lines: DataFrame, table: Table) -> DataFrame:
    fields = ", ".join(f"`{name}` STRING" for name in raw_columns(table, "batch"))
    parsed = lines.select("value", f.from_json("value", fields).alias("fields"))
    return parsed.select("fields.*", "value")


def cleaned_lines(lines: DataFrame, table: Table) -> DataFrame:
    """What `clean_select` gives for landed lines, and the line itself as `value`."""
    spark = lines.sparkSession
    return spark.sql(clean_select(table, "batch", "{raw}", ("value",)), raw=raw_lines(lines, table))


def quarantined(cleaned: DataFrame, table: Table) -> DataFrame:
    """The rows of `cleaned_lines` that have a reason, as they are set aside."""
    return cleaned.where("`_reason` IS NOT NULL").select(
        f.lit(table).alias("table_name"),
        f.col("_ind").alias("ind"),
        f.col("_reason").alias("reason"),
        f.col("value").alias("raw"),
        *POSITION_COLUMNS["batch"],
    )
