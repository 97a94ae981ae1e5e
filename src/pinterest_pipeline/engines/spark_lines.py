"""Lines of JSON to raw columns on Spark, read as DuckDB reads them; also where `spark` is Databricks'."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from pinterest_pipeline.cleaning.drift import rescued
from pinterest_pipeline.cleaning.select import raw_columns
from pinterest_pipeline.records.names import Branch, Table
from pinterest_pipeline.records.schemas import RESCUED

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

VALUE: Final = "_value"
FILE: Final = "_file"
_ELEMENTS: Final = "_elements"
_END: Final = "_end"
_FIELDS: Final = "_fields"

LINE_END: Final = "\n"
_BLANKS: Final = "CONCAT(' \\t\\n\\r', CHR(11), CHR(12))"
# The limits of Spark's JSON reader are below what a record may hold.
_OPTIONS: Final = "MAP('allowSingleQuotes', 'false', 'maxNumLen', '100000000', 'maxNestingDepth', '100000')"
# Removes every escape that is sound: a backslash that is left begins half a pair of surrogates.
_SOUND: Final = r"\\\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}|u(?![dD][89a-fA-F])|[^u])"


def read_lines(spark: "SparkSession", paths: Iterable[str]) -> "DataFrame":
    """The lines of files that are not blank: `_value`, the text without blanks around it, and `_file`."""
    return lines_of(spark.read.option("lineSep", LINE_END).text([unglobbed(path) for path in paths]))


def lines_of(texts: "DataFrame") -> "DataFrame":
    """The rows of Spark's source of texts, also of a stream, as `read_lines` gives them."""
    text = f"TRIM(BOTH {_BLANKS} FROM value) AS {VALUE}"
    return texts.selectExpr(text, f"_metadata.file_path AS {FILE}").where(f"{VALUE} <> ''")


def unglobbed(path: str) -> str:
    """A path as Spark takes it, with no sign in it that stands for others."""
    return "".join(f"\\{letter}" if letter in "\\*?[]{}" else letter for letter in path)


def raw_relation(lines: "DataFrame", table: Table, branch: Branch) -> "DataFrame":
    """Add the raw columns of `table`, all text, to lines in `_value`; what is no sound JSON object has none.

    As DuckDB does it: the first of two equal keys counts, letter case tells keys apart, and text after the
    object, half a pair of surrogates or bytes that are no UTF-8 spoil a line. A column of the raw
    relation that `lines` already has, such as a position, stays.
    """
    given = set(lines.columns)
    kept = [f"`{name}`" for name in lines.columns]
    parsed = lines.selectExpr(*kept, f"{_elements()} AS {_ELEMENTS}", f"{_end()} AS {_END}")
    fields = parsed.selectExpr(*kept, f"{_object()} AS {_FIELDS}")
    named = [_column(name) for name in raw_columns(table, branch) if name not in given]
    return fields.selectExpr(*kept, *named).withColumn(RESCUED, _rescued(table)(VALUE))


def _rescued(table: Table) -> "Callable[[str], Column]":
    from pyspark.sql import functions as f

    return f.udf(lambda line: rescued(table, line.encode(errors="surrogatepass")), "string", useArrow=False)


def _elements() -> str:
    """The line in an array before an end of its own: what follows an object must be read, or went unseen."""
    whole = f"""CONCAT('[', {VALUE}, ',{{"":"', {_end()}, '"}}]')"""
    read = f"FROM_JSON({whole}, 'ARRAY<MAP<STRING, STRING>>', {_OPTIONS})"
    return f"CASE WHEN {_is_sound()} AND {VALUE} LIKE '{{%' THEN {read} END"


def _end() -> str:
    return f"CAST(XXHASH64({VALUE}) AS STRING)"


def _object() -> str:
    return f"CASE WHEN SIZE({_ELEMENTS}) = 2 AND GET({_ELEMENTS}, 1)[''] = {_END} THEN {_ELEMENTS}[0] END"


def _is_sound() -> str:
    has_surrogates = f"({VALUE} LIKE '%\\\\\\\\ud%' OR {VALUE} LIKE '%\\\\\\\\uD%')"
    left = f"REGEXP_REPLACE({VALUE}, '{_SOUND}', '')"
    return f"IS_VALID_UTF8({VALUE}) AND NOT ({has_surrogates} AND CONTAINS({left}, '\\\\'))"


def _column(name: str) -> str:
    """Spark puts the numbers that JSON has not in quotes when they are read as text."""
    value = f"{_FIELDS}['{name}']"
    numbers = ", ".join(f"'\"{number}\"'" for number in ("NaN", "Infinity", "-Infinity"))
    return f"CASE WHEN {value} IN ({numbers}) THEN TRIM(BOTH '\"' FROM {value}) ELSE {value} END AS `{name}`"
