"""One Delta table: append or upsert a batch exactly once, in a time that does not grow with the table.

A commit names, for each source (a topic-partition or a shard), the position after its last record as a Delta
transaction (application id, version), as the protocol has it for idempotent writers:
https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers. delta-rs writes these
but does not refuse a replay, so callers ask `positions` on this same handle first and hold the branch's lock.
A position of any size is kept (positions.py).

An upsert knows which file holds which `ind`: it writes the new rows as a new file, and writes anew only files
that hold a row which is replaced. delta-rs' own MERGE reads every row of the table each time.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from pinterest_pipeline.config import crash_at
from pinterest_pipeline.errors import DamagedTable, DiskFull, Fatal, SettingError, is_disk_full
from pinterest_pipeline.tables.files import (
    Contents,
    DataFile,
    damage_named,
    move_files,
    newest,
    rows_of,
    without,
    write_files,
)
from pinterest_pipeline.tables.positions import position, versions

_TOTALS: Final = "pinpipe.totals"
_APPEND_ONLY: Final = "delta.appendOnly"
_RECENT: Final = 10  # commits among which one of ours must be: other tools may make some too
_SMALL_FILES: Final = 32
_TIDY_COMMITS: Final = 32
_VACUUM_SECONDS: Final = 60.0

Rows = pa.Table | pa.RecordBatchReader
_Written = list[tuple[AddAction, DataFile]]


class Upkeep(NamedTuple):
    """How many seconds a table keeps what its newest version does not need."""

    files: float = 600.0
    """Files of older versions: whoever reads one has to be done by then."""
    log: float = 60.0
    """Entries of the log. Every commit lists them all, and takes the longer the more there are."""

    def properties(self) -> dict[str, str]:
        """https://docs.delta.io/latest/table-properties.html."""
        return {
            "delta.deletedFileRetentionDuration": f"interval {int(self.files)} seconds",
            "delta.logRetentionDuration": f"interval {int(self.log)} seconds",
            "delta.checkpointInterval": "50",
        }


