"""Spark and DuckDB see the same rows: every expression of the rules over odd values, and dirty posts."""

import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import sqlglot
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pinterest_pipeline.cleaning.rules import CLEAN_COLUMNS, CONVERSIONS, POSITIONS, RULES
from pinterest_pipeline.engines.base import Cleaned, Engine
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import BRANCHES, TABLES, Branch, Table
from tests.landing import line, position

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from pinterest_pipeline.engines.duckdb import DuckDBEngine
    from pinterest_pipeline.engines.spark import SparkEngine

pytestmark = [pytest.mark.services, pytest.mark.timeout(3_600)]  # more posts may be asked for

POSTS = int(os.environ.get("ENGINE_POSTS", "20000"))
OBJECT_LINES = 50_000
VALUES = 500

# What a rule may be made of, over the texts `a` and `b` and the number `n` read from `a`; the rules' own
# expressions are added below.
FORMS = {
    "equal": "a = b",
    "in": "a IN ('', ' ', 'x')",
    "like a beginning": "a LIKE 'Local save in /%'",
    "like an end": "a LIKE '%\u2026\u00a0'",
    "like a middle": "a LIKE '%é_k%'",
    "a regular expression": r"a RLIKE '^[^a-z]{1,9}([.][0-9]+)?\\z'",
    "letters of any script": r"a RLIKE '[\u05d0-\u05ea\u0400-\u04ff]'",
    "substring": "SUBSTRING(a, 2, 3)",
    "the rest": "SUBSTRING(a, 3)",
    "all but the last": "SUBSTRING(a, 1, LENGTH(a) - 1)",
    "length": "LENGTH(a)",
    "concat": "CONCAT(a, '|', b)",
    "concat with": "CONCAT_WS(' ', a, b)",
    "nullif": "NULLIF(a, b)",
    "coalesce": "COALESCE(a, b, '-')",
    "case": "CASE WHEN a < b THEN 1 WHEN a > b THEN 2 ELSE 3 END",
    "array": "ARRAY(a, b)",
    "replace": "REPLACE(a, ' ', '')",
    "order": "a <= b",
    "null": "a IS NULL AND b IS NOT NULL",
    "bits": "(LENGTH(a) & 5) <> 0",
}


def over_a(sql: str, columns: Sequence[str]) -> str:
    """An expression over the columns of a table as one over `a` and `b`."""
    for name, stand_in in zip(columns, "ab", strict=False):
        sql = sql.replace(f"`{name}`", stand_in)
    return sql


for rule in RULES:
    FORMS[f"{rule.id}: when"] = over_a(rule.when, [rule.column])
    FORMS[f"{rule.id}: then"] = (
        f"CASE WHEN {FORMS[f'{rule.id}: when']} THEN {over_a(rule.then, [rule.column])} END"
    )
for part, conversions in (*CONVERSIONS.items(), *POSITIONS.items()):
    for conversion in conversions:
        FORMS[f"{part}.{conversion.column}"] = over_a(conversion.sql, [conversion.column])
FORMS["user.user_name"] = over_a(CLEAN_COLUMNS["user"]["user_name"], ["first_name", "last_name"])

