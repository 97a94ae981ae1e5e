"""Joins the rooms: the loads of both branches into their Delta tables."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from pinterest_pipeline.config import Settings
from pinterest_pipeline.engines.base import Cleaned, Engine
from pinterest_pipeline.errors import Fatal, TopicExists, UnknownTopic
from pinterest_pipeline.eventlog.base import EventLog, StoredRecord
from pinterest_pipeline.eventlog.sequence import offset_of, sequence_number, shard_id
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.streams import readable
from pinterest_pipeline.ledger.account import Evidence, TableAccount, account
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.landed import LandedObject, end_offset, in_steps, landed_objects
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import landed_line, position_suffix
from pinterest_pipeline.records.names import TABLES, Branch
from pinterest_pipeline.records.names import Table as TableName
from pinterest_pipeline.records.receipts import Account, read_accounts
from pinterest_pipeline.sink.rules import PIPELINE_GROUP
from pinterest_pipeline.workspace import Workspace

_READ_RECORDS = 5_000


@dataclass(frozen=True)
class Loaded:
    """What one load took in: lines read, rows set aside, changes by rule."""

    read: int = 0
    quarantined: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Loaded") -> "Loaded":
        changes = Counter(self.changes) + Counter(other.changes)
        return Loaded(self.read + other.read, self.quarantined + other.quarantined, changes)


def prepare(settings: Settings, branch: Branch, log: EventLog) -> None:
    """Create a branch's own topics or streams where they are missing; several rooms may do so at once."""
    existing = set(log.topics())
    partitions = settings.log.partitions if branch == "batch" else settings.log.shards
    for table in TABLES:
        name = names.source(branch, settings.pipeline_id, table)
        if name not in existing:
            with suppress(TopicExists):
                log.create(name, partitions)


def load_batch(workspace: Workspace, engine: Engine) -> dict[TableName, Loaded]:
    """Load all objects that no commit has seen yet; running it again changes nothing."""
    with workspace.only_one("load"):
        store = workspace.objects()
        return {table: _load_objects(workspace, engine, store, table) for table in TABLES}


def _load_objects(workspace: Workspace, engine: Engine, store: ObjectStore, table: TableName) -> Loaded:
    topic = names.topic(workspace.settings.pipeline_id, table)
    objects = landed_objects(store, workspace.settings.sink.topics_dir, topic)
    sources = {found.name.partition: f"{topic}/{found.name.partition}" for found in objects}
    done = workspace.table("batch", table).positions(list(sources.values()))
    new = [found for found in objects if found.name.start >= done[sources[found.name.partition]]]
    loaded = Loaded()
    for step in in_steps(new, workspace.settings.objects.fetch_bytes):
        last = {found.name.partition: found.key for found in step}
        ends = {sources[partition]: end_offset(store, key) for partition, key in last.items()}
        with _fetched(workspace, store, step) as paths, engine.clean(table, "batch", paths) as cleaned:
            loaded += _commit(workspace, "batch", table, cleaned, ends, topic)
    return loaded


@contextmanager
def _fetched(
    workspace: Workspace, store: ObjectStore, objects: Sequence[LandedObject]
) -> Iterator[Sequence[Path]]:
    """Local files with the objects' lines; copies go when the block ends."""
    workspace.spill.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.spill, prefix=f"objects-{os.getpid()}-") as folder:
        yield store.fetch([found.key for found in objects], Path(folder))