class Table:
    """A Delta table in a folder; made by its first commit. `append` makes one that keeps every version.

    Whatever opens the table raises DamagedTable when its log cannot be read. Raises SettingError for a folder
    that no table can be in.
    """

    def __init__(self, path: Path, upkeep: Upkeep | None = None) -> None:
        _refuse_unreadable(path)
        self.path = path
        self._upkeep = upkeep or Upkeep()
        self._delta: DeltaTable | None = None
        self._contents = Contents(path)
        self._known = -1
        """The version that `_contents` and `_sums` are of."""
        self._sums: dict[str, int] = {}
        self._vacuumed = -_VACUUM_SECONDS

    def exists(self) -> bool:
        return self._handle() is not None

    def keeps_versions(self) -> bool:
        """Whether the table holds every version of a row, not only the newest."""
        handle = self._handle()
        return handle is not None and _is_append_only(handle)

    def positions(self, sources: Sequence[str]) -> dict[str, int]:
        """The position after the last record committed of each source; 0 where there is none."""
        try:
            return self._positions(sources)
        except DeltaError:  # its log is gone: somebody removed the folder while it was open
            self._delta, self._known = None, -1
            return self._positions(sources)

    def _positions(self, sources: Sequence[str]) -> dict[str, int]:
        handle = self._handle()
        if handle is None:
            return dict.fromkeys(sources, 0)
        handle.update_incremental()
        return {source: position(source, handle.transaction_version) for source in sources}

    def totals(self) -> dict[str, int]:
        """The running totals that the newest commit of ours carries."""
        handle = self._handle()
        return _totals(handle) if handle else {}

    def rows(self) -> int:
        return sum(count or 0 for count in self._files("num_records"))

    def newest_timestamp(self) -> int | None:
        """The largest `_timestamp` of all rows, by what the files say of themselves."""
        return max((found for found in self._files("max._timestamp") if found is not None), default=None)

    def _files(self, column: str) -> list[Any]:
        """What the log says of each file."""
        handle = self._handle()
        found = pa.table(handle.get_add_actions(flatten=True)) if handle else pa.table({})
        return found[column].to_pylist() if column in found.column_names else []

    def files(self) -> list[str]:
        """The Parquet files that hold the table's rows now."""
        handle = self._handle()
        return [unquote(uri) for uri in handle.file_uris()] if handle else []

    def head(self, most: int) -> list[dict[str, Any]]:
        """Some rows, for people to look at.

        Not by a dataset of the handle: its threads read ahead through a file system in Python, and what they
        still do when Python ends kills the process, or never ends. Raises DamagedTable.
        """
        handle = self._handle()
        empty = dict.fromkeys(column.name for column in handle.schema().fields) if handle else {}
        rows: list[dict[str, Any]] = []
        for path in self.files():
            rows += [empty | row for row in _first_rows(path, most)]
            if len(rows) >= most:
                break
        return rows[:most]

    def append(self, rows: Rows, positions: Mapping[str, int], totals: Mapping[str, int]) -> None:
        """Add rows and move the positions, in one commit; `totals` are added to the running totals.

        Raises DiskFull, and SettingError when the table was made by `upsert`.
        """
        with self._writing(Schema.from_arrow(rows.schema), append_only=True) as handle:
            written = list(write_files(self.path, _tables(rows), self._contents.file_rows()))
            self._commit(handle, written, [], positions, totals)

    def upsert(self, rows: Rows, positions: Mapping[str, int], totals: Mapping[str, int]) -> None:
        """As `append`, but a row replaces an older row of the same `ind`. `rows` hold an `ind` once.

        Raises DiskFull, and SettingError when the table was made by `append`.
        """
        with self._writing(Schema.from_arrow(rows.schema), append_only=False) as handle:
            most, met = self._contents.file_rows(), set[str]()
            new = (self._newest(table, met) for table in _tables(rows))
            written = list(write_files(self.path, new, most))
            keys = pa.chunked_array([file.keys for _, file in written if file.keys is not None], pa.int64())
            replaced = self._contents.holding(keys, met)
            kept = (without(self.path / name, keys) for name in replaced)
            written += write_files(self.path, kept, most)
            self._commit(handle, written, replaced, positions, totals)

    def replace(self, other: "Table", sources: Sequence[str]) -> None:
        """Hold what `other` holds, and its totals and its positions of the sources, in one commit.

        `other` gives its files away. Raises DiskFull, and SettingError as `append` and `upsert` do.

        Who reads a table of every version as a stream gets all its rows again: such a table may lose rows
        only by a commit that calls them rewritten.
        """
        theirs = other._handle()
        known = theirs or self._handle()
        if known is None:
            return
        with self._writing(known.schema(), append_only=_is_append_only(known)) as handle:
            written = list(move_files(self.path, map(Path, other.files())))
            old, self._sums = self._contents.names(), {}
            self._commit(handle, written, old, other.positions(sources), other.totals())

    def _newest(self, rows: pa.Table, met: set[str]) -> pa.Table:
        """The rows that no file holds a newer one of; notes in `met` the files that hold one at all."""
        held = self._contents.holding(rows["ind"])
        met.update(held)
        return newest(rows, rows_of(self.path, held, rows["ind"])) if held else rows

    @contextmanager
    def _writing(self, schema: Schema, *, append_only: bool) -> Iterator[DeltaTable]:
        """The table as `positions` left it, made if it is not there; its errors as ours."""
        try:
            handle = self._handle() or self._made(schema, append_only=append_only)
            self._check(handle, schema, append_only=append_only)
            self._sync(handle)
            yield handle
            self._delta = handle
        except BaseException as error:
            self._delta, self._known = None, -1
            if is_disk_full(error) and not isinstance(error, DiskFull):
                raise DiskFull(f"no room for {self.path}", "free some space, start again") from error
            if isinstance(error, (OSError, DeltaError)):
                raise Fatal(f"the table {self.path} cannot be written: {error}") from error
            raise

    def _made(self, schema: Schema, *, append_only: bool) -> DeltaTable:
        properties = self._upkeep.properties() | ({_APPEND_ONLY: "true"} if append_only else {})
        return DeltaTable.create(str(self.path), schema, mode="ignore", configuration=properties)

    def _check(self, handle: DeltaTable, schema: Schema, *, append_only: bool) -> None:
        """The table has to be what we take it for; its properties become those of the settings.

        Columns that a table of an earlier version of this package lacks are added.
        """
        if _is_append_only(handle) != append_only:
            found = "every version of a row" if append_only is False else "only the newest version of a row"
            raise SettingError(
                f"the table {self.path} keeps {found}, which is not what PINPIPE_STREAM__MODE asks for now",
                "set it back (merge: newest, append: every version), or name another folder by PINPIPE_DATA",
            )
        known = {column.name for column in handle.schema().fields}
        if new := [column for column in schema.fields if column.name not in known]:
            handle.alter.add_columns(new, commit_properties=_carrying(_totals(handle)))
        wanted, found_now = self._upkeep.properties(), handle.metadata().configuration
        if any(found_now.get(name) != value for name, value in wanted.items()):
            totals = _carrying(_totals(handle))  # the log may begin anew with any commit
            handle.alter.set_table_properties(wanted, commit_properties=totals)

    def _sync(self, handle: DeltaTable) -> None:
        """Know what the files hold; after a commit of ours there is nothing to read."""
        if self._known != handle.version():
            self._sums = _totals(handle)
            found = pa.table(handle.get_add_actions(flatten=True)).to_pylist()
            self._contents.sync(found, keyed=not _is_append_only(handle))

    def _commit(
        self,
        handle: DeltaTable,
        written: _Written,
        replaced: Sequence[str],
        positions: Mapping[str, int],
        totals: Mapping[str, int],
    ) -> None:
        sums = self._sums | {name: self._sums.get(name, 0) + count for name, count in totals.items()}
        now = int(time.time() * 1000)
        properties = CommitProperties(
            custom_metadata={_TOTALS: json.dumps(sums)},
            app_transactions=[Transaction(name, version) for name, version in versions(positions).items()],
        )
        changes_data = not _is_append_only(handle)
        removed = [
            RemoveAction(name, changes_data, now, self._contents.size_of(name), {}) for name in replaced
        ]
        crash_at("table.before_commit")
        handle.create_write_transaction(
            [*(action for action, _ in written), *removed],
            "append",
            handle.schema(),
            commit_properties=properties,
        )
        crash_at("table.after_commit")
        handle.update_incremental()
        self._contents.replace(replaced, [file for _, file in written])
        self._known, self._sums = handle.version(), sums
        self._tidy(handle, _carrying(sums))

    def _tidy(self, handle: DeltaTable, properties: CommitProperties) -> None:
        """Merge small files when there are many; now and then remove what no version needs any more."""
        is_due = self._known % _TIDY_COMMITS == 0  # of the table, for a process may live for one commit only
        if self._contents.small() >= _SMALL_FILES:
            handle.optimize.compact(target_size=self._contents.target(), commit_properties=properties)
            crash_at("table.compacted")
            is_due, self._known = True, -1
        if is_due and time.monotonic() - self._vacuumed >= min(_VACUUM_SECONDS, self._upkeep.files):
            handle.vacuum(retention_hours=None, dry_run=False, full=True, commit_properties=properties)
            crash_at("table.vacuumed")
            self._vacuumed, self._known = time.monotonic(), -1

    def _handle(self) -> DeltaTable | None:
        if self._delta is None:
            try:
                self._delta = DeltaTable(str(self.path))
            except TableNotFoundError:
                return None
            except DeltaError as error:
                raise DamagedTable(f"{self.path}: {error}") from error
        return self._delta


