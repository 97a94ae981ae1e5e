"""Tables of the batch branch made from all objects again: to replace them, or to answer as of a past time."""

import os
import tempfile
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.dataset as ds

from pinterest_pipeline.config import crash_at
from pinterest_pipeline.engines.base import Engine
from pinterest_pipeline.errors import Fatal, NoSuchObject
from pinterest_pipeline.objects.landed import LandedObject, end_offset, landed_objects
from pinterest_pipeline.pipeline import Loaded, Progress, Target, load_objects, object_source
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.records.names import Table as TableName
from pinterest_pipeline.tables.delta import Table
from pinterest_pipeline.tables.files import damage_named
from pinterest_pipeline.workspace import Workspace

_PLACE: Final = ["_partition", "_offset"]
_SHOWN: Final = 5


@dataclass(frozen=True)
class Rebuilt:
    """Tables that nobody else sees, and what they were made of."""

    tables: Mapping[TableName, Table]
    quarantine: Table
    objects: Mapping[TableName, Sequence[LandedObject]]
    loaded: Mapping[TableName, Loaded]

    def sources(self, table: TableName) -> list[str]:
        return sorted({object_source(found) for found in self.objects[table]})


def full_refresh(workspace: Workspace, engine: Engine, progress: Progress) -> dict[TableName, Loaded]:
    """Clean every landed object anew and replace what the tables hold, each in one commit.

    Until then readers see the old rows. Killed anywhere it may be run again. Raises Fatal, and changes
    nothing, when the tables hold rows of records that no object has any more.
    """
    with workspace.only_one("load"), rebuilt(workspace, engine, progress) as made:
        for table in TABLES:
            _check_covered(workspace, made, table)
        every = [source for table in TABLES for source in made.sources(table)]
        workspace.quarantine("batch").replace(made.quarantine, every)
        crash_at("refresh.quarantine")
        for table in TABLES:
            workspace.table("batch", table).replace(made.tables[table], made.sources(table))
            crash_at("refresh.table")
        return dict(made.loaded)


def past_answers(
    workspace: Workspace, engine: Engine, before: int, progress: Progress
) -> dict[str, list[dict[str, Any]]]:
    """The eight answers as they were when only records from before a time (ms since 1970) had come."""
    try:
        return _past_answers(workspace, engine, before, progress)
    except NoSuchObject:  # small objects were merged while they were read
        return _past_answers(workspace, engine, before, progress)


def _past_answers(
    workspace: Workspace, engine: Engine, before: int, progress: Progress
) -> dict[str, list[dict[str, Any]]]:
    with rebuilt(workspace, engine, progress, before) as made:
        return engine.answers({name: table.files() for name, table in made.tables.items()})


@contextmanager
def rebuilt(
    workspace: Workspace, engine: Engine, progress: Progress, before: int | None = None
) -> Iterator[Rebuilt]:
    """Tables made from all objects, gone at the end of the block; raises Fatal when there is no object."""
    workspace.spill.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.spill, prefix=f"rebuilt-{os.getpid()}-") as name:
        tables = {table: Table(Path(name) / table) for table in TABLES}
        quarantine = Table(Path(name) / names.QUARANTINE)
        objects, loaded = {}, {}
        store = workspace.objects()
        for table in TABLES:
            topic = names.topic(workspace.settings.pipeline_id, table)
            objects[table] = landed_objects(store, workspace.settings.sink.topics_dir, topic)
            target = Target("batch", topic, tables[table], quarantine)
            loaded[table] = load_objects(
                workspace, engine, store, objects[table], target, table, progress, before
            )
        if not any(objects.values()):
            raise Fatal(
                f"there are no objects of {workspace.settings.pipeline_id} in {workspace.root}",
                "run 'pinpipe sink', or name the folder or store by PINPIPE_DATA, PINPIPE_OBJECTS__URL",
            )
        yield Rebuilt(tables, quarantine, objects, loaded)


def _check_covered(workspace: Workspace, made: Rebuilt, table: TableName) -> None:
    """Every row of the table and of the quarantine now must be of a record that an object still has.

    Where the new rows reach as far into an object as the old ones, it has them; else its end is looked up.
    """
    now, topic = workspace.table("batch", table), names.topic(workspace.settings.pipeline_id, table)
    by_start = {(found.name.partition, found.name.start): found for found in made.objects[table]}
    starts: dict[int, list[int]] = {}
    for found in made.objects[table]:
        starts.setdefault(found.name.partition, []).append(found.name.start)
    quarantine = workspace.quarantine("batch")
    with damage_named(f"{now.path} or {quarantine.path}"):
        old = _largest(now, quarantine, table, starts)
    new = _largest(made.tables[table], made.quarantine, table, starts)
    store, lost = workspace.objects(), set[str]()
    for (partition, start), offset in old.items():
        one = by_start.get((partition, start))
        is_there = one is not None and (
            offset <= new.get((partition, start), -1) or offset < end_offset(store, one.key)
        )
        if not is_there:
            lost.add(f"offset {offset:,} of partition {partition}")
    ends = made.tables[table].positions(made.sources(table))
    for source, position in now.positions(made.sources(table)).items():
        if position > ends[source]:
            lost.add(f"offset {position - 1:,} of partition {source.rpartition('/')[2]}")
    if lost:
        named = ", ".join(sorted(lost)[:_SHOWN]) + (", \u2026" if len(lost) > _SHOWN else "")
        raise Fatal(
            f"the tables hold rows of {topic} whose records no object has any more ({named})",
            "bring those objects back, or load without --full-refresh; nothing was changed",
        )


def _largest(
    clean: Table, quarantine: Table, table: TableName, starts: Mapping[int, Sequence[int]]
) -> dict[tuple[int, int], int]:
    """The largest offset among the rows that lie in each object, by partition and start; -1: in none."""
    found: dict[tuple[int, int], int] = {}
    own = ds.field("table_name") == table  # the quarantine is one for all tables
    for files, condition in ((clean.files(), None), (quarantine.files(), own)):
        stored = ds.dataset(files, format="parquet") if files else None
        for batch in stored.to_batches(columns=_PLACE, filter=condition) if stored else ():
            rows: Any = pa.Table.from_batches([batch]).drop_null()
            for group in rows.group_by("_partition").aggregate([("_offset", "list")]).to_pylist():
                partition, offsets = group["_partition"], sorted(group["_offset_list"])
                for start, offset in _largest_of(offsets, starts.get(partition, ())):
                    place = (partition, start)
                    found[place] = max(found.get(place, -1), offset)
    return found


def _largest_of(offsets: Sequence[int], starts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Of sorted offsets the largest from each start up to the next one, where there is one."""
    done = 0
    for start, following in pairwise((-1, *starts, float("inf"))):
        end = bisect_left(offsets, following)
        if end > done:
            yield int(start), offsets[end - 1]
        done = end
