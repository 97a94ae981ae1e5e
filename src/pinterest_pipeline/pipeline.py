"""Joins the rooms: what both branches' loads share, the load of objects, the answers, the account."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pinterest_pipeline.cleaning.drift import added, kind_counts
from pinterest_pipeline.config import Settings, crash_at
from pinterest_pipeline.engines.base import Cleaned, Engine
from pinterest_pipeline.errors import Fatal, NoSuchObject, TopicExists, UnknownTopic
from pinterest_pipeline.eventlog.base import EventLog, StoredRecord
from pinterest_pipeline.eventlog.sequence import LAST_OFFSET, offset_of, sequence_number, shard_id
from pinterest_pipeline.eventlog.stream_log import StreamLog
from pinterest_pipeline.ledger.account import Evidence, TableAccount, account
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.landed import LandedObject, end_offset, in_steps, landed_objects
from pinterest_pipeline.posts.journal import accounts
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import landed_line, position_suffix
from pinterest_pipeline.records.names import BRANCHES, TABLES, Branch
from pinterest_pipeline.records.names import Table as TableName
from pinterest_pipeline.sink.rules import PIPELINE_GROUP
from pinterest_pipeline.tables.delta import Table
from pinterest_pipeline.workspace import Workspace

_READ_RECORDS = 5_000

Progress = Callable[[str, int, int | None], None]
"""Told of each step: its name, how much is done, how much there is (None where nobody knows)."""

EXPIRED: Final = "expired"
"""The running total of records that had left a stream before they were read."""
RESTARTS: Final = "restarts"
"""The running total of streams made anew that a table went on with."""
_NO_RULES: Final = ("read", "quarantined", EXPIRED, RESTARTS)


@dataclass(frozen=True)
class Loaded:
    """What one load took in: lines read, rows set aside, changes by rule, rows by field that drifted."""

    read: int = 0
    quarantined: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)
    drift: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Loaded") -> "Loaded":
        changes = Counter(self.changes) + Counter(other.changes)
        drift = added(self.drift, other.drift)
        return Loaded(self.read + other.read, self.quarantined + other.quarantined, changes, drift)


@dataclass(frozen=True)
class Target:
    """Where the records of one topic or stream go; hold the tables as long as the load lives."""

    branch: Branch
    source: str
    """What the positions belong to."""
    table: Table
    quarantine: Table
    every_version: bool = False


def prepare(settings: Settings, branch: Branch, log: EventLog | StreamLog) -> None:
    """Create a branch's own topics or streams where they are missing; several rooms may do so at once."""
    existing = set(log.topics())
    partitions = settings.log.partitions if branch == "batch" else settings.log.shards
    for table in TABLES:
        name = names.source(branch, settings.pipeline_id, table)
        if name not in existing:
            with suppress(TopicExists):
                log.create(name, partitions)


def say_nothing(_: str, __: int, ___: int | None) -> None:
    """A `Progress` for work that nobody watches."""


def load_batch(
    workspace: Workspace, engine: Engine, progress: Progress = say_nothing
) -> dict[TableName, Loaded]:
    """Load all objects that no commit has seen yet; running it again changes nothing."""
    with workspace.only_one("load"):
        store = workspace.objects()
        found = {}
        for table in TABLES:
            topic = names.topic(workspace.settings.pipeline_id, table)
            objects = landed_objects(store, workspace.settings.sink.topics_dir, topic)
            target = Target("batch", topic, workspace.table("batch", table), workspace.quarantine("batch"))
            found[table] = load_objects(workspace, engine, store, objects, target, table, progress)
        return found


def load_objects(
    workspace: Workspace,
    engine: Engine,
    store: ObjectStore,
    objects: Sequence[LandedObject],
    target: Target,
    table: TableName,
    progress: Progress,
    before: int | None = None,
) -> Loaded:
    """Load those of a topic's objects that the target has no commit of.

    With `before` (milliseconds since 1970) records that came later are passed over.
    """
    sources = {found.name.partition: object_source(found) for found in objects}
    done = target.table.positions(list(sources.values()))
    new = [found for found in objects if found.name.start >= done[sources[found.name.partition]]]
    loaded, count = Loaded(), 0
    for step in in_steps(new, workspace.settings.objects.fetch_bytes):
        progress(f"objects of {table}", count, len(new))
        last = {found.name.partition: found.key for found in step}
        ends = {sources[partition]: end_offset(store, key) for partition, key in last.items()}
        with (
            _fetched(workspace, store, step) as paths,
            engine.clean(table, "batch", paths, before) as cleaned,
        ):
            loaded += commit(target, cleaned, ends)
        count += len(step)
        progress(f"objects of {table}", count, len(new))
    return loaded