words = st.sampled_from(
    [
        "",
        " ",
        "\t",
        "\u00a0",
        "\u200b",
        "\u3000",
        "\n",
        "\r\n",
        "a",
        "É",
        "e\u0301",
        "ß",
        "ı",
        "İ",
        "🙂",
        "👨‍👩‍👧",
        "שלום",
        "Ж",
        "漢",
        "'",
        '"',
        "\\",
        "%",
        "_",
    ]
)
errors = st.sampled_from(
    [rule.when.partition("'")[2].rpartition("'")[0] for rule in RULES]
    + ["Local save in /data/x", "cut\u2026\u00a0"]
)
numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.integers(0, 10**19).map(str),
    st.floats().map(str),
    st.floats(-181, 181).map(str),
    st.floats(0, 1e19).map(lambda number: f"{number:.9g}"),
    st.decimals(0, 10**10, allow_nan=False, places=9).map(str),
    st.sampled_from(
        [
            "nan",
            "NaN",
            "inf",
            "-inf",
            "Infinity",
            "-0",
            "+1",
            "1.",
            ".5",
            "1e3",
            "1E+16",
            "1e99",
            "0x1f",
            "1_000",
            "٣",
            "1L",
            "1d",
            "1f",
        ]
    ),
)
counts = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "0", "9", "26", "999999999", "1000000000", "00"]),
    st.sampled_from(["", ".", ".5", ".0005", ".999999999", ".0000000001"]),
    st.sampled_from(["", "k", "K", "m", "M", "b", "B", "kk", "T", " k"]),
    st.sampled_from(["", "", "", "\n", " "]),
)
dates = st.builds(
    "{}-{}-{}{}{}{}".format,
    st.sampled_from(["2018", "2020", "1000", "1582", "1900", "2999", "0999", "9999", "+2018", "18"]),
    st.sampled_from(["01", "02", "04", "10", "12", "13", "00", "1"]),
    st.sampled_from(["01", "10", "28", "29", "30", "31", "32", "00", "5"]),
    st.sampled_from([" ", "T", "", "  "]),
    st.sampled_from(["00:00:00", "23:59:59", "24:00:00", "12:60:00", "12:00:60", "1:00:00", "12:00", ""]),
    st.sampled_from(["", "", "", "", "Z", "+01:00", ".5", "\n", " "]),
)
slashed = st.builds(
    "{}/{}/{}, {}{}".format,
    st.sampled_from(["01", "02", "12", "13", "1"]),
    st.sampled_from(["01", "29", "30", "31", "00"]),
    st.sampled_from(["2018", "2020", "1000", "2999", "18"]),
    st.sampled_from(["00:00:00", "23:59:59", "24:00:00"]),
    st.sampled_from(["", "", "\n"]),
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
values = st.none() | st.one_of(
    texts, st.lists(words, max_size=6).map("".join), errors, errors.map(lambda text: text[:-1]),
    st.builds(str.__add__, errors, words), numbers, counts, dates, slashed,
)  # fmt: skip


def same(one: Any, other: Any) -> bool:
    return bool(one == other) or (one != one and other != other)


def plain(table: pa.Table | None) -> list[dict[str, Any]]:
    """Rows whose moments are numbers: Python knows fewer years than the engines."""
    assert table is not None
    for number, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type):
            moments = table.column(number).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            table = table.set_column(number, column.name, moments)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


@settings(
    max_examples=int(os.environ.get("ENGINE_BATCHES", "3")),
    phases=[Phase.generate],  # a smaller batch says no more: the value and the form are named
    suppress_health_check=list(HealthCheck),
)
@given(pairs=st.lists(st.tuples(values, values), min_size=VALUES, max_size=VALUES))
def test_every_form_of_expression_gives_the_same_value(
    spark: "SparkSession", pairs: list[tuple[str | None, str | None]]
) -> None:
    a, b = (pa.array([pair[side] for pair in pairs], pa.string()) for side in (0, 1))
    drawn = pa.table({"i": pa.array(range(VALUES)), "a": a, "b": b})
    forms = ", ".join(f"{sql} AS f{number}" for number, sql in enumerate(FORMS.values()))
    spark.createDataFrame(drawn).createOrReplaceTempView("drawn")
    on_spark = plain(spark.sql(f"SELECT i, {forms} FROM drawn").toArrow())
    translated = sqlglot.transpile(f"SELECT i, {forms} FROM drawn", read="spark", write="duckdb")[0]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("drawn", drawn)
        on_duckdb = plain(connection.sql(translated).to_arrow_table())
    differences = [
        (name, *pairs[one["i"]], "Spark:", one[f"f{number}"], "DuckDB:", other[f"f{number}"])
        for one, other in zip(_in_order(on_spark), _in_order(on_duckdb), strict=True)
        for number, name in enumerate(FORMS)
        if not same(one[f"f{number}"], other[f"f{number}"])
    ]
    assert not differences, "\n".join(map(str, differences[:20]))


def _in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["i"])


