import re

import pytest
import sqlglot

from pinterest_pipeline.cleaning.rules import CLEAN_COLUMNS, RULES, literal, rules_of
from pinterest_pipeline.cleaning.select import (
    changes_select,
    clean_columns,
    clean_select,
    newest_first,
    raw_columns,
)
from pinterest_pipeline.engines.base import clean_schema
from pinterest_pipeline.records.names import BRANCHES, TABLES, Branch, Table


def selected(sql: str) -> list[str]:
    """The names of the columns that a query gives."""
    tree = sqlglot.parse_one(sql, read="spark")
    assert isinstance(tree, sqlglot.exp.Query)
    return tree.named_selects


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("branch", BRANCHES)
def test_the_select_gives_the_clean_columns_and_its_marks(table: Table, branch: Branch) -> None:
    columns = selected(clean_select(table, branch, "raw", ("filename",)))
    assert columns == [*clean_columns(table, branch), "filename", "_ind", "_rules", "_reason"]
    assert list(clean_columns(table, branch)) == clean_schema(table, branch).names


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("branch", BRANCHES)
def test_the_select_is_one_a_stream_can_run(table: Table, branch: Branch) -> None:
    sql = clean_select(table, branch, "raw")
    assert not re.search(r"\b(DISTINCT|OVER|GROUP BY|ORDER BY|JOIN)\b", sql)
    assert "TRIM(" not in sql  # engines differ in what a blank is
    # only TRY_CAST is applied to data
    assert not re.search(r"(?<!TRY_)CAST\(", sql)


def test_every_rule_has_its_own_id_and_a_raw_column() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.id.startswith(f"{rule.table}.{rule.column}.")
        assert rule.column in raw_columns(rule.table, "batch")
        assert rule.says


def test_one_count_for_each_rule() -> None:
    assert selected(changes_select("pin", "cleaned")) == [rule.id for rule in rules_of("pin")]


def test_a_table_without_rules_can_be_counted_too() -> None:
    assert rules_of("geo") == ()
    assert selected(changes_select("geo", "cleaned")) == ["rows"]


@pytest.mark.parametrize("table", TABLES)
def test_ind_is_read_under_both_its_names(table: Table) -> None:
    assert {"ind", "index"} <= set(raw_columns(table, "batch"))
    assert next(iter(CLEAN_COLUMNS[table])) == "ind"


def test_the_newest_position_comes_first() -> None:
    assert newest_first("batch") == ["`_timestamp` DESC", "`_partition` DESC", "`_offset` DESC"]
    assert newest_first("stream")[-2:] == ["LENGTH(`_sequence`) DESC", "`_sequence` DESC"]


@pytest.mark.parametrize("text", ["plain", "it's", "back\\slash", "\\'", ""])
def test_a_literal_is_read_back_by_spark_as_it_was(text: str) -> None:
    tree = sqlglot.parse_one(literal(text), read="spark")
    assert tree.this == text
