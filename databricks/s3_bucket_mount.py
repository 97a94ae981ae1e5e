# Databricks notebook source
# MAGIC %md
# MAGIC # The batch branch: objects of the sink, cleaned into tables, and the eight answers
# MAGIC
# MAGIC The sink lands the topics as objects `topics/<topic>/partition=<n>/…json`. This notebook reads
# MAGIC those that no run has read yet, cleans their lines by the rules of the package and merges them
# MAGIC into three tables. What cannot be cleaned is set aside with its reason. It may be stopped anywhere
# MAGIC and run again, also over what it has done already: each record counts once.
# MAGIC
# MAGIC It needs the wheel that the bundle builds. The jobs of the bundle bring it along; elsewhere, add
# MAGIC it in the panel *Environment* of the notebook. The schema must exist.

# COMMAND ----------

from typing import TYPE_CHECKING

from pinterest_pipeline.analyses.catalog import load
from pinterest_pipeline.lakehouse import answers, full_refresh, is_yes, load_objects, past_answers
from pinterest_pipeline.objects.mount import mounted
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.tables.catalog import CatalogSchema

if TYPE_CHECKING:
    from pinterest_pipeline.notebook import dbutils, display, displayHTML, spark

# COMMAND ----------

dbutils.widgets.text("catalog", "workspace", "Catalog of the tables")
dbutils.widgets.text("schema", "pinterest_batch", "Schema of the tables")
dbutils.widgets.text(
    "objects", "/Volumes/workspace/pinterest_batch/landing", "Volume or s3:// that holds topics/"
)
dbutils.widgets.text(
    "progress", "/Volumes/workspace/pinterest_batch/progress", "Volume that keeps what was read"
)
dbutils.widgets.text("pipeline_id", "124df56aef51", "Id in the names of topics and tables")
dbutils.widgets.text("full_refresh", "no", "yes: make the tables from all objects anew")
dbutils.widgets.text("until", "", "Answer as of this time, from the objects (UTC)")
dbutils.widgets.text("mount_bucket", "", "Legacy: bucket to mount instead")
dbutils.widgets.text("secret_scope", "", "Legacy: scope with the keys of that bucket")

target = CatalogSchema(
    dbutils.widgets.get("catalog"), dbutils.widgets.get("schema"), dbutils.widgets.get("pipeline_id"), "batch"
)
objects = dbutils.widgets.get("objects")

# COMMAND ----------

# MAGIC %md
# MAGIC ## Legacy: a mount, as the original had it
# MAGIC
# MAGIC Mounts are deprecated: whoever may use the workspace may read a mount, and new accounts have none.
# MAGIC A volume of Unity Catalog does the same with permissions. Where there is no Unity Catalog yet,
# MAGIC name a bucket in `mount_bucket`, and in `secret_scope` a scope with `aws_access_key_id` and
# MAGIC `aws_secret_access_key`.

# COMMAND ----------

if bucket := dbutils.widgets.get("mount_bucket"):
    objects = mounted(dbutils, bucket, dbutils.widgets.get("secret_scope"))

# COMMAND ----------

# MAGIC %md
# MAGIC ## Load what is new
# MAGIC
# MAGIC Or, after a rule has changed, everything: `full_refresh`.

# COMMAND ----------

if is_yes(dbutils.widgets.get("full_refresh")):
    full_refresh(spark, objects, target)
for table in TABLES:
    load_objects(spark, objects, dbutils.widgets.get("progress"), target, table)

# COMMAND ----------

# MAGIC %md
# MAGIC ## The eight answers

# COMMAND ----------

until = dbutils.widgets.get("until")
frames = past_answers(spark, objects, target, until) if until else answers(spark, target)
for analysis in load():
    displayHTML(f"<h3>{analysis.number}. {analysis.question}</h3>")
    display(frames[analysis.name])

# COMMAND ----------

# MAGIC %md
# MAGIC ## What was set aside, and fields that were not as expected

# COMMAND ----------

display(spark.read.table(target.quarantine_table()).groupBy("table_name", "reason").count())
for table in TABLES:
    display(spark.read.table(target.clean_table(table)).where("_rescued_data IS NOT NULL"))