def object_source(found: LandedObject) -> str:
    """What the position of a table that an object moves belongs to."""
    return f"{found.name.topic}/{found.name.partition}"


@contextmanager
def _fetched(
    workspace: Workspace, store: ObjectStore, objects: Sequence[LandedObject]
) -> Iterator[Sequence[Path]]:
    """Local files with the objects' lines; copies go when the block ends."""
    workspace.spill.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace.spill, prefix=f"objects-{os.getpid()}-") as folder:
        yield store.fetch([found.key for found in objects], Path(folder))


def stream_source(stream: str, created_ms: int) -> str:
    """What a position of a stream belongs to: a stream that is made anew under its name begins at 0 again."""
    return f"{stream}@{created_ms}"


def made_key(stream: str) -> str:
    """Under which the commits of a table name when the stream was made that they were read from (ms)."""
    return f"{stream}/made"


@contextmanager
def spooled(workspace: Workspace, stream: str, records: Iterable[StoredRecord]) -> Iterator[Path]:
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


def commit(
    target: Target, cleaned: Cleaned, ends: Mapping[str, int], totals: Mapping[str, int] = {}
) -> Loaded:
    """Quarantine first, then the clean rows: a crash between the two repeats only what changes nothing.

    `ends` are the positions that the tables get; `totals` count what is no line that was read.
    """
    done = target.quarantine.positions(list(ends))
    bad = _not_yet_quarantined(cleaned.quarantined, target, done)
    if bad.num_rows:
        # A batch that died may have held more of a part: what is set aside of that is not to be forgotten.
        target.quarantine.append(bad, {key: max(end, done[key]) for key, end in ends.items()}, {})
        crash_at("load.quarantined")
    sums = {"read": cleaned.read, "quarantined": cleaned.quarantined.num_rows, **totals, **cleaned.changes}
    sums |= kind_counts(cleaned.drift)
    if target.every_version:
        target.table.append(cleaned.versions, ends, sums)
    else:
        target.table.upsert(cleaned.rows, ends, sums)
    return Loaded(cleaned.read, cleaned.quarantined.num_rows, cleaned.changes, cleaned.drift)


def _not_yet_quarantined(rows: pa.Table, target: Target, done: Mapping[str, int]) -> pa.Table:
    part = "_partition" if target.branch == "batch" else "_shard"
    is_new = [
        _position(row, target.branch) >= done.get(f"{target.source}/{row[part]}", 0)
        for row in rows.to_pylist()
    ]
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
    tables = {table: workspace.table(branch, table) for table in TABLES}
    sources = {name: table.files() for name, table in tables.items()}
    repeating = [name for name, table in tables.items() if table.keeps_versions()]
    return engine.answers(sources, dict.fromkeys(repeating, branch))


def changes(workspace: Workspace, branch: Branch) -> dict[str, dict[str, int]]:
    """How often each rule changed a value, over all loads: by table and rule."""
    counts = {table: workspace.table(branch, table).totals() for table in TABLES}
    return {
        table: {name: count for name, count in totals.items() if name not in _NO_RULES}
        for table, totals in counts.items()
    }


@dataclass(frozen=True)
class Lag:
    """How far each step of one partition or shard has come, in records; Kinesis does not count them."""

    source: str
    part: int
    end: int | None
    landed: int | None
    loaded: int | None
    behind_ms: int | None = None
    """In Kinesis: how long ago (milliseconds) what is not loaded yet came in; 0 when all is loaded."""


def lags(workspace: Workspace) -> list[Lag]:
    """Where every partition and shard of the pipeline stands."""
    return [lag for branch in BRANCHES for lag in branch_lags(workspace, branch)]


def branch_lags(workspace: Workspace, branch: Branch) -> list[Lag]:
    """The same of one branch."""
    if branch == "batch":
        with closing(workspace.topics_log()) as topics:
            return _topic_lags(workspace, topics)
    with closing(workspace.streams_log()) as streams:
        return _stream_lags(workspace, streams)


