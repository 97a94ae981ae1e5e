# ruff: noqa: S608 - the SQL is put together from names of this package and quoted paths
"""DuckDB runs the Spark SQL of cleaning and analyses, translated by sqlglot, in bounded memory."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import sqlglot

from pinterest_pipeline.analyses.catalog import load
from pinterest_pipeline.cleaning.drift import counted
from pinterest_pipeline.cleaning.rules import CLEAN_COLUMNS, rules_of
from pinterest_pipeline.cleaning.select import (
    changes_select,
    clean_columns,
    clean_select,
    is_before,
    newest_first,
    raw_columns,
)
from pinterest_pipeline.config import EngineSettings
from pinterest_pipeline.engines.bad_lines import BadLine, quarantine_rows
from pinterest_pipeline.engines.base import Answer, Source, clean_schema, quarantine_schema
from pinterest_pipeline.engines.line_bytes import line_bytes
from pinterest_pipeline.engines.rescue import rescued_files
from pinterest_pipeline.errors import DiskFull, Fatal, is_disk_full, missing_named
from pinterest_pipeline.records.names import Branch, Table
from pinterest_pipeline.records.schemas import POSITION_COLUMNS, RESCUED

_RAW: Final = "raw_lines"
_FILE: Final = "filename"
_CLEANED: Final = "cleaned"
_STORED: Final = "stored"
_PLACE: Final = "_place"


class DuckDBEngine:
    """An in-memory DuckDB that spills into a folder of its own below `spill`, removed on close."""

    def __init__(self, settings: EngineSettings, spill: Path) -> None:
        spill.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=f"duckdb-{os.getpid()}-", dir=spill))
        self._connection = _silent(duckdb.connect(config=_config(settings, self._folder)))
        # Global, for cursors are sessions of their own; else DuckDB takes the machine's zone.
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self._numbers = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def clean(
        self, table: Table, branch: Branch, files: Sequence[Path], before: int | None = None
    ) -> "DuckDBCleaned":
        """Clean the landed lines of `files`; raises DiskFull, NoSuchObject, or Fatal if it cannot."""
        name = f"cleaned_{next(self._numbers)}"
        with _explained(), missing_named(), tempfile.TemporaryDirectory(dir=self._folder) as folder:
            read = rescued_files(table, files, Path(folder))
            return DuckDBCleaned(self._connection, name, table, branch, read, before)

    def answers(
        self, tables: Mapping[Table, Source], versions: Mapping[Table, Branch] = {}
    ) -> dict[str, Answer]:
        """Name of analysis -> its rows, ints as int and medians as float, in the order of its SQL.

        Of the tables in `versions` only the newest row of each `ind` counts.
        """
        with _explained(), _silent(self._connection.cursor()) as cursor:
            for table, source in tables.items():
                _load_clean(cursor, table, source, versions.get(table))
            return {name: _answer(cursor, sql) for name, sql in _analyses()}


class DuckDBCleaned:
    """One cleaning: its rows stay in a table of the engine until it is closed."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        table: Table,
        branch: Branch,
        files: Mapping[Path, Path],
        before: int | None,
    ) -> None:
        """Clean the keys of `files`, which may be copies; the values are the files as they were."""
        self._connection = connection
        self._files = files
        self._is_wanted = is_before(before).replace("`", '"')
        self._name = name
        self._losers = f"{name}_losers"
        self._table: Table = table
        self._branch: Branch = branch
        _show_raw(connection, table, branch, list(files), _FILE)
        # Only a bad row must still know its file.
        file = f"CASE WHEN _reason IS NOT NULL THEN {_FILE} END AS {_FILE}"
        kept = f"SELECT * EXCLUDE (_ind) REPLACE ({file}) FROM ({_cleaning(table, branch, _FILE)})"
        connection.execute(f"CREATE TABLE {name} AS {kept} WHERE {self._is_wanted}")
        self.read, self.good, distinct = self._figures()
        losers = self._older() if distinct < self.good else "SELECT 0 AS loser LIMIT 0"
        connection.execute(f"CREATE TABLE {self._losers} AS {losers}")
        self.changes = self._changes()
        self.drift = self._drift()
        self.quarantined = self._quarantined()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.execute(f"DROP TABLE IF EXISTS {self._losers}; DROP TABLE IF EXISTS {self._name}")

    @property
    def rows(self) -> pa.RecordBatchReader:
        """The clean rows, one per `ind`; a cursor of its own lets the engine work on while they are read."""
        return self._selected(f"_reason IS NULL AND rowid NOT IN (FROM {self._losers})")

    @property
    def versions(self) -> pa.RecordBatchReader:
        """Every good row, read as `rows` are."""
        return self._selected("_reason IS NULL")

    def _selected(self, condition: str) -> pa.RecordBatchReader:
        columns = ", ".join(map(_quoted, clean_columns(self._table, self._branch)))
        with _explained():
            found = _silent(self._connection.cursor()).sql(
                f"SELECT {columns} FROM {self._name} WHERE {condition}"
            )
            reader: pa.RecordBatchReader = found.to_arrow_reader()
        return reader.cast(clean_schema(self._table, self._branch))

    def _figures(self) -> tuple[Any, ...]:
        """Lines read, good ones, different `ind` among the good."""
        good = "FILTER (WHERE _reason IS NULL)"
        counts = f"COUNT(*), COUNT(*) {good}, COUNT(DISTINCT ind) {good}"
        return self._one_row(f"SELECT {counts} FROM {self._name}")

    def _older(self) -> str:
        """SQL for the rows that a newer position has overtaken; sorts narrow columns, never whole rows."""
        good = f"FROM {self._name} WHERE _reason IS NULL"
        twice = f"SELECT ind {good} GROUP BY ind HAVING COUNT(*) > 1"
        place = f"ROW_NUMBER() OVER (PARTITION BY ind ORDER BY {_newest(self._branch)})"
        placed = f"SELECT rowid AS loser, {place} AS place {good} AND ind IN ({twice})"
        return f"SELECT loser FROM ({placed}) WHERE place > 1"

    def _changes(self) -> dict[str, int]:
        rules = [rule.id for rule in rules_of(self._table)]
        counts = (
            self._one_row(f"WITH {_CLEANED} AS (FROM {self._name}) {_changes(self._table)}") if rules else ()
        )
        return dict(zip(rules, counts, strict=True))

    def _drift(self) -> dict[str, int]:
        found = _silent(self._connection.cursor()).sql(
            f"SELECT {RESCUED} FROM {self._name} WHERE _reason IS NULL AND {RESCUED} IS NOT NULL"
        )
        return counted(text for batch in found.to_arrow_reader() for text in batch[RESCUED].to_pylist())

    def _one_row(self, sql: str) -> tuple[Any, ...]:
        row = self._connection.execute(sql).fetchone()
        assert row is not None  # each caller asks for an aggregate without GROUP BY
        return row

    def _quarantined(self) -> pa.Table:
        rows: list[dict[str, Any]] = []
        if self.read > self.good:
            sql = f"SELECT DISTINCT {_FILE} FROM {self._name} WHERE _reason IS NOT NULL ORDER BY 1"
            for file in [self._files[Path(name)] for (name,) in self._connection.execute(sql).fetchall()]:
                rows += quarantine_rows(self._table, self._branch, file, self._bad_lines(file))
        return pa.Table.from_pylist(rows, schema=quarantine_schema(self._branch))

    def _bad_lines(self, file: Path) -> list[BadLine]:
        """The bad rows of one file, read again with their places: a parallel read of many files has none."""
        place = f"ROW_NUMBER() OVER () AS {_PLACE}"
        _show_raw(self._connection, self._table, self._branch, [file], place)
        columns = ", ".join([_PLACE, "_reason", "_ind", *POSITION_COLUMNS[self._branch]])
        cleaned = _cleaning(self._table, self._branch, _PLACE)
        sql = f"SELECT {columns} FROM ({cleaned}) WHERE _reason IS NOT NULL AND {self._is_wanted}"
        self._connection.execute("SET preserve_insertion_order = true")
        try:
            found = self._connection.execute(sql).fetchall()
        finally:
            self._connection.execute("SET preserve_insertion_order = false")
        return [BadLine(line, reason, ind, tuple(position)) for line, reason, ind, *position in found]


