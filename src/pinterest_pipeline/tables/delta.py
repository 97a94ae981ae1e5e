"""One Delta table: append or upsert a batch exactly once.

A commit names, for each source (a topic-partition or a shard), the position after its last record as a Delta
transaction (application id, version), as the protocol has it for idempotent writers:
https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers. delta-rs writes these
but does not refuse a replay, so callers ask `positions` on this same handle first and hold the branch's lock.
A position of any size is kept (positions.py).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from pinterest_pipeline.errors import DiskFull, Fatal, is_disk_full
from pinterest_pipeline.tables.positions import position, versions

_TOTALS = "pinpipe.totals"
_COMPACT_FILES = 60
_RECENT = 10  # commits among which one of ours must be: a compaction follows one, never another


class Table:
    """A Delta table in a folder; made by its first commit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._delta: DeltaTable | None = None

    def exists(self) -> bool:
        return self._handle() is not None

    def positions(self, sources: list[str]) -> dict[str, int]:
        """The position after the last record committed of each source; 0 where there is none."""
        handle = self._handle()
        if handle is None:
            return dict.fromkeys(sources, 0)
        handle.update_incremental()
        return {source: position(source, handle.transaction_version) for source in sources}

    def totals(self) -> dict[str, int]:
        """The running totals that the newest commit of `append` or `upsert` carries."""
        handle = self._handle()
        for commit in handle.history(_RECENT) if handle else []:
            if _TOTALS in commit:
                totals: dict[str, int] = json.loads(commit[_TOTALS])
                return totals
        return {}

    def rows(self) -> int:
        handle = self._handle()
        if handle is None:
            return 0
        counts = pa.table(handle.get_add_actions()).column("num_records").to_pylist()
        return sum(count or 0 for count in counts)

    def files(self) -> list[str]:
        """The Parquet files that hold the table's rows now."""
        handle = self._handle()
        return [unquote(uri) for uri in handle.file_uris()] if handle else []

    def head(self, most: int) -> list[dict[str, Any]]:
        """Some rows, for people to look at."""
        handle = self._handle()
        if handle is None:
            return []
        rows: list[dict[str, Any]] = handle.to_pyarrow_dataset().head(most).to_pylist()
        return rows

    def append(
        self, rows: pa.Table | pa.RecordBatchReader, positions: Mapping[str, int], totals: Mapping[str, int]
    ) -> None:
        """Add rows and move the positions, in one commit; `totals` are added to the running totals."""
        self._commit(rows, positions, totals, merge=False)

    def upsert(
        self, rows: pa.Table | pa.RecordBatchReader, positions: Mapping[str, int], totals: Mapping[str, int]
    ) -> None:
        """As `append`, but a row replaces an older row of the same `ind`. `rows` hold an `ind` once."""
        self._commit(rows, positions, totals, merge=self.rows() > 0)

    def _commit(
        self,
        rows: pa.Table | pa.RecordBatchReader,
        positions: Mapping[str, int],
        totals: Mapping[str, int],
        *,
        merge: bool,
    ) -> None:
        handle = self._handle() or DeltaTable.create(str(self.path), rows.schema, mode="ignore")
        sums = self.totals()
        sums |= {name: sums.get(name, 0) + count for name, count in totals.items()}
        properties = CommitProperties(
            custom_metadata={_TOTALS: json.dumps(sums)},
            app_transactions=[Transaction(name, version) for name, version in versions(positions).items()],
        )
        try:
            if merge:
                _merge(handle, rows, properties)
            # A merge that changes no row commits nothing, but the position has to move all the same.
            if not merge or _is_behind(handle, positions):
                added = rows.schema.empty_table() if merge else rows
                write_deltalake(handle, added, mode="append", commit_properties=properties)
            self._delta = handle
            self._compact()
        except (OSError, DeltaError) as error:
            self._delta = None
            if is_disk_full(error):
                raise DiskFull(f"no room for {self.path}", "free some space, start again") from error
            raise Fatal(f"the table {self.path} cannot be written: {error}") from error

    def _compact(self) -> None:
        """Many small files make every read slow; those they came from stay for readers of older versions."""
        assert self._delta is not None
        if len(self._delta.file_uris()) >= _COMPACT_FILES:
            self._delta.optimize.compact()

    def _handle(self) -> DeltaTable | None:
        if self._delta is None:
            try:
                self._delta = DeltaTable(str(self.path))
            except TableNotFoundError:
                return None
        return self._delta


def _merge(handle: DeltaTable, rows: pa.Table | pa.RecordBatchReader, properties: CommitProperties) -> None:
    merger = handle.merge(
        rows,
        predicate="target.ind = source.ind",
        source_alias="source",
        target_alias="target",
        commit_properties=properties,
    )
    newer = "source._timestamp >= target._timestamp"
    merger.when_matched_update_all(newer).when_not_matched_insert_all().execute()


def _is_behind(handle: DeltaTable, positions: Mapping[str, int]) -> bool:
    return any(position(source, handle.transaction_version) != wanted for source, wanted in positions.items())
