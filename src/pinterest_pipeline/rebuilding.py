"""Tables of the batch branch made from all objects again: to replace them, or to answer as of a past time."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from pinterest_pipeline.config import crash_at
from pinterest_pipeline.engines.base import Engine
from pinterest_pipeline.errors import Fatal
from pinterest_pipeline.objects.landed import LandedObject, landed_objects
from pinterest_pipeline.pipeline import Loaded, Progress, Target, load_objects, object_source
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.records.names import Table as TableName
from pinterest_pipeline.tables.delta import Table
from pinterest_pipeline.workspace import Workspace


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
    with rebuilt(workspace, engine, progress, before) as made:
        return engine.answers({name: table.files() for name, table in made.tables.items()})


@contextmanager
def rebuilt(
    workspace: Workspace, engine: Engine, progress: Progress, before: int | None = None
) -> Iterator[Rebuilt]:
    """Tables made from all objects, gone at the end of the block."""
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
        yield Rebuilt(tables, quarantine, objects, loaded)


def _check_covered(workspace: Workspace, made: Rebuilt, table: TableName) -> None:
    """Every row of the table and of the quarantine now must be of a record that an object still has."""
    firsts: dict[int, int] = {}
    for found in made.objects[table]:
        firsts.setdefault(found.name.partition, found.name.start)
    now, topic = workspace.table("batch", table), names.topic(workspace.settings.pipeline_id, table)
    lost = {
        partition: f"offsets from {lowest:,}, objects from {firsts[partition]:,}"
        if partition in firsts
        else "no objects"
        for partition, lowest in [
            *_lowest(now.files()).items(),
            *_lowest(workspace.quarantine("batch").files(), ds.field("table_name") == table).items(),
        ]
        if lowest < firsts.get(partition, lowest + 1)
    }
    ends = made.tables[table].positions(made.sources(table))
    for source, position in now.positions(made.sources(table)).items():
        if position > ends[source]:
            lost[int(source.rpartition("/")[2])] = f"loaded to {position:,}, objects to {ends[source]:,}"
    if lost:
        parts = "; ".join(f"partition {partition}: {why}" for partition, why in sorted(lost.items()))
        raise Fatal(
            f"the table of {topic} holds rows whose records no object has any more ({parts})",
            "bring those objects back, or load without --full-refresh; nothing was changed",
        )


def _lowest(files: Sequence[str], condition: ds.Expression | None = None) -> dict[int, int]:
    """The smallest offset of each partition among the rows of files that have a place."""
    found: dict[int, int] = {}
    if not files:
        return found
    stored = ds.dataset(list(files), format="parquet")
    for batch in stored.to_batches(columns=["_partition", "_offset"], filter=condition):
        rows: Any = pa.Table.from_batches([batch])
        for row in rows.group_by("_partition").aggregate([("_offset", "min")]).to_pylist():
            lowest, partition = row["_offset_min"], row["_partition"]
            if lowest is not None and partition is not None:
                found[partition] = min(found.get(partition, lowest), lowest)
    return found
