"""The batch branch as a Lakeflow pipeline: the rules of the package as expectations, newest rows by AUTO CDC.

A row for which all expectations hold goes on to its clean table, any other one to quarantine with its reason.
"""

from typing import TYPE_CHECKING

from pyspark import pipelines as dp
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from pinterest_pipeline.analyses.catalog import Analysis, load
from pinterest_pipeline.cleaning.checks import expectations
from pinterest_pipeline.cleaning.select import clean_columns, clean_steps, newness
from pinterest_pipeline.engines.spark_bad_lines import with_reasons
from pinterest_pipeline.engines.spark_lines import VALUE, raw_relation
from pinterest_pipeline.lakehouse import object_lines
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import QUARANTINE, TABLES, Table

if TYPE_CHECKING:
    from pinterest_pipeline.notebook import spark

objects = str(spark.conf.get("pinpipe.objects"))
pipeline_id = str(spark.conf.get("pinpipe.pipeline_id"))


def define(table: Table) -> None:
    """The clean table of one topic, and what of the topic is set aside."""
    ruled, typed, finished = clean_steps(table, "batch", (VALUE,))
    clean = names.catalog_table(pipeline_id, table)

    def typed_rows() -> DataFrame:
        raw = raw_relation(object_lines(spark, objects, pipeline_id, table), table, "batch")
        return raw.selectExpr(*ruled).selectExpr(*typed)

    @dp.temporary_view(name=f"{table}_checked")
    @dp.expect_all_or_drop(expectations(table, "batch"))  # type: ignore[attr-defined, untyped-decorator]
    def checked() -> DataFrame:
        return typed_rows()

    @dp.temporary_view(name=f"{table}_finished")
    def finish() -> DataFrame:
        rows = spark.readStream.table(f"{table}_checked").selectExpr(*finished)
        return rows.select(*clean_columns(table, "batch"))

    dp.create_streaming_table(clean, comment=f"One row of each {table}: the newest that is clean.")
    dp.create_auto_cdc_flow(
        target=clean,
        source=f"{table}_finished",
        keys=["ind"],
        sequence_by=f.expr(newness("batch")),
        stored_as_scd_type=1,
    )

    @dp.append_flow(target=QUARANTINE, name=f"{table}_set_aside")
    def bad() -> DataFrame:
        return with_reasons(typed_rows().selectExpr(*finished).where("`_reason` IS NOT NULL"), table, "batch")

    @dp.temporary_view(name=table)
    def relation() -> DataFrame:
        return spark.read.table(clean)


def answer(analysis: Analysis) -> None:
    @dp.materialized_view(name=analysis.name, comment=analysis.question)
    def rows() -> DataFrame:
        return spark.sql(analysis.sql)


dp.create_streaming_table(QUARANTINE, comment="What could not be cleaned, and why.")
for each in TABLES:
    define(each)
for one in load():
    answer(one)
