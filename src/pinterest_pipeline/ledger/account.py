"""Counts every record of one table of one branch, from receipt to clean row, by sets and not by sums.

    sent         = acknowledged + refused + unknown         (the receipts the emulator wrote)
    acknowledged = landed, each at the place its receipt names
    landed       = clean + duplicate + quarantined, each exactly once

A landed record without a receipt was sent by someone else, or its answer was lost on the way: it is counted
and named, and no fault. So is a row whose record has left its stream since, after the stream's retention.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from pinterest_pipeline.engines.line_bytes import line_bytes
from pinterest_pipeline.errors import DamagedTable, missing_named
from pinterest_pipeline.records.names import Branch
from pinterest_pipeline.records.receipts import Account
from pinterest_pipeline.records.schemas import POSITION_COLUMNS


@dataclass(frozen=True)
class TableAccount:
    """The counts of one table of one branch, and what does not hold, in words."""

    sent: int
    acknowledged: int
    refused: int
    unknown: int
    landed: int
    clean: int
    duplicate: int
    quarantined: int
    without_receipt: int
    expired: int = 0
    """Records, known by a row or a receipt, that have left the log since; of the other figures only
    `acknowledged` and what it is part of count them."""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Evidence:
    """Where the facts lie: JSON lines of landed records and of receipts, Parquet files of the tables."""

    landed: Iterable[Sequence[Path]]
    """Some files at a time; they need to be there only until the next are asked for."""
    clean: Sequence[str]
    quarantine: Sequence[str]
    receipts: Sequence[Path]
    beginnings: Mapping[str, str] = field(default_factory=dict)
    """Of each part whose records expire, the first place that the log still holds."""
    since_ms: int = 0
    """Rows with an earlier `_timestamp` come from an earlier stream of the name."""
    every_version: bool = False
    """Whether the clean table keeps every version of a row."""


def account(branch: Branch, table: str, evidence: Evidence, sent: Account) -> TableAccount:
    """Recompute the account of one table; raises DamagedTable, NoSuchObject if a landed file is gone."""
    with duckdb.connect() as connection:
        try:
            _make_views(connection, branch, table, evidence)
        except duckdb.InvalidInputException as error:
            raise DamagedTable(str(error).partition("\n")[0]) from error  # below it stands the query
        count = {name: _count(connection, query) for name, query in _COUNTS.items()}
        wanted = _MUST_BE_EMPTY if evidence.every_version else (*_MUST_BE_EMPTY, _ONE_ROW)
        problems = [
            text.format(count=found) for query, text in wanted if (found := _count(connection, query))
        ]
    if sent.sent != sent.acknowledged + sent.refused + sent.unknown:
        problems.append("sent is not acknowledged + refused + unknown")
    if count["landed"] != count["clean"] + count["duplicate"] + count["quarantined"]:
        problems.append("landed is not clean + duplicate + quarantined")
    return TableAccount(
        sent=sent.sent,
        acknowledged=sent.acknowledged,
        refused=sent.refused,
        unknown=sent.unknown,
        problems=[f"{branch} {table}: {problem}" for problem in problems],
        **count,
    )


_COUNTS = {
    "landed": "SELECT count(*) FROM landed",
    "clean": "SELECT count(*) FROM clean",
    "quarantined": "SELECT count(*) FROM quarantined",
    # A duplicate: not itself in the clean table, but a row of its `ind` is.
    "duplicate": """SELECT count(*) FROM (FROM landed ANTI JOIN clean USING (part, place))
        ANTI JOIN quarantined USING (part, place) WHERE ind IN (FROM held)""",
    "expired": "SELECT count(DISTINCT (part, place)) FROM expired",
    "without_receipt": "SELECT count(*) FROM landed ANTI JOIN receipts USING (part, place)",
}
_MUST_BE_EMPTY = (
    (
        "SELECT count(*) FROM receipts ANTI JOIN landed USING (part, place, ind)",
        "{count} acknowledged records are not where their receipts say",
    ),
    (
        "SELECT count(*) - count(DISTINCT (part, place)) FROM landed",
        "{count} places have landed more than once",
    ),
    (
        "SELECT count(*) - count(DISTINCT (part, place)) FROM receipts",
        "{count} receipts name a place that another receipt names too",
    ),
    (
        "SELECT count(*) FROM clean ANTI JOIN landed USING (part, place, ind)",
        "{count} clean rows come from no landed record",
    ),
    (
        "SELECT count(*) FROM quarantined ANTI JOIN landed USING (part, place) WHERE place IS NOT NULL",
        "{count} quarantined rows come from no landed record",
    ),
    (
        "SELECT count(*) - count(DISTINCT (part, place)) FROM quarantined",
        "{count} quarantined rows are there twice",
    ),
    (
        "SELECT count(*) FROM clean SEMI JOIN quarantined USING (part, place)",
        "{count} records are both clean and quarantined",
    ),
    (
        """SELECT count(*) FROM (FROM landed ANTI JOIN clean USING (part, place))
           ANTI JOIN quarantined USING (part, place)
           WHERE place IS NOT NULL AND (ind IS NULL OR ind NOT IN (FROM held))""",
        "{count} landed records are neither clean, duplicate nor quarantined",
    ),
    (
        """SELECT count(*) FROM (FROM expired WHERE source = 'receipts') AS receipts
           ANTI JOIN (FROM expired WHERE source = 'quarantined') USING (part, place)
           WHERE ind NOT IN (FROM held)""",
        "{count} acknowledged records expired and are in no table",
    ),
)
_ONE_ROW = ("SELECT count(*) - count(DISTINCT ind) FROM clean", "{count} clean rows repeat an ind")


# A key as the clean tables have it: the text `007` is the number 7.
_FOUND_IND = """CASE WHEN regexp_full_match(coalesce(ind, "index"), '[0-9]{1,18}')
    THEN coalesce(ind, "index")::BIGINT::VARCHAR ELSE coalesce(ind, "index") END"""


def _make_views(
    connection: duckdb.DuckDBPyConnection, branch: Branch, table: str, evidence: Evidence
) -> None:
    _, part, place, _ = POSITION_COLUMNS[branch]
    fields = dict.fromkeys(("ind", "index", part, place), "VARCHAR")
    placed = f'"{part}"::VARCHAR AS part, "{place}"::VARCHAR AS place'
    connection.execute("CREATE TEMP TABLE landed (ind VARCHAR, part VARCHAR, place VARCHAR)")
    for files in evidence.landed:
        with missing_named():
            lines = _json_lines(files, fields)
            connection.execute(f"INSERT INTO landed SELECT {_FOUND_IND}, {placed} FROM {lines}")  # noqa: S608
    placed += ", _timestamp"
    _materialise(connection, "clean", f"SELECT ind::VARCHAR AS ind, {placed}", _parquet(evidence.clean))
    _materialise(
        connection,
        "quarantined",
        f"SELECT {placed}",
        _parquet(evidence.quarantine),
        f"WHERE table_name = '{table}'",
    )
    connection.execute("CREATE TEMP TABLE receipts (ind VARCHAR, part VARCHAR, place VARCHAR)")
    if evidence.receipts:
        connection.execute(_receipts(evidence.receipts, branch), {"table": table})
    connection.execute("CREATE TEMP TABLE held AS SELECT DISTINCT ind FROM clean WHERE ind IS NOT NULL")
    _set_expired_aside(connection, evidence)


def _set_expired_aside(connection: duckdb.DuckDBPyConnection, evidence: Evidence) -> None:
    """Move what the log cannot show any more out of the way: only what it still holds can be compared."""
    connection.execute("CREATE TEMP TABLE beginnings (part VARCHAR, beginning VARCHAR)")
    if evidence.beginnings:
        connection.executemany("INSERT INTO beginnings VALUES (?, ?)", list(evidence.beginnings.items()))
    connection.execute("CREATE TEMP TABLE expired (source VARCHAR, ind VARCHAR, part VARCHAR, place VARCHAR)")
    is_earlier = f"OR _timestamp < {evidence.since_ms}" if evidence.since_ms else ""
    for source, ind, other in (
        ("clean", "ind", is_earlier),
        ("quarantined", "NULL", is_earlier),
        ("receipts", "ind", ""),
    ):
        gone = f"place < (SELECT beginning FROM beginnings WHERE part = {source}.part) {other}"  # noqa: S608
        row = f"'{source}', {ind}, part, place"
        connection.execute(f"INSERT INTO expired SELECT {row} FROM {source} WHERE {gone}")  # noqa: S608
        connection.execute(f"DELETE FROM {source} WHERE {gone}")  # noqa: S608


def _materialise(
    connection: duckdb.DuckDBPyConnection, name: str, select: str, source: str | None, where: str = ""
) -> None:
    if source is None:
        columns = "part VARCHAR, place VARCHAR, _timestamp BIGINT" + (
            "" if name == "quarantined" else ", ind VARCHAR"
        )
        connection.execute(f"CREATE TEMP TABLE {name} ({columns})")
    else:
        connection.execute(f"CREATE TEMP TABLE {name} AS {select} FROM {source} {where}")


def _quoted(paths: Sequence[Path] | Sequence[str]) -> str:
    return "[" + ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths) + "]"


def _parquet(files: Sequence[str]) -> str | None:
    return f"read_parquet({_quoted(files)}, union_by_name = true)" if files else None


def _json_lines(files: Sequence[Path], columns: dict[str, str]) -> str:
    return (
        f"read_json({_quoted(files)}, format = 'newline_delimited', columns = {columns},"
        f" ignore_errors = true, maximum_object_size = {line_bytes(files)})"
    )


def _receipts(files: Sequence[Path], branch: Branch) -> str:
    """Receipts as rows: the n-th outcome of a request belongs to its n-th `ind`."""
    part, place = ("partition", '"offset"') if branch == "batch" else ("shard", "sequence")
    columns = (
        "{'request': 'BIGINT', 'table': 'VARCHAR', 'ind': 'VARCHAR[]', 'outcomes':"
        ' \'STRUCT("partition" VARCHAR, "offset" VARCHAR, shard VARCHAR, sequence VARCHAR)[]\'}'
    )
    return f"""
        INSERT INTO receipts
        WITH lines AS (
            SELECT * FROM read_json({_quoted(files)}, format = 'newline_delimited', columns = {columns},
                                    ignore_errors = true, filename = true)
        ), outcomes AS (
            SELECT unnest(sent.ind) AS ind, unnest(done.outcomes) AS outcome
            FROM lines AS sent JOIN lines AS done USING (filename, request)
            WHERE sent.ind IS NOT NULL AND done.outcomes IS NOT NULL AND sent."table" = $table
        )
        SELECT ind, outcome.{part}, outcome.{place} FROM outcomes WHERE outcome.{place} IS NOT NULL
    """  # noqa: S608 -- paths are quoted, the other names are constants


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