class StreamLoader:
    """Micro-batches of the three streams into their Delta tables. One process at a time; hold `only_one`."""

    def __init__(self, workspace: Workspace, engine: Engine, log: SqliteStreamLog) -> None:
        self._workspace = workspace
        self._engine = engine
        self._log = log
        self._tables = {table: workspace.table("stream", table) for table in TABLES}

    def step(self) -> dict[TableName, Loaded]:
        """Load what is new in each stream, at most one micro-batch of it.

        A stream that is missing, perhaps deleted under us, is made; its table keeps what it holds.
        """
        try:
            return self._step_tables()
        except UnknownTopic:
            prepare(self._workspace.settings, "stream", self._log)
            return self._step_tables()

    def _step_tables(self) -> dict[TableName, Loaded]:
        return {table: self._step_table(table) for table in TABLES}

    def _step_table(self, table: TableName) -> Loaded:
        stream = names.stream(self._workspace.settings.pipeline_id, table)
        source = _stream_source(self._log, stream)
        shards = self._log.stream(stream).shards
        done = self._tables[table].positions([f"{source}/{shard_id(shard.number)}" for shard in shards])
        positions = {shard.number: done[f"{source}/{shard_id(shard.number)}"] for shard in shards}
        records = self._read(stream, readable(shards, positions, self._log.beginnings(stream)))
        if not records:
            return Loaded()
        ends = {f"{source}/{shard_id(record.partition)}": record.offset + 1 for record in records}
        with (
            _spooled(self._workspace, stream, records) as path,
            self._engine.clean(table, "stream", [path]) as cleaned,
        ):
            return _commit(self._workspace, "stream", table, cleaned, ends, source)

    def _read(self, stream: str, positions: Mapping[int, int]) -> list[StoredRecord]:
        most = max(1, self._workspace.settings.stream.batch_records // len(positions))
        return [
            record
            for shard, position in positions.items()
            for record in self._log.read(stream, shard, position, most)
        ]


def _stream_source(log: EventLog, stream: str) -> str:
    """What a position of a stream belongs to: a stream that is made anew under its name begins at 0 again."""
    return f"{stream}@{log.describe(stream).created_ms}"


@contextmanager
def _spooled(workspace: Workspace, stream: str, records: Iterable[StoredRecord]) -> Iterator[Path]:
    """The records as lines of a file, so that both branches are read by the same code."""
    workspace.spill.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=workspace.spill, prefix=f"lines-{os.getpid()}-", suffix=".json"
    ) as file:
        file.writelines(stream_line(stream, record) + b"\n" for record in records)
        file.flush()
        yield Path(file.name)


def stream_line(stream: str, record: StoredRecord) -> bytes:
    """A record of a stream as the streaming branch reads it."""
    position = {
        "_stream": stream,
        "_shard": shard_id(record.partition),
        "_sequence": sequence_number(record.offset),
        "_timestamp": record.timestamp,
    }
    return landed_line(record.value, position_suffix(position))


def _commit(
    workspace: Workspace,
    branch: Branch,
    table: TableName,
    cleaned: Cleaned,
    ends: Mapping[str, int],
    source: str,
) -> Loaded:
    """Quarantine first, then the clean rows: a crash between the two repeats only what changes nothing."""
    quarantine = workspace.quarantine(branch)
    bad = _not_yet_quarantined(cleaned.quarantined, branch, source, quarantine.positions(list(ends)))
    if bad.num_rows:
        quarantine.append(bad, ends, {})
    totals = {"read": cleaned.read, "quarantined": cleaned.quarantined.num_rows, **cleaned.changes}
    workspace.table(branch, table).upsert(cleaned.rows, ends, totals)
    return Loaded(cleaned.read, cleaned.quarantined.num_rows, cleaned.changes)


def _not_yet_quarantined(rows: pa.Table, branch: Branch, source: str, done: Mapping[str, int]) -> pa.Table:
    part = "_partition" if branch == "batch" else "_shard"
    is_new = [_position(row, branch) >= done.get(f"{source}/{row[part]}", 0) for row in rows.to_pylist()]
    return rows.filter(pa.array(is_new, pa.bool_()))


def _position(row: Mapping[str, Any], branch: Branch) -> float:
    """The row's place in its log; a row that lost its place counts as new."""
    if branch == "batch":
        return float("inf") if row["_offset"] is None else row["_offset"]
    return float("inf") if row["_sequence"] is None else offset_of(row["_sequence"])


