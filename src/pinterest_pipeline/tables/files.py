"""The Parquet files of a Delta table: written once, never changed, and which `ind` each of them holds."""

import json
import shutil
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from pinterest_pipeline.errors import DamagedTable

KEY: Final = "ind"
_PLACE: Final = ("_timestamp", "_partition", "_shard", "_offset", "_sequence")
"""What tells the newer of two rows of one `ind`, as far as a table has it."""
Keys: TypeAlias = "pa.Array[Any]"
_FILES: Final = 256  # a table is about so many files, so that a replaced row costs a small part of it
_SMALLEST, _LARGEST = 64 * 2**10, 32 * 2**20
_FIRST_ROWS, _LEAST_ROWS = 20_000, 1_000


@dataclass(frozen=True)
class DataFile:
    """A file of a table: its name, its size in bytes, how many rows it has."""

    name: str
    size: int
    rows: int
    low: int
    high: int
    """The smallest and the largest key; the smallest is above the largest where there is none."""
    keys: "Keys | None" = None
    """8 bytes of memory for each row; None is not read yet."""


@contextmanager
def damage_named(what: object) -> Iterator[None]:
    """What Arrow cannot read of files, as DamagedTable; what the system refuses is no damage."""
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedTable(f"{what}: {error}") from error


def read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a file; raises DamagedTable."""
    with damage_named(path):
        return pq.read_table(path, columns=None if columns is None else list(columns))


def write_files(folder: Path, rows: Iterable[pa.Table], most: int) -> Iterator[tuple[AddAction, DataFile]]:
    """Write rows as new files of the table in `folder`, each of at most `most` rows.

    Nobody sees them before a commit names them.
    """
    for table in rows:
        for start in range(0, table.num_rows, most):
            yield _write(folder, table.slice(start, most))


def move_files(folder: Path, paths: Iterable[Path]) -> Iterator[tuple[AddAction, DataFile]]:
    """Make files of another table files of the one in `folder`, seen by nobody before a commit names them."""
    for path in paths:
        moved = folder / path.name
        shutil.move(path, moved)
        columns = [field.name for field in pq.read_schema(moved) if _is_described(field)]
        yield _described(moved, pq.read_table(moved, columns=columns))


def _write(folder: Path, rows: pa.Table) -> tuple[AddAction, DataFile]:
    path = folder / f"part-{uuid.uuid4()}.parquet"
    pq.write_table(rows, path, compression="zstd")
    return _described(path, rows)


def _is_described(field: "pa.Field[Any]") -> bool:
    return field.name == KEY or pa.types.is_integer(field.type)


def _described(path: Path, rows: pa.Table) -> tuple[AddAction, DataFile]:
    found = path.stat()
    action = AddAction(path.name, found.st_size, {}, int(found.st_mtime * 1000), True, _statistics(rows))
    return action, _data_file(path.name, found.st_size, rows)


def _data_file(name: str, size: int, rows: pa.Table) -> DataFile:
    column = rows[KEY].combine_chunks()
    keys = column if pa.types.is_int64(column.type) else pa.array([], pa.int64())
    return DataFile(name, size, rows.num_rows, *_bounds(keys), keys)


def _bounds(keys: "Keys | pa.ChunkedArray[Any]") -> tuple[int, int]:
    found: Any = pc.min_max(keys).as_py()
    return (1, 0) if found["min"] is None else (found["min"], found["max"])


def _statistics(rows: pa.Table) -> str:
    """https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics."""
    numbers = [field.name for field in rows.schema if pa.types.is_integer(field.type)]
    bounds: dict[str, Any] = {name: pc.min_max(rows[name]).as_py() for name in numbers}
    known = {name: found for name, found in bounds.items() if found["min"] is not None}
    return json.dumps(
        {
            "numRecords": rows.num_rows,
            "minValues": {name: found["min"] for name, found in known.items()},
            "maxValues": {name: found["max"] for name, found in known.items()},
            "nullCount": {name: rows[name].null_count for name in numbers},
        }
    )


class Contents:
    """Which file of a table holds which `ind`, so that an upsert opens no file that it leaves as it is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, DataFile] = {}

    def sync(self, actions: Iterable[Mapping[str, Any]], *, keyed: bool) -> None:
        """Know the files of these actions of the log and no others.

        If keys are looked for, one is opened when a key may be in it, or when whoever wrote it did not say
        what it holds.
        """
        named = {unquote(action["path"]): action for action in actions}
        self._files = {
            name: self._files.get(name) or self._from_log(name, action, keyed=keyed)
            for name, action in named.items()
        }

    def replace(self, gone: Iterable[str], new: Iterable[DataFile]) -> None:
        """Know what a commit has done."""
        for name in gone:
            self._files.pop(name, None)
        self._files |= {file.name: file for file in new}

    def names(self) -> list[str]:
        return list(self._files)

    def size_of(self, name: str) -> int:
        return self._files[name].size

    def target(self) -> int:
        """The bytes that a file of this table should have."""
        return min(max(self._size() // _FILES, _SMALLEST), _LARGEST)

    def file_rows(self) -> int:
        """About how many rows make a file of that size."""
        size, rows = self._size(), sum(file.rows for file in self._files.values())
        return max(self.target() * rows // size, _LEAST_ROWS) if size else _FIRST_ROWS

    def small(self) -> int:
        """How many files have less than half of that size."""
        target = self.target()
        return sum(2 * file.size < target for file in self._files.values())

    def _size(self) -> int:
        return sum(file.size for file in self._files.values())

    def holding(self, keys: "pa.ChunkedArray[Any]", among: Collection[str] | None = None) -> list[str]:
        """The files (all, or those named) that hold at least one of the keys."""
        named = [self._files[name] for name in (self._files if among is None else among)]
        ordered: list[Any] = keys.sort().to_pylist() if named else []
        files = [self._opened(file) for file in named if _may_hold(file, ordered)]
        every = pa.chunked_array([file.keys for file in files if file.keys is not None], pa.int64())
        rows: list[Any] = pc.indices_nonzero(pc.is_in(every, keys.combine_chunks())).to_pylist()
        ends = list(accumulate(file.rows for file in files))
        return [files[number].name for number in sorted({bisect_right(ends, row) for row in rows})]

    def _opened(self, file: DataFile) -> DataFile:
        """The file with its keys."""
        if file.keys is None:
            file = self._files[file.name] = self._read(file.name, file.size)
        return file

    def _from_log(self, name: str, action: Mapping[str, Any], *, keyed: bool) -> DataFile:
        """A file as the log has it, unread if the log says enough."""
        if not keyed:
            return DataFile(name, action["size_bytes"], action.get("num_records") or 0, 1, 0)
        rows, low, high = (action.get(key) for key in ("num_records", f"min.{KEY}", f"max.{KEY}"))
        if isinstance(rows, int) and isinstance(low, int) and isinstance(high, int):
            return DataFile(name, action["size_bytes"], rows, low, high)
        return self._read(name, action["size_bytes"])

    def _read(self, name: str, size: int) -> DataFile:
        return _data_file(name, size, read(self._folder / name, [KEY]))


def _may_hold(file: DataFile, ordered: Sequence[Any]) -> bool:
    """Whether one of the keys, smallest first, lies between the smallest and the largest of the file."""
    place = bisect_left(ordered, file.low)
    return place < len(ordered) and ordered[place] <= file.high


def rows_of(folder: Path, names: Iterable[str], keys: "pa.ChunkedArray[Any]") -> pa.Table:
    """Key and place of the rows of these files that have one of the keys."""
    wanted, found = keys.combine_chunks(), []
    for name in names:
        path = folder / name
        with damage_named(path):
            columns = _place_columns(pq.read_schema(path))
        rows = read(path, columns)
        found.append(rows.filter(pc.is_in(rows[KEY], wanted)))
    return pa.concat_tables(found)


def without(path: Path, keys: "pa.ChunkedArray[Any]") -> pa.Table:
    """The rows of a file that have none of the keys."""
    rows = read(path)
    return rows.filter(pc.invert(pc.is_in(rows[KEY], keys.combine_chunks())))


def newest(rows: pa.Table, others: pa.Table) -> pa.Table:
    """Those of `rows` that `others` hold no newer row of; each holds an `ind` once."""
    match = pc.index_in(rows[KEY], others[KEY].combine_chunks())
    met = pc.indices_nonzero(match.is_valid())
    mine = _places(rows.select(_place_columns(rows.schema)).take(met))
    theirs = _places(others.take(match.take(met)))
    losers = [place for place, own, other in zip(met.to_pylist(), mine, theirs, strict=True) if other > own]
    lost = pc.is_in(pa.array(range(rows.num_rows), pa.int64()), pa.array(losers, pa.int64()))
    return rows.filter(pc.invert(lost)) if losers else rows


def _place_columns(schema: pa.Schema) -> list[str]:
    return [KEY, *(name for name in _PLACE if name in schema.names)]


def _places(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    """What orders rows by age. Sequence numbers are numbers in text form: the longer is the larger."""
    columns = [rows[name].to_pylist() for name in _PLACE if name in rows.column_names]
    for values in zip(*columns, strict=True):
        yield tuple((len(value), value) if isinstance(value, str) else (0, value) for value in values)