def _topic_lags(workspace: Workspace, log: EventLog) -> list[Lag]:
    found = []
    existing = set(log.topics())
    for table in TABLES:
        topic = names.topic(workspace.settings.pipeline_id, table)
        if topic not in existing:
            continue
        ends, landed = log.ends(topic), log.committed(PIPELINE_GROUP, topic)
        keys = {part: f"{topic}/{part}" for part in ends}
        loaded = workspace.table("batch", table).positions(list(keys.values()))
        for part, end in ends.items():
            found.append(Lag(topic, part, end, landed.get(part, 0), loaded[keys[part]]))
    return found


def _stream_lags(workspace: Workspace, log: StreamLog) -> list[Lag]:
    found = []
    existing = set(log.topics())
    for table in TABLES:
        name = names.stream(workspace.settings.pipeline_id, table)
        if name not in existing:
            continue
        source = stream_source(name, log.stream(name).created_ms)
        ends, first = log.ends(name), log.beginnings(name)
        keys = {part: f"{source}/{shard_id(part)}" for part in first}
        loaded = workspace.table("stream", table).positions(list(keys.values()))
        for part, start in first.items():  # a shard may begin above its parents
            position = loaded[keys[part]]
            if part in ends:
                count, done = ends[part] - start, max(position - start, 0)
                found.append(Lag(name, part, count, count, done))
            else:
                found.append(Lag(name, part, None, None, None, _behind_ms(log, name, part, position)))
    return found


def _behind_ms(log: StreamLog, stream: str, shard: int, position: int) -> int:
    """How long ago the first record behind a position came in; 0 when there is none."""
    following = log.read(stream, shard, position, 1)
    return max(1, log.now() - following[0].timestamp) if following else 0


def table_account(workspace: Workspace, branch: Branch, table: TableName) -> TableAccount:
    """The account of one table, recomputed from receipts, landed records and Delta files."""
    try:
        return _table_account(workspace, branch, table)
    except NoSuchObject:  # small objects were merged while they were read
        return _table_account(workspace, branch, table)


def _table_account(workspace: Workspace, branch: Branch, table: TableName) -> TableAccount:
    receipts = sorted(workspace.receipts.glob(f"{branch}-*.jsonl"))
    source = names.source(branch, workspace.settings.pipeline_id, table)
    clean = workspace.table(branch, table)
    evidence = Evidence(
        landed=_landed(workspace, branch, source),
        clean=clean.files(),
        quarantine=workspace.quarantine(branch).files(),
        receipts=receipts,
        every_version=clean.keeps_versions(),
    )
    problems: list[str] = []
    if branch == "stream":
        evidence, problems = _as_far_as_it_is_there(workspace, source, clean, evidence)
    found = account(branch, table, evidence, accounts(receipts)[table])
    return replace(found, problems=[*(f"{branch} {table}: {text}" for text in problems), *found.problems])


def _as_far_as_it_is_there(
    workspace: Workspace, stream: str, table: Table, evidence: Evidence
) -> tuple[Evidence, list[str]]:
    """What a stream can still show of its records, and what it cannot."""
    totals, key = table.totals(), made_key(stream)
    made = table.positions([key])[key]
    problems = []
    if missed := totals.get(EXPIRED, 0):
        problems.append(f"{missed} records expired before they were read")
    log = workspace.streams_log()
    try:
        created, places = log.stream(stream).created_ms, _first_places(log, stream)
    except UnknownTopic:
        return replace(evidence, landed=()), [
            *problems,
            f"the stream {stream} is gone: nothing can be recounted",
        ]
    finally:
        log.close()
    if totals.get(RESTARTS, 0) or made not in (0, created):
        problems.append(
            f"the stream {stream} was deleted and made anew: what the earlier one held cannot be recounted"
        )
        evidence = replace(evidence, since_ms=created)
    return replace(evidence, beginnings=places), problems


def _first_places(log: StreamLog, stream: str) -> dict[str, str]:
    """Of each shard the sequence number of the first record that is there, or one behind all that were."""
    ends = log.ends(stream)
    places: dict[str, str] = {}
    for shard, beginning in log.beginnings(stream).items():
        found = log.read(stream, shard, beginning, 1)
        places[shard_id(shard)] = sequence_number(found[0].offset if found else ends.get(shard, LAST_OFFSET))
    return places


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
        with spooled(workspace, source, _everything(log, source)) as path:
            yield [path]
    finally:
        log.close()


def _everything(log: StreamLog, source: str) -> Iterator[StoredRecord]:
    for part, position in log.beginnings(source).items():
        while records := log.read(source, part, position, _READ_RECORDS):
            yield from records
            position = records[-1].offset + 1
