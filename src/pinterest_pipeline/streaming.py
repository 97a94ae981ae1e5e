"""Streams into their Delta tables in micro-batches, for as long as it takes.

A stream has one checkpoint: the positions that its own table carries. Each commit of a table also names the
stream that it was read from by the time it was made, so that another stream of its name is not taken for it.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from pinterest_pipeline.config import crash_at
from pinterest_pipeline.engines.base import Engine, clean_schema
from pinterest_pipeline.errors import BadInput, RecordsExpired, StreamReplaced, UnknownTopic
from pinterest_pipeline.eventlog.base import StoredRecord
from pinterest_pipeline.eventlog.sequence import shard_id
from pinterest_pipeline.eventlog.stream_log import StreamLog
from pinterest_pipeline.eventlog.streams import Expired, Stream, readable
from pinterest_pipeline.pipeline import (
    EXPIRED,
    RESTARTS,
    Loaded,
    Target,
    commit,
    made_key,
    prepare,
    spooled,
    stream_source,
)
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.records.names import Table as TableName
from pinterest_pipeline.tables.delta import Table
from pinterest_pipeline.workspace import Workspace

TELL_SECONDS = 10.0
_log = structlog.get_logger("stream")


@dataclass(frozen=True)
class Standing:
    """How far one stream has come into its table. Ages are in seconds; None where there is no such record."""

    stream: str
    behind: int | None
    """Records that are not in the table yet; None where nobody counts them, as in Kinesis."""
    newest_row_seconds: float | None
    """How long ago the newest row of the table was put into the stream."""
    oldest_unread_seconds: float | None
    """How long ago the oldest record that is not in the table yet was."""


@dataclass(frozen=True)
class Told:
    """What a loader has to say of one stream: since it last did, and where it stands."""

    table: TableName
    loaded: Loaded
    standing: Standing


class StreamLoader:
    """Micro-batches of the three streams into their Delta tables. One process at a time; hold `only_one`."""

    def __init__(self, workspace: Workspace, engine: Engine, log: StreamLog) -> None:
        self._settings = workspace.settings
        self._workspace = workspace
        self._engine = engine
        self._log = log
        self._tables = {table: workspace.table("stream", table) for table in TABLES}
        self._quarantine = workspace.quarantine("stream")
        self._seen: dict[str, int] = {}
        """When each stream was made that this process has read."""
        self._turn = 0

    def step(self) -> dict[TableName, Loaded]:
        """Load what is new in each stream, at most one micro-batch of it.

        Raises StreamReplaced when a table was read from another stream than the one that has its name now,
        and RecordsExpired when records left the stream before they were read, unless they may be skipped.
        """
        return {table: self._step_table(table) for table in TABLES}

    def restart(self, stream: str) -> bool:
        """Have the table of a stream go on with the one that has its name now; False when it does already.

        The table keeps what it holds. A stream that is gone is made. Raises BadInput for any other name.
        """
        table = self._table_of(stream)
        prepare(self._settings, "stream", self._log)
        made = self._log.stream(stream).created_ms
        if self._read_from(table, stream) in (None, made):
            return False
        nothing = clean_schema(table, "stream").empty_table()
        target = self._tables[table]
        write = target.append if self._keeps_versions else target.upsert
        write(nothing, {made_key(stream): made}, {RESTARTS: 1})
        self._seen.pop(stream, None)
        return True

    def standing(self) -> list[Standing]:
        """Where each stream stands."""
        return [
            standing(self._log, names.stream(self._settings.pipeline_id, name), table)
            for name, table in self._tables.items()
        ]

    @property
    def _keeps_versions(self) -> bool:
        return self._settings.stream.mode == "append"

    def _table_of(self, stream: str) -> TableName:
        known = {names.stream(self._settings.pipeline_id, table): table for table in TABLES}
        if stream not in known:
            raise BadInput(f"'{stream}' is no stream of this pipeline", f"name one of {', '.join(known)}")
        return known[stream]

    def _read_from(self, table: TableName, stream: str) -> int | None:
        """When the stream was made that the table was read from (ms); None before its first record."""
        key = made_key(stream)
        return self._tables[table].positions([key])[key] or self._seen.get(stream)

    def _stream(self, table: TableName, stream: str) -> Stream:
        """The stream as it is now; made if nobody has ever read it."""
        try:
            return self._log.stream(stream)
        except UnknownTopic:
            if before := self._read_from(table, stream):
                raise _replaced(stream, before, None) from None
        prepare(self._settings, "stream", self._log)
        return self._log.stream(stream)

    def _step_table(self, table: TableName) -> Loaded:
        stream = names.stream(self._settings.pipeline_id, table)
        known = self._stream(table, stream)
        source, made = stream_source(stream, known.created_ms), made_key(stream)
        beginnings = self._log.beginnings(stream)
        keys = {shard: f"{source}/{shard_id(shard)}" for shard in beginnings}
        done = self._tables[table].positions([made, *keys.values()])
        _check_same(stream, done[made] or self._seen.get(stream, 0), known.created_ms)
        self._seen[stream] = known.created_ms
        positions = {shard: done[key] for shard, key in keys.items()}
        expired = self._expired(stream, positions)
        positions |= {shard: missed.position for shard, missed in expired.items()}
        there = [shard for shard in known.shards if shard.number in beginnings]  # some may just have gone
        records = self._read(stream, readable(there, positions, beginnings))
        _check_same(stream, known.created_ms, self._stream(table, stream).created_ms)
        if not records and not expired:
            return Loaded()
        crash_at("stream.read")
        ends = {shard: missed.position for shard, missed in expired.items()}
        ends |= {record.partition: record.offset + 1 for record in records}
        target = Target("stream", source, self._tables[table], self._quarantine, self._keeps_versions)
        with (
            spooled(self._workspace, stream, records) as path,
            self._engine.clean(table, "stream", [path]) as cleaned,
        ):
            moved = {keys[shard]: end for shard, end in ends.items()} | {made: known.created_ms}
            missed = sum(one.records for one in expired.values())
            return commit(target, cleaned, moved, {EXPIRED: missed} if missed else {})

    def _read(self, stream: str, positions: Mapping[int, int]) -> list[StoredRecord]:
        """A micro-batch: each shard gives its share of what fits, and another one is the first each time."""
        found: list[StoredRecord] = []
        settings = self._settings.stream
        share, room = max(1, settings.batch_records // max(1, len(positions))), settings.batch_bytes
        self._turn += 1
        for shard in _turned(list(positions), self._turn):
            if len(found) >= settings.batch_records or room <= 0:
                break
            records = self._log.read(stream, shard, positions[shard], share, room)
            room -= sum(len(record.value or b"") for record in records)
            found += records
        # What expired just before it was read comes to light the next time.
        late = {shard: missed.position for shard, missed in self._log.expired(stream, positions).items()}
        firsts = {record.partition: record.offset for record in reversed(found)}
        whole = {shard for shard, first in firsts.items() if shard not in late or first < late[shard]}
        return [record for record in found if record.partition in whole]

    def _expired(self, stream: str, positions: Mapping[int, int]) -> dict[int, Expired]:
        """What has expired unread; raises RecordsExpired if that is not to be."""
        expired = self._log.expired(stream, positions)
        if not expired:
            return {}
        shards = ", ".join(f"{shard_id(shard)}: {one.records:,}" for shard, one in expired.items())
        count = sum(one.records for one in expired.values())
        problem = f"{count:,} records of {stream} expired before they were read ({shards})"
        if self._settings.stream.on_expired == "stop":
            raise RecordsExpired(
                problem,
                "they are lost; PINPIPE_STREAM__ON_EXPIRED=skip goes on behind them, and 'pinpipe verify'"
                " will name them",
            )
        _log.warning(f"{problem}; going on behind them")
        return expired


def _check_same(stream: str, before: int, now: int) -> None:
    """Raises StreamReplaced when the stream was made at another time (ms) than before; 0: never read."""
    if before not in (0, now):
        raise _replaced(stream, before, now)


def _replaced(stream: str, before: int, now: int | None) -> StreamReplaced:
    found = "it is gone" if now is None else f"the one that has its name now was made at {_time(now)}"
    return StreamReplaced(
        f"the stream {stream} that its table was read from (made at {_time(before)}) was deleted: {found}",
        f"to go on with a new one: pinpipe stream --restart {stream}; the table keeps what it holds",
    )


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def _positions(table: Table, source: str, shards: Sequence[int]) -> dict[int, int]:
    keys = {shard: f"{source}/{shard_id(shard)}" for shard in shards}
    done = table.positions(list(keys.values()))
    return {shard: done[key] for shard, key in keys.items()}


def _turned(shards: Sequence[int], turn: int) -> Iterator[int]:
    first = turn % max(1, len(shards))
    yield from (*shards[first:], *shards[:first])


def standing(log: StreamLog, stream: str, table: Table) -> Standing:
    """Where one stream stands; raises UnknownTopic."""
    known, beginnings, ends = log.stream(stream), log.beginnings(stream), log.ends(stream)
    positions = _positions(table, stream_source(stream, known.created_ms), list(beginnings))
    unread = {shard: max(positions[shard], first) for shard, first in beginnings.items()}
    unread = {shard: place for shard, place in unread.items() if place < ends.get(shard, place + 1)}
    oldest = [
        record.timestamp for shard, place in unread.items() for record in log.read(stream, shard, place, 1)
    ]
    newest = table.newest_timestamp()
    return Standing(
        stream,
        sum(ends[shard] - place for shard, place in unread.items()) if ends.keys() >= unread.keys() else None,
        None if newest is None else _age(log, newest),
        _age(log, min(oldest)) if oldest else None,
    )


def _age(log: StreamLog, timestamp: int) -> float:
    return max(0.0, (log.now() - timestamp) / 1000)


def standings(workspace: Workspace) -> list[Standing]:
    """Where each stream of the pipeline stands that is there."""
    log = workspace.streams_log()
    try:
        existing = set(log.topics())
        return [
            standing(log, stream, workspace.table("stream", table))
            for table in TABLES
            if (stream := names.stream(workspace.settings.pipeline_id, table)) in existing
        ]
    finally:
        log.close()


@contextmanager
def stream_loader(workspace: Workspace) -> Iterator[StreamLoader]:
    """The one loader of a working folder; raises AlreadyRunning."""
    with workspace.only_one("stream"), workspace.engine() as engine:
        log = workspace.streams_log()
        try:
            yield StreamLoader(workspace, engine, log)
        finally:
            log.close()


def run_loader(
    loader: StreamLoader,
    poll_seconds: float,
    stop: threading.Event,
    tell: Callable[[list[Told]], None],
    *,
    until_empty: bool,
) -> None:
    """Load until told to stop or, if asked, until nothing is left; tell now and then what was loaded."""
    sums: dict[TableName, Loaded] = dict.fromkeys(TABLES, Loaded())
    told_at = -TELL_SECONDS
    while not stop.is_set():
        began = time.monotonic()
        loaded = loader.step()
        sums = {table: sums[table] + loaded[table] for table in TABLES}
        is_idle = not any(one.read for one in loaded.values())
        if is_idle and until_empty:
            break
        if any(one.read for one in sums.values()) and began - told_at >= TELL_SECONDS:
            tell(_told(loader, sums))
            sums, told_at = dict.fromkeys(TABLES, Loaded()), began
        if not until_empty:
            stop.wait(max(0.0, poll_seconds - (time.monotonic() - began)))
    if any(one.read for one in sums.values()):
        tell(_told(loader, sums))


def _told(loader: StreamLoader, sums: Mapping[TableName, Loaded]) -> list[Told]:
    return [Told(table, sums[table], found) for table, found in zip(TABLES, loader.standing(), strict=True)]