def _silent(session: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A session without DuckDB's bar, which it would draw among the answers on standard output."""
    session.execute("SET enable_progress_bar = false")
    return session


def _config(settings: EngineSettings, folder: Path) -> dict[str, str | bool | int | float | list[str]]:
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,  # nothing is fetched from the network
        "memory_limit": settings.memory_limit,
        "temp_directory": str(folder),
        "preserve_insertion_order": False,  # the order of rows means nothing here, and costs time and memory
    }
    return config | ({"threads": settings.threads} if settings.threads else {})


def _show_raw(
    connection: duckdb.DuckDBPyConnection, table: Table, branch: Branch, files: Sequence[Path], extra: str
) -> None:
    """Make the raw relation: every column text, a line that is no JSON object a row of nulls."""
    columns = dict.fromkeys((*raw_columns(table, branch), RESCUED), "VARCHAR")
    options = f"format = 'newline_delimited', columns = {columns}, maximum_object_size = {line_bytes(files)}"
    nothing = ", ".join(f"NULL::VARCHAR AS {_quoted(name)}" for name in (*columns, _FILE))
    lines = (
        f"read_json({_texts(files)}, {options}, ignore_errors = true, filename = true)"
        if files
        else f"(SELECT {nothing} LIMIT 0)"
    )
    names = ", ".join(map(_quoted, columns))
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {_RAW} AS SELECT {names}, {extra} FROM {lines}")


