from pathlib import Path

import duckdb
import pytest
import sqlglot

from pinterest_pipeline.cleaning.checks import checks_of, expectations
from pinterest_pipeline.cleaning.rules import CONVERSIONS, POSITIONS
from pinterest_pipeline.cleaning.select import clean_select, clean_steps, raw_columns
from pinterest_pipeline.records.names import BRANCHES, TABLES, Branch, Table
from pinterest_pipeline.records.schemas import RESCUED
from tests.landing import land

BAD = [{"ind": "7x"}, {"ind": None}, b"no JSON", b"\xff", {"ind": 8, "date_joined": "2020-02-30"}]
GOOD = [{"ind": 1, "age": 30}, {"ind": "2", "latitude": 0.5, "follower_count": "User Info Error"}]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("branch", BRANCHES)
def test_every_expected_form_is_an_expectation(table: Table, branch: Branch) -> None:
    names = list(expectations(table, branch))
    assert len(names) == len(set(names)) == len(checks_of(table, branch))
    for conversion in (*POSITIONS[branch], *CONVERSIONS[table]):
        assert f"{conversion.column}: {conversion.expected}" in names
        assert (f"{conversion.column}: present" in names) == conversion.required


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("branch", BRANCHES)
def test_a_row_has_a_reason_exactly_when_an_expectation_does_not_hold(
    tmp_path: Path, table: Table, branch: Branch
) -> None:
    file = land(tmp_path / "lines.json", branch, [*GOOD, *BAD])
    with duckdb.connect() as connection:
        columns = dict.fromkeys((*raw_columns(table, branch), RESCUED), "VARCHAR")
        connection.execute(
            f"CREATE VIEW raw AS FROM read_json('{file}', format='nd', columns={columns}, ignore_errors=true)"
        )
        count = "SELECT COUNT(*) FROM"
        ruled, typed, _ = (", ".join(columns) for columns in clean_steps(table, branch))
        holds = " AND ".join(f"({predicate})" for predicate in expectations(table, branch).values())
        good = f"{count} (SELECT {typed} FROM (SELECT {ruled} FROM raw)) WHERE {holds}"
        clean = f"{count} ({clean_select(table, branch, 'raw')}) WHERE _reason IS NULL"
        counts = [connection.execute(translated(sql)).fetchone() for sql in (good, clean)]
    bad = 4 if table != "user" else 5
    assert counts == [(len(GOOD) + len(BAD) - bad,)] * 2


def translated(sql: str) -> str:
    return sqlglot.transpile(sql, read="spark", write="duckdb")[0]
