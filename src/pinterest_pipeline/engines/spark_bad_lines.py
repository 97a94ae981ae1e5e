"""The rows that could not be cleaned, as Spark DataFrames; the words for them are those of every engine."""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from pinterest_pipeline.engines.bad_lines import numbered, rescued, shown
from pinterest_pipeline.engines.base import quarantine_schema
from pinterest_pipeline.engines.spark_lines import FILE, VALUE, unglobbed
from pinterest_pipeline.records.names import Branch, Table
from pinterest_pipeline.records.schemas import POSITION_COLUMNS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PLACE: Final = "_place"
_ROW: Final = "_row"
_WANTED: Final = "_wanted"
_PLACES: Final = "array<struct<number: bigint, text: binary>>"
MOST_BYTES: Final = 2**27
"""Of files that are read as a whole: they lie in the memory of a JVM and of Python."""


def quarantined(spark: "SparkSession", marked: "DataFrame", table: Table, branch: Branch) -> "DataFrame":
    """The bad rows in `quarantine_schema`. Looks once whether there are lines of which nothing was read."""
    bad = marked.where("`_reason` IS NOT NULL")
    seen = " OR ".join(f"`{name}` IS NOT NULL" for name in ("_ind", *POSITION_COLUMNS[branch]))
    found = with_reasons(bad.where(seen), table, branch)
    unread = bad.where(f"NOT ({seen})")
    if FILE not in marked.columns or unread.isEmpty():
        return found
    return found.unionByName(_rescued(_placed(spark, unread), table, branch))


def with_reasons(bad: "DataFrame", table: Table, branch: Branch) -> "DataFrame":
    """Bad rows in `quarantine_schema` as the SQL left them: an unreadable line has no position."""
    positions = [f"`{name}`" for name in POSITION_COLUMNS[branch]]
    named = [f"'{table}' AS table_name", "`_ind` AS ind", "`_reason` AS reason", f"{VALUE} AS raw"]
    return bad.selectExpr(*named, *positions)


def _placed(spark: "SparkSession", unread: "DataFrame") -> "DataFrame":
    """Lines of which nothing was read, found again in their files, each place of equal ones: rare.

    Files are read as a whole for that, and a hundred of them at once go to Python. So the smallest are, as
    many as `MOST_BYTES` hold; the lines of the others get no number.
    """
    from pyspark.sql import functions as f

    lines = unread.selectExpr(FILE, f"CAST({VALUE} AS BINARY) AS {VALUE}", "`_reason`")
    wanted = lines.groupBy(FILE).agg(f.collect_set(VALUE).alias(_WANTED), f.first("_reason").alias("_reason"))
    paths = [unglobbed(unquote(row[FILE])) for row in wanted.select(FILE).collect()]
    files = spark.read.format("binaryFile").load(paths).withColumn(FILE, f.col("_metadata.file_path"))
    sizes = sorted((row["length"], row[FILE]) for row in files.select("length", FILE).collect())
    sums = accumulate(size for size, _ in sizes)
    small = [file for (_, file), total in zip(sizes, sums, strict=True) if total <= MOST_BYTES]
    places = f.udf(_places, _PLACES, useArrow=False)
    read = files.where(f.col(FILE).isin(small)).select(FILE, "content")
    found = read.join(wanted, FILE).withColumn(_PLACE, places("content", _WANTED))
    numbered = found.select(FILE, "_reason", f.explode(_PLACE).alias(_PLACE))
    place = f.expr(f"NAMED_STRUCT('number', CAST(NULL AS BIGINT), 'text', {VALUE})").alias(_PLACE)
    others = lines.where(~f.col(FILE).isin(small)).select(FILE, "_reason", place)
    name = f.element_at(f.split(FILE, "/"), -1)
    return numbered.unionByName(others).withColumn(FILE, name)


def _places(content: bytes, wanted: Sequence[bytes]) -> list[tuple[int, bytes]]:
    texts = {bytes(text) for text in wanted}
    return [place for place in numbered(bytes(content).split(b"\n")) if place[1] in texts]


def _rescued(placed: "DataFrame", table: Table, branch: Branch) -> "DataFrame":
    from pyspark.sql import functions as f
    from pyspark.sql.pandas.types import from_arrow_schema

    names = quarantine_schema(branch).names

    def row(file: str, number: int | None, text: bytes, reason: str) -> tuple[Any, ...]:
        where = f"{'a line' if number is None else f'line {number}'} of {unquote(file)}"
        fields = {"table_name": table, "reason": reason, "raw": shown(bytes(text))}
        fields |= rescued(branch, where, bytes(text))
        return tuple(fields.get(name) for name in names)

    made = f.udf(row, from_arrow_schema(quarantine_schema(branch)), useArrow=False)
    rows = placed.select(made(FILE, f"{_PLACE}.number", f"{_PLACE}.text", "_reason").alias(_ROW))
    return rows.select(f"{_ROW}.*")
