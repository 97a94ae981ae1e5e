"""Cleaning and answers as Spark DataFrames: the same on this machine and on Databricks.

lines = read_lines(spark, paths)                       # or a frame of your own: `_value`, one line each
marked = clean(spark, lines, table, branch)            # also of a stream
newest(marked, table, branch)                          # the clean rows, each `ind` once
quarantined(spark, marked, table, branch)              # the rows set aside, each with its reason
counted(marked, table)                                 # lines read, good ones, changes by rule
answers(spark, {"pin": pin, "geo": geo, "user": user}) # the eight answers, by name
"""

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pinterest_pipeline.analyses.catalog import load
from pinterest_pipeline.cleaning.rules import rules_of
from pinterest_pipeline.cleaning.select import changes_select, clean_columns, clean_select, newest_first
from pinterest_pipeline.engines.base import clean_schema
from pinterest_pipeline.engines.spark_bad_lines import quarantined
from pinterest_pipeline.engines.spark_lines import FILE, VALUE, raw_relation, read_lines
from pinterest_pipeline.records.names import Branch, Table

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

__all__ = [
    "answers",
    "clean",
    "counted",
    "empty_table",
    "newest",
    "newest_versions",
    "quarantined",
    "read_lines",
]

_READ: Final = "_read"
_GOOD: Final = "_good"
_PLACE: Final = "_place"


def clean(spark: "SparkSession", lines: "DataFrame", table: Table, branch: Branch) -> "DataFrame":
    """Clean lines: the columns of the clean table, `_ind`, `_rules`, `_reason` (null: a good row).

    `lines` has `_value`, the text of a JSON object, and perhaps `_file`; both are kept, `_value` only of bad
    rows. A column with a name of the raw relation (a position, say) stands for the line's field.
    """
    from pyspark.sql import functions as f

    named = [name for name in (VALUE, FILE) if name in lines.columns]
    raw = raw_relation(lines, table, branch)
    marked = spark.sql(clean_select(table, branch, _view(raw), named))
    return marked.withColumn(VALUE, f.expr(f"CASE WHEN `_reason` IS NOT NULL THEN {VALUE} END"))


def newest(marked: "DataFrame", table: Table, branch: Branch) -> "DataFrame":
    """Of the good rows the newest position of each `ind`, in the columns of the clean table; no stream."""
    columns = [f"`{name}`" for name in clean_columns(table, branch)]
    return newest_versions(marked.where("`_reason` IS NULL").selectExpr(*columns), branch)


def newest_versions(rows: "DataFrame", branch: Branch) -> "DataFrame":
    """Of clean rows the newest position of each `ind`."""
    place = f"ROW_NUMBER() OVER (PARTITION BY `ind` ORDER BY {', '.join(newest_first(branch))})"
    return rows.selectExpr("*", f"{place} AS {_PLACE}").where(f"{_PLACE} = 1").drop(_PLACE)


def counted(marked: "DataFrame", table: Table) -> tuple[int, int, dict[str, int]]:
    """Lines read, lines that gave a clean row, and rule id -> values it replaced, in one pass."""
    spark = marked.sparkSession
    view = _view(marked)
    good = "COUNT(CASE WHEN `_reason` IS NULL THEN 1 END)"
    figures = spark.sql(f"SELECT COUNT(*) AS {_READ}, {good} AS {_GOOD} FROM {view}")  # noqa: S608 - our names
    row = figures.crossJoin(spark.sql(changes_select(table, view))).collect()[0].asDict()
    return row[_READ], row[_GOOD], {rule.id: row[rule.id] for rule in rules_of(table)}


def answers(spark: "SparkSession", tables: Mapping[Table, "DataFrame"]) -> "dict[str, DataFrame]":
    """Name of analysis -> its rows in order. The tables become views of the session: `pin`, `geo`, `user`."""
    for table, frame in tables.items():
        frame.createOrReplaceTempView(table)
    return {analysis.name: spark.sql(analysis.sql) for analysis in load()}


def empty_table(spark: "SparkSession", table: Table, branch: Branch) -> "DataFrame":
    """A clean table without rows."""
    from pyspark.sql.pandas.types import from_arrow_schema

    schema: pa.Schema = clean_schema(table, branch)
    types: Any = from_arrow_schema(schema)
    return spark.createDataFrame([], types)


def _view(frame: "DataFrame") -> str:
    """A name under which SQL finds the frame; never used again, for a remote session looks late."""
    name = f"pinpipe_{secrets.token_hex(8)}"
    frame.createOrReplaceTempView(name)
    return name
