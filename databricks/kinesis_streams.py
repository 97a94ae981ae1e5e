# Databricks notebook source
# MAGIC %md
# MAGIC # The streaming branch: three streams, cleaned as they come, into three Delta tables
# MAGIC
# MAGIC Reads the streams `streaming-<id>-pin`, `-geo` and `-user`, cleans each record by the rules of the
# MAGIC package and merges it into `<id>_pin_table`, `<id>_geo_table` and `<id>_user_table`: of each post the
# MAGIC newest version stays. What cannot be cleaned goes into `quarantine` with its reason.
# MAGIC
# MAGIC It may be stopped or killed anywhere and started again: each record counts once, as long as its
# MAGIC checkpoint is there.
# MAGIC
# MAGIC It needs the wheel of the package. On Databricks the source `kinesis` is built in; on other Sparks the
# MAGIC package brings one with the same options and rows.

# COMMAND ----------

from functools import partial
from typing import TYPE_CHECKING

from pinterest_pipeline.engines.spark_frames import clean
from pinterest_pipeline.engines.spark_stream import StreamTables, landed_lines, run, trigger
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import TABLES, Table
from pinterest_pipeline.stream_notebook import access, default, register_kinesis

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

    from pinterest_pipeline.notebook import dbutils, display, spark

# COMMAND ----------

dbutils.widgets.text("pipeline_id", default("pipeline_id"), "Id in the names of streams and tables")
dbutils.widgets.text("region", default("region"), "Region of the streams")
dbutils.widgets.text("endpoint", default("endpoint"), "Address of Kinesis; empty: the region's own")
dbutils.widgets.text("initial_position", "trim_horizon", "Where a new checkpoint begins")
dbutils.widgets.text("tables", default("tables"), "Schema as catalog.schema, or a folder")
dbutils.widgets.text("checkpoints", default("checkpoints"), "Folder that keeps how far each query is")
dbutils.widgets.text("trigger", "availableNow", "availableNow, or an interval such as 5 seconds")
dbutils.widgets.text("service_credential", "", "Credential of Unity Catalog that may read the streams")
dbutils.widgets.text("secret_scope", "", "Else: scope with the keys of AWS; empty: the compute's own role")

kinesis = {
    "region": dbutils.widgets.get("region"),
    "initialPosition": dbutils.widgets.get("initial_position"),
    **access(
        dbutils.secrets,
        dbutils.widgets.get("endpoint"),
        dbutils.widgets.get("secret_scope"),
        dbutils.widgets.get("service_credential"),
    ),
}
tables = StreamTables(dbutils.widgets.get("tables"), dbutils.widgets.get("pipeline_id"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Read, clean, write

# COMMAND ----------


def start(table: Table) -> "StreamingQuery":
    name = names.stream(tables.pipeline_id, table)
    checkpoint = f"{dbutils.widgets.get('checkpoints')}/{table}"
    records = spark.readStream.format("kinesis").options(**kinesis).option("streamName", name).load()
    recent = records.withWatermark("approximateArrivalTimestamp", "10 minutes")
    cleaned = clean(spark, landed_lines(recent), table, "stream")
    writer = cleaned.writeStream.foreachBatch(tables.writer(table, checkpoint)).queryName(f"stream {table}")
    how = trigger(dbutils.widgets.get("trigger"))
    return writer.option("checkpointLocation", checkpoint).trigger(**how).start()


register_kinesis(spark)
tables.create(spark)
run([partial(start, table) for table in TABLES], dbutils.widgets.get("trigger"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## What is there now

# COMMAND ----------

for table in TABLES:
    display(spark.table(tables.name(table)).selectExpr("COUNT(*) AS rows", "MAX(`_timestamp`) AS newest"))
display(spark.table(tables.quarantine()).groupBy("table_name", "reason").count())
