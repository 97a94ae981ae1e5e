"""Delta tables in a schema of a Spark catalog (Unity Catalog on Databricks): rows merged in, so that any batch
may come twice, whole or in part, and may come again after newer ones."""

from dataclasses import dataclass

from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from pinterest_pipeline.cleaning.select import newest_first, newness
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import Branch
from pinterest_pipeline.records.names import Table as TableName
from pinterest_pipeline.records.schemas import POSITION_COLUMNS


@dataclass(frozen=True, slots=True)
class CatalogSchema:
    """The tables of one branch: `<catalog>.<schema>.<id>_pin_table` and so on, made by their first rows.

    Holds nothing but names, so that a streaming query may take it along to where its batches are handled.
    """

    catalog: str
    schema: str
    pipeline_id: str
    branch: Branch

    def clean_table(self, table: TableName) -> str:
        """The full name of a clean table, quoted for SQL."""
        return self._full_name(names.catalog_table(self.pipeline_id, table))

    def quarantine_table(self) -> str:
        """The full name of the table of rows that were set aside, quoted for SQL."""
        return self._full_name(names.catalog_table(self.pipeline_id, names.QUARANTINE))

    def upsert(self, table: TableName, rows: DataFrame) -> None:
        """Merge clean rows: of all that ever came of one `ind` the newest position stays."""
        first = f"ROW_NUMBER() OVER (PARTITION BY `ind` ORDER BY {', '.join(newest_first(self.branch))})"
        newest = rows.selectExpr("*", f"{first} AS `_place`").where("`_place` = 1").drop("_place")
        is_newer = f"{newness(self.branch, 'source')} > {newness(self.branch, 'target')}"
        merge = self._target(self.clean_table(table), rows).merge(
            newest.alias("source"), f.expr("target.`ind` = source.`ind`")
        )
        merge.whenMatchedUpdateAll(f.expr(is_newer)).whenNotMatchedInsertAll().execute()

    def set_aside(self, rows: DataFrame) -> None:
        """Add rows to the quarantine that are not in it yet: the same table, position and text are the same row."""
        same = " AND ".join(
            f"target.`{name}` <=> source.`{name}`"
            for name in ("table_name", *POSITION_COLUMNS[self.branch], "raw")
        )
        merge = self._target(self.quarantine_table(), rows).merge(rows.alias("source"), f.expr(same))
        merge.whenNotMatchedInsertAll().execute()

    def _target(self, name: str, rows: DataFrame) -> DeltaTable:
        made = DeltaTable.createIfNotExists(rows.sparkSession).tableName(name).addColumns(rows.schema)
        return made.execute().alias("target")

    def _full_name(self, table: str) -> str:
        return ".".join(f"`{part.replace('`', '``')}`" for part in (self.catalog, self.schema, table))