def answers(workspace: Workspace, engine: Engine, branch: Branch) -> dict[str, list[dict[str, Any]]]:
    """The eight answers of a branch, by name; raises when a table is not there yet."""
    if not workspace.has_tables(branch):
        command = "pinpipe load" if branch == "batch" else "pinpipe stream"
        raise Fatal(f"the tables of the {branch} branch are not in {workspace.root} yet", f"run '{command}'")
    return engine.answers({table: workspace.table(branch, table).files() for table in TABLES})


def changes(workspace: Workspace, branch: Branch) -> dict[str, dict[str, int]]:
    """How often each rule changed a value, over all loads: by table and rule."""
    counts = {table: workspace.table(branch, table).totals() for table in TABLES}
    return {
        table: {rule: count for rule, count in totals.items() if rule not in ("read", "quarantined")}
        for table, totals in counts.items()
    }


@dataclass(frozen=True)
class Lag:
    """How far each step of one partition or shard has come; counts of records."""

    source: str
    part: int
    end: int
    landed: int
    loaded: int


def lags(workspace: Workspace) -> list[Lag]:
    """Where every partition and shard of the pipeline stands."""
    topics, streams = workspace.topics_log(), workspace.streams_log()
    try:
        return _lags(workspace, "batch", topics) + _lags(workspace, "stream", streams)
    finally:
        topics.close()
        streams.close()


def _lags(workspace: Workspace, branch: Branch, log: EventLog) -> list[Lag]:
    found = []
    existing = set(log.topics())
    for table in TABLES:
        source = names.source(branch, workspace.settings.pipeline_id, table)
        if source not in existing:
            continue
        ends = log.ends(source)
        prefix = source if branch == "batch" else _stream_source(log, source)
        keys = {part: f"{prefix}/{part if branch == 'batch' else shard_id(part)}" for part in ends}
        loaded = workspace.table(branch, table).positions(list(keys.values()))
        landed = log.committed(PIPELINE_GROUP, source) if branch == "batch" else ends
        first = log.beginnings(source) if branch == "stream" else {}  # a shard may begin above its parents
        for part, end in ends.items():
            start = first.get(part, 0)
            done = max(loaded[keys[part]] - start, 0)
            found.append(Lag(source, part, end - start, landed.get(part, 0) - start, done))
    return found


def table_account(workspace: Workspace, branch: Branch, table: TableName) -> TableAccount:
    """The account of one table, recomputed from receipts, landed records and Delta files."""
    receipts = sorted(workspace.receipts.glob(f"{branch}-*.jsonl"))
    source = names.source(branch, workspace.settings.pipeline_id, table)
    evidence = Evidence(
        landed=_landed(workspace, branch, source),
        clean=workspace.table(branch, table).files(),
        quarantine=workspace.quarantine(branch).files(),
        receipts=receipts,
    )
    return account(branch, table, evidence, _sent(receipts, table))


def _sent(receipts: Sequence[Path], table: TableName) -> Account:
    total = Account()
    for path in receipts:
        with path.open("rb") as lines:
            total += read_accounts(lines)[table]
    return total


def _landed(workspace: Workspace, branch: Branch, source: str) -> Iterator[Sequence[Path]]:
    """Steps of files with every landed record: the objects of a topic, or a copy of a stream's log."""
    if branch == "batch":
        store = workspace.objects()
        objects = landed_objects(store, workspace.settings.sink.topics_dir, source)
        for step in in_steps(objects, workspace.settings.objects.fetch_bytes):
            with _fetched(workspace, store, step) as paths:
                yield paths
        return
    log = workspace.streams_log()
    try:
        with _spooled(workspace, source, _everything(log, source)) as path:
            yield [path]
    finally:
        log.close()


def _everything(log: EventLog, source: str) -> Iterator[StoredRecord]:
    for part, position in log.beginnings(source).items():
        while records := log.read(source, part, position, _READ_RECORDS):
            yield from records
            position = records[-1].offset + 1
