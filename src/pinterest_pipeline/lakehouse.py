"""Joins the rooms on Spark: objects, rules, tables of a catalog. The notebooks of `databricks/` call it.

Nothing is cached, for serverless compute refuses it.
"""

from datetime import datetime
from functools import partial, reduce
from typing import Final

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from pinterest_pipeline.cleaning.select import is_before
from pinterest_pipeline.engines import spark_frames as frames
from pinterest_pipeline.engines.spark_lines import LINE_END, lines_of
from pinterest_pipeline.errors import BadInput, Fatal
from pinterest_pipeline.records import names
from pinterest_pipeline.records.moments import milliseconds
from pinterest_pipeline.records.names import TABLES, Table
from pinterest_pipeline.tables.catalog import CatalogSchema

# The sink's objects, and those that small ones were merged into.
_FOLDERS: Final = ("topics", "compacted/topics")


def object_lines(spark: SparkSession, objects: str, pipeline_id: str, table: Table) -> DataFrame:
    """A stream of the lines of a topic's objects in `VALUE`, read by Auto Loader: each object once.

    `objects` is the folder or the address that `topics/` lies in.
    """
    small, merged = (_auto_loaded(spark, pattern) for pattern in _patterns(objects, pipeline_id, table))
    return small.union(merged)


def _patterns(objects: str, pipeline_id: str, table: Table) -> list[str]:
    topic = names.topic(pipeline_id, table)
    return [f"{objects.rstrip('/')}/{folder}/{topic}/partition=*/*.json" for folder in _FOLDERS]


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


def full_refresh(spark: SparkSession, objects: str, target: CatalogSchema) -> None:
    """Clean every object anew, then replace the quarantine and each clean table, in one commit each.

    Killed anywhere it may be run again. Raises Fatal, and changes nothing, when a table holds rows of records
    that no object has any more.
    """
    cleaned = {table: _cleaned(spark, objects, target, table) for table in TABLES}
    for table, marked in cleaned.items():
        _check_covered(spark, target, table, marked)
    bad = [frames.quarantined(spark, marked, table, target.branch) for table, marked in cleaned.items()]
    # An object and the one that it was merged into may both be there for a moment.
    target.replace(target.quarantine_table(), reduce(DataFrame.unionByName, bad).dropDuplicates())
    for table, marked in cleaned.items():
        target.replace(target.clean_table(table), frames.newest(marked, table, target.branch))


def answers(spark: SparkSession, target: CatalogSchema) -> dict[str, DataFrame]:
    """Name of analysis -> its rows."""
    return frames.answers(spark, {table: spark.read.table(target.clean_table(table)) for table in TABLES})


def past_answers(
    spark: SparkSession, objects: str, target: CatalogSchema, until: str
) -> dict[str, DataFrame]:
    """The same as of a time (ISO 8601, UTC unless it says otherwise), from the objects; raises BadInput."""
    before = is_before(_milliseconds(until))
    cleaned = {table: _cleaned(spark, objects, target, table).where(before) for table in TABLES}
    newest = {table: frames.newest(marked, table, target.branch) for table, marked in cleaned.items()}
    return frames.answers(spark, newest)


def is_yes(answer: str) -> bool:
    """Whether a parameter of a job says yes; raises BadInput when it says neither that nor no."""
    if answer.lower() not in ("yes", "no", "true", "false"):
        raise BadInput(f"'{answer}' is neither yes nor no", "write full_refresh = yes, or leave it out")
    return answer.lower() in ("yes", "true")


def _milliseconds(moment: str) -> int:
    try:
        found = datetime.fromisoformat(moment)
    except ValueError:
        raise BadInput(f"'{moment}' is no time", "write it as 2026-01-31 or 2026-01-31T12:00:00") from None
    return milliseconds(found)


def _cleaned(spark: SparkSession, objects: str, target: CatalogSchema, table: Table) -> DataFrame:
    """Every line of a topic's objects, cleaned."""
    found = [
        frame
        for pattern in _patterns(objects, target.pipeline_id, table)
        if (frame := _texts(spark, pattern)) is not None
    ]
    if not found:
        raise Fatal(f"there are no objects of {table} below {objects}", "name the folder that holds topics/")
    lines = reduce(DataFrame.union, map(lines_of, found))
    return frames.clean(spark, lines, table, target.branch)


def _texts(spark: SparkSession, pattern: str) -> DataFrame | None:
    """The lines of the files of a pattern; None when there are none."""
    try:
        frame = spark.read.option("lineSep", LINE_END).text(pattern)
        frame.columns  # noqa: B018 - a remote session looks for files no sooner
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            return None
        raise
    return frame


def _check_covered(spark: SparkSession, target: CatalogSchema, table: Table, marked: DataFrame) -> None:
    place = ["_partition", "_offset"]
    conditions = {
        target.clean_table(table): "TRUE",
        target.quarantine_table(): f"table_name = '{table}' AND _offset IS NOT NULL",
    }
    for name, condition in conditions.items():
        if not spark.catalog.tableExists(name):
            continue
        rows = spark.read.table(name).where(condition)
        if lost := rows.join(marked.select(*place), place, "left_anti").count():
            raise Fatal(
                f"{name} holds {lost:,} rows of {table} whose records no object has any more",
                "bring those objects back, or run without full_refresh; nothing was changed",
            )