def _load_clean(
    cursor: duckdb.DuckDBPyConnection, table: Table, source: Source, versions: Branch | None
) -> None:
    """Make the clean relation of this session: decoded once, only the columns that an analysis asks for."""
    stored = f"{_STORED}_{table}"
    if isinstance(source, ds.Dataset):
        cursor.register(stored, source)
    elif source:
        cursor.execute(f"CREATE TEMP VIEW {stored} AS FROM read_parquet({_texts(source)})")
    else:
        cursor.register(stored, clean_schema(table, "batch").empty_table())
    columns = ", ".join(_quoted(name) for name in CLEAN_COLUMNS[table] if name in _asked())
    newest = (
        f"QUALIFY ROW_NUMBER() OVER (PARTITION BY ind ORDER BY {_newest(versions)}) = 1" if versions else ""
    )
    cursor.execute(f"CREATE TEMP TABLE {_quoted(table)} AS SELECT {columns} FROM {stored} {newest}")


def _newest(branch: Branch) -> str:
    return ", ".join(newest_first(branch)).replace("`", '"')


def _quoted(name: str) -> str:
    return f'"{name}"'


def _texts(values: Iterable[Path | str]) -> str:
    quoted = (str(value).replace("'", "''") for value in values)
    return "[" + ", ".join(f"'{text}'" for text in quoted) + "]"


def _answer(cursor: duckdb.DuckDBPyConnection, sql: str) -> Answer:
    found = cursor.execute(sql)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@cache
def _cleaning(table: Table, branch: Branch, carry: str) -> str:
    return _translated(clean_select(table, branch, _RAW, (carry,)))


@cache
def _changes(table: Table) -> str:
    return _translated(changes_select(table, _CLEANED))


@cache
def _asked() -> frozenset[str]:
    """The names of all columns that the analyses read."""
    trees = (sqlglot.parse_one(analysis.sql, read="spark") for analysis in load())
    return frozenset(column.name for tree in trees for column in tree.find_all(sqlglot.exp.Column))


@cache
def _analyses() -> tuple[tuple[str, str], ...]:
    return tuple((analysis.name, _translated(analysis.sql)) for analysis in load())


def _translated(sql: str) -> str:
    return sqlglot.transpile(sql, read="spark", write="duckdb")[0]


@contextmanager
def _explained() -> Iterator[None]:
    """DuckDB's errors as ours."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise Fatal(f"the engine ran out of memory: {error}", "raise PINPIPE_ENGINE__MEMORY_LIMIT") from error
    except duckdb.Error as error:
        if is_disk_full(error):
            raise DiskFull(f"the engine cannot spill: {error}", "free some room and run it again") from error
        raise Fatal(f"the engine failed: {error}") from error
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(f"no room to copy lines: {error}", "free some room and run it again") from error
        raise Fatal(f"the engine cannot read its lines: {error}") from error
