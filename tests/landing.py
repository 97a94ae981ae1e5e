"""Rows as the sink would have landed them, and from there to answers: shared by several suites."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from pinterest_pipeline.engines.base import Answer, Engine
from pinterest_pipeline.records.codec import landed_line, position_suffix
from pinterest_pipeline.records.names import TABLES, Branch, Table

FIRST_MS = 1_700_000_000_000


def position(branch: Branch, number: int, **other: Any) -> dict[str, Any]:
    """The position of the record number `number` of a log with one partition, changed by `other`."""
    if branch == "batch":
        own = {"_topic": "124df56aef51.pin", "_partition": 0, "_offset": number}
    else:
        own = {"_stream": "streaming-124df56aef51-pin", "_shard": "shardId-000000000000"}
        own |= {"_sequence": f"4{number:055d}"}
    return own | {"_timestamp": FIRST_MS + number} | other


def line(row: Any, where: Mapping[str, Any]) -> bytes:
    value = row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode()
    return landed_line(value, position_suffix(where)) + b"\n"


def land(file: Path, branch: Branch, rows: Iterable[Any]) -> Path:
    """Write rows (objects, or bytes as they were sent) to a file in the order given."""
    file.write_bytes(b"".join(line(row, position(branch, n)) for n, row in enumerate(rows)))
    return file


def answers_of(
    engine: Engine, folder: Path, branch: Branch, posts: Sequence[Mapping[str, Any]]
) -> dict[str, Answer]:
    """The engine's answers for posts in the order they were sent."""
    tables: dict[Table, ds.Dataset] = {}
    for table in TABLES:
        file = land(folder / f"{table}.json", branch, (post[table] for post in posts))
        with engine.clean(table, branch, [file]) as cleaned:
            tables[table] = ds.dataset(cleaned.rows.read_all())
    return engine.answers(tables)
