# ruff: noqa: S608 - the SQL is put together from names and expressions of this package
"""Delta tables in a schema of a Spark catalog, such as Unity Catalog.

Rows are merged in: any batch may come twice, whole or in part, and again after newer ones.
"""

from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame

from pinterest_pipeline.cleaning.select import newness
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import Branch
from pinterest_pipeline.records.names import Table as TableName
from pinterest_pipeline.records.schemas import POSITION_COLUMNS

_ROWS: Final = "_rows_to_merge"


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
        return self._full_name(names.QUARANTINE)

    def upsert(self, table: TableName, rows: DataFrame) -> None:
        """Merge clean rows, each `ind` once: of all that ever came of one the newest position stays."""
        is_newer = f"{newness(self.branch, 'source')} > {newness(self.branch, 'target')}"
        _merge(
            self.clean_table(table),
            rows,
            f"target.`ind` = source.`ind` WHEN MATCHED AND {is_newer} THEN UPDATE SET *",
        )

    def set_aside(self, rows: DataFrame) -> None:
        """Add the rows to the quarantine that are not in it: one of the same table, position and text.

        Of such rows one is added, for small objects may come with the one that they were merged into.
        """
        key = ["table_name", *POSITION_COLUMNS[self.branch], "raw"]
        _merge(
            self.quarantine_table(),
            rows.dropDuplicates(key),
            " AND ".join(f"target.`{name}` <=> source.`{name}`" for name in key),
        )

    def replace(self, table: str, rows: DataFrame) -> None:
        """Let a table, by its full name, hold these rows and no others, in one commit."""
        _ready(table, rows)
        columns = ", ".join(f"`{name}`" for name in rows.sparkSession.read.table(table).columns)
        rows.sparkSession.sql(f"INSERT OVERWRITE {table} SELECT {columns} FROM {_ROWS}")

    def _full_name(self, table: str) -> str:
        return ".".join(f"`{part.replace('`', '``')}`" for part in (self.catalog, self.schema, table))


def _merge(table: str, rows: DataFrame, matched: str) -> None:
    """Insert the rows that do not match `matched`: the condition, and what to do with those that do."""
    _ready(table, rows)
    rows.sparkSession.sql(
        f"MERGE INTO {table} AS target USING {_ROWS} AS source ON {matched} WHEN NOT MATCHED THEN INSERT *"
    )


def _ready(table: str, rows: DataFrame) -> None:
    """Make the table if it is not there, add columns that one of an earlier version lacks."""
    rows.createOrReplaceTempView(_ROWS)
    spark = rows.sparkSession
    spark.sql(f"CREATE TABLE IF NOT EXISTS {table} USING delta AS SELECT * FROM {_ROWS} WHERE FALSE")
    known = spark.read.table(table).columns
    if new := [field for field in rows.schema if field.name not in known]:
        columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in new)
        spark.sql(f"ALTER TABLE {table} ADD COLUMNS ({columns})")
