"""What every engine must do, and the Arrow shapes it hands out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import pyarrow as pa
import pyarrow.dataset as ds

from pinterest_pipeline.records.names import Branch, Table
from pinterest_pipeline.records.schemas import RESCUED

Answer = list[dict[str, Any]]
Source = ds.Dataset | Sequence[str]

_UTC: Final = pa.timestamp("us", tz="UTC")
_TEXTS: Final = pa.string()

_CLEAN_TYPES: Final[dict[Table, dict[str, pa.DataType]]] = {
    "pin": {
        "ind": pa.int64(),
        "unique_id": _TEXTS,
        "title": _TEXTS,
        "description": _TEXTS,
        "follower_count": pa.int64(),
        "poster_name": _TEXTS,
        "tag_list": _TEXTS,
        "is_image_or_video": _TEXTS,
        "image_src": _TEXTS,
        "save_location": _TEXTS,
        "category": _TEXTS,
    },
    "geo": {
        "ind": pa.int64(),
        "country": _TEXTS,
        "coordinates": pa.list_(pa.field("element", pa.float64())),
        "timestamp": _UTC,
    },
    "user": {"ind": pa.int64(), "user_name": _TEXTS, "age": pa.int32(), "date_joined": _UTC},
}

_POSITION_TYPES: Final[dict[Branch, dict[str, pa.DataType]]] = {
    "batch": {"_topic": _TEXTS, "_partition": pa.int32(), "_offset": pa.int64(), "_timestamp": pa.int64()},
    "stream": {"_stream": _TEXTS, "_shard": _TEXTS, "_sequence": _TEXTS, "_timestamp": pa.int64()},
}


def clean_schema(table: Table, branch: Branch) -> pa.Schema:
    """A clean table: its own columns, the position (`_timestamp` in ms since 1970), what was rescued."""
    return pa.schema([*_CLEAN_TYPES[table].items(), *_POSITION_TYPES[branch].items(), (RESCUED, pa.string())])


def quarantine_schema(branch: Branch) -> pa.Schema:
    """A quarantined row: its table, its `ind` as found, why, its line, its position."""
    own = [(name, _TEXTS) for name in ("table_name", "ind", "reason", "raw")]
    return pa.schema([*own, *_POSITION_TYPES[branch].items()])


class Cleaned(Protocol):
    """The result of one cleaning; holds disk and memory of its engine until it is closed.

    Always `read` = `good` + rows of `quarantined`, and `good` - rows of `rows` = duplicates.
    """

    @property
    def rows(self) -> pa.RecordBatchReader:
        """The clean rows in `clean_schema`, the newest position of each `ind`; a new reader each time."""
        ...

    @property
    def versions(self) -> pa.RecordBatchReader:
        """As `rows`, but with every good row, also one that a newer position of its `ind` has overtaken."""
        ...

    @property
    def quarantined(self) -> pa.Table:
        """The rows that could not be read, in `quarantine_schema`."""
        ...

    @property
    def changes(self) -> dict[str, int]:
        """Rule id -> values it replaced, in the good rows (duplicates included)."""
        ...

    @property
    def drift(self) -> dict[str, int]:
        """Kind and name of a field that is not as expected -> good rows it was rescued of: `new colour`."""
        ...

    @property
    def read(self) -> int:
        """Lines read; blank ones do not count."""
        ...

    @property
    def good(self) -> int:
        """Lines that gave a clean row, duplicates included."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Engine(Protocol):
    """Cleans and answers; used by one thread at a time."""

    def clean(
        self, table: Table, branch: Branch, files: Sequence[Path], before: int | None = None
    ) -> Cleaned:
        """Clean the landed lines of `files` (newline-delimited JSON).

        With `before` (milliseconds since 1970) those that came later are left out.
        """
        ...

    def answers(
        self, tables: Mapping[Table, Source], versions: Mapping[Table, Branch] = {}
    ) -> dict[str, Answer]:
        """Name of analysis -> its rows; a table is a dataset or paths of parquet files (none: empty).

        `versions` names the tables that hold every version of a row, and the branch they are of: only the
        newest counts.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