def _refuse_unreadable(path: Path) -> None:
    """delta-rs makes a table in such a folder and then looks for its log in another one."""
    whole = str(path.absolute())
    if unquote(whole) != whole or "\\" in whole:
        raise SettingError(
            f"no Delta table can be in {whole}: its name has a backslash, or a % before two digits",
            "name another folder by PINPIPE_DATA",
        )


def _first_rows(path: str, most: int) -> list[dict[str, Any]]:
    with damage_named(path), pq.ParquetFile(path) as file:
        batch = next(file.iter_batches(most), None)
        return batch.to_pylist() if batch else []


def _tables(rows: Rows) -> Iterator[pa.Table]:
    """Some rows at a time, none when there are none."""
    if isinstance(rows, pa.Table):
        yield from [rows] if rows.num_rows else []
        return
    for batch in rows:
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def _carrying(totals: Mapping[str, int]) -> CommitProperties:
    """What a commit says that moves no position."""
    return CommitProperties(custom_metadata={_TOTALS: json.dumps(totals)})


def _totals(handle: DeltaTable) -> dict[str, int]:
    for commit in handle.history(_RECENT):
        if _TOTALS in commit:
            totals: dict[str, int] = json.loads(commit[_TOTALS])
            return totals
    return {}


def _is_append_only(handle: DeltaTable) -> bool:
    return handle.metadata().configuration.get(_APPEND_ONLY) == "true"