ODD_VALUES: list[Any] = [
    None, "", " ", "User Info Error", "No Title Data Available", "Image src error.", 0, -1, 7, 1.5,
    12_345.5, True, [1, "x"], {"a": None}, "437", "26k", "1.5M", "2B", "1,000", "26 k",
    "2020-02-30 00:00:00", "02/29/2020, 01:02:03", "2019-02-29T00:00:00", "1e3", 10**17, 10**20,
    "x" * 300, "line\nbreak\r",
    "🙂\u200b\u00a0", "'\\\"", "\ufffe",
]  # fmt: skip
SPOILT = [
    b"", b" \t", b"{", b"[1]", b"null", b'{"ind":1} x', b"\xff", b'{"ind":5,"index":5,"title":"\\ud800"}',
    b'{"ind":1,"ind":2}', b'{"Ind":1}', b"{}", b"not json",
]  # fmt: skip


def dirty_lines(table: Table, branch: Branch, count: int, dice: random.Random) -> list[bytes]:
    """Landed lines of posts: some rows come again, some values are odd, fields are gone, lines are spoilt."""
    rows = [wire_row(post[table]) for post in generate(count)]
    lines = []
    for number, row in enumerate(rows):
        sent: Any = dice.choice(rows) if dice.random() < 0.1 else row
        if dice.random() < 0.2:
            sent = sent | {dice.choice(list(sent)): dice.choice(ODD_VALUES)}
        if dice.random() < 0.02:
            sent = {name: value for name, value in sent.items() if name != dice.choice(list(sent))}
        where = position(branch, number)
        if dice.random() < 0.01:
            del where[dice.choice(list(where))]
        lines.append(line(sent, where))
        if dice.random() < 0.005:
            lines.append(dice.choice(SPOILT) + b"\n")
        if dice.random() < 0.005:
            lines.append(line(dice.choice(SPOILT), position(branch, number, _timestamp=-1)))
    return lines


def summary(cleaned: Cleaned) -> tuple[dict[str, Any], Any, Any]:
    """Counts, clean rows and quarantined rows, in an order of their own."""
    rows = cleaned.rows.read_all()
    figures = {"read": cleaned.read, "good": cleaned.good, "rows": rows.num_rows}
    figures |= cleaned.changes | cleaned.drift
    bad = sorted(map(_as_text, cleaned.quarantined.to_pylist()))
    return figures, rows.sort_by("ind").combine_chunks(), bad


def _as_text(row: Mapping[str, Any]) -> str:
    """Spark numbers no lines of files that are too large to be read as a whole."""
    reason = (
        re.sub(r"^(a line|line \d+) of", "a line of", row["reason"]) if POSTS > 100_000 else row["reason"]
    )
    return json.dumps({**row, "reason": reason}, sort_keys=True)


@pytest.mark.parametrize("branch", BRANCHES)
def test_dirty_posts_give_the_same_rows_counts_and_answers(
    spark_engine: "SparkEngine", duckdb_engine: "DuckDBEngine", tmp_path: Path, branch: Branch
) -> None:
    engines: list[Engine] = [spark_engine, duckdb_engine]
    tables: list[dict[Table, Any]] = [{}, {}]
    for table in TABLES:
        lines = dirty_lines(table, branch, POSTS, random.Random(f"{branch} {table}"))
        files = [tmp_path / f"{table}-{start}.json" for start in range(0, len(lines), OBJECT_LINES)]
        for number, file in enumerate(files):
            file.write_bytes(b"".join(lines[number * OBJECT_LINES : (number + 1) * OBJECT_LINES]))
        found = []
        for engine, clean in zip(engines, tables, strict=True):
            with engine.clean(table, branch, files) as cleaned:
                found.append(summary(cleaned))
                clean[table] = ds.dataset(found[-1][1])
        (figures, rows, bad), (expected_figures, expected_rows, expected_bad) = found
        assert figures == expected_figures
        assert [pair for pair in zip(bad, expected_bad, strict=True) if pair[0] != pair[1]][:3] == []
        assert rows.equals(expected_rows)
        assert figures["read"] > figures["good"] > figures["rows"] > 0.5 * POSTS
    answers, expected = (engine.answers(clean) for engine, clean in zip(engines, tables, strict=True))
    assert answers == expected
    assert all(expected.values())
