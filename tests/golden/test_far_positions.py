"""Streams whose sequence numbers are as large and as far apart as those of AWS."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from pinterest_pipeline.config import Settings, StreamSettings
from pinterest_pipeline.eventlog.base import READ_BYTES, Receipt, Record, Refusal, StoredRecord
from pinterest_pipeline.eventlog.sequence import offset_of, sequence_number
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.sqlite_writer import now_ms
from pinterest_pipeline.eventlog.stream_log import ShardRecords, StreamLog
from pinterest_pipeline.eventlog.streams import Expired, Shard, Stream
from pinterest_pipeline.outcome import outcome
from pinterest_pipeline.pipeline import lags, prepare
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.records.names import Table as TableName
from pinterest_pipeline.streaming import StreamLoader
from pinterest_pipeline.workspace import Workspace

FIRST = offset_of("49579844037727333356165064238440708846556371693205002258")  # from the pages of AWS
GAP = 2**77 + 3
FAR_AWAY = 2**181
DAY_MS = 24 * 60 * 60 * 1_000


def far(offset: int) -> int:
    return FIRST + GAP * offset


def near(position: int) -> int:
    """The position in the file: 0, or behind a record."""
    return 0 if position <= FIRST else (position - 1 - FIRST) // GAP + 1


class FarLog:
    """A StreamLog over a file of streams, which tells of offsets as AWS would; it stands in for AWS alone."""

    def __init__(self, log: SqliteStreamLog) -> None:
        self._log = log

    def append(self, topic: str, records: Sequence[Record]) -> Future[list[Receipt | Refusal]]:
        done: Future[list[Receipt | Refusal]] = Future()
        found = self._log.append(topic, records).result()
        done.set_result(
            [structs.replace(one, offset=far(one.offset)) for one in found if isinstance(one, Receipt)]
        )
        return done

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int = READ_BYTES
    ) -> list[StoredRecord]:
        found = self._log.read(topic, partition, near(offset), max_records, max_bytes)
        return [structs.replace(record, offset=far(record.offset)) for record in found]

    def get(
        self, stream: str, shard: int, offset: int, max_records: int, max_bytes: int = READ_BYTES
    ) -> ShardRecords:
        found = self._log.get(stream, shard, near(offset), max_records, max_bytes)
        return structs.replace(found, records=self.read(stream, shard, offset, max_records, max_bytes))

    def stream(self, name: str) -> Stream:
        known = self._log.stream(name)
        return structs.replace(known, shards=tuple(map(self._shard, known.shards)))

    def _shard(self, shard: Shard) -> Shard:
        start = far(shard.start)
        end = start if shard.closed_ms is None else far(shard.end - 1) + 1
        return structs.replace(shard, start=start, beginning=start, end=max(start, end))

    def beginnings(self, topic: str) -> dict[int, int]:
        return {shard.number: shard.beginning for shard in self.stream(topic).shards}

    def ends(self, topic: str) -> dict[int, int]:
        return {}

    def expired(self, stream: str, positions: Mapping[int, int]) -> dict[int, Expired]:
        return {}

    def create(self, topic: str, partitions: int) -> None:
        self._log.create(topic, partitions)

    def delete(self, topic: str) -> None:
        self._log.delete(topic)

    def topics(self) -> list[str]:
        return self._log.topics()

    def now(self) -> int:
        return self._log.now()

    def close(self) -> None:
        self._log.close()


def opened(workspace: Workspace) -> SqliteStreamLog:
    """The file of streams, at a time that is ahead by what a file says."""
    ahead = workspace.root / "ahead-ms"
    return SqliteStreamLog(
        workspace.root / "streams.sqlite",
        2**20,
        clock=lambda: now_ms() + (int(ahead.read_text()) if ahead.exists() else 0),
    )


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    def streams_log(self: Workspace) -> StreamLog:
        return FarLog(opened(self))

    monkeypatch.setattr(Workspace, "streams_log", streams_log)
    return Workspace(Settings(data=tmp_path, stream=StreamSettings(batch_records=30)))


def load(workspace: Workspace) -> int:
    """How many records a new loader found."""
    with workspace.engine() as engine, closing(workspace.streams_log()) as log:
        loader, count = StreamLoader(workspace, engine, log), 0
        while found := sum(loaded.read for loaded in loader.step().values()):
            count += found
    return count


def test_a_stream_with_the_numbers_of_aws_is_loaded_once_and_accounted_for(workspace: Workspace) -> None:
    posts = [{table: wire_row(post[table]) for table in TABLES} for post in generate(60)]
    workspace.receipts.mkdir()
    with closing(workspace.streams_log()) as log:
        prepare(workspace.settings, "stream", log)
        for turn in range(2):
            send(workspace, log, posts[: 40 + 20 * turn], turn)
            if turn == 0:
                assert any(lag.behind_ms for lag in lags(workspace))
                assert load(workspace) == 3 * 40
                assert load(workspace) == 0
                reshard(workspace)
    assert load(workspace) == 3 * 60 + 1
    assert load(workspace) == 0
    assert not any(lag.behind_ms for lag in lags(workspace))
    result = outcome(workspace, ("stream",))
    assert result.problems == []
    counts = result.accounts["stream"]["pin"]
    assert (counts.acknowledged, counts.landed, counts.clean, counts.duplicate) == (101, 101, 60, 40)
    assert counts.quarantined == 1
    assert all(offset_of(row["_sequence"]) > FAR_AWAY for row in result.quarantined["stream"])


def send(
    workspace: Workspace, log: StreamLog, posts: Sequence[Mapping[TableName, Mapping[str, object]]], turn: int
) -> None:
    """Append the posts, in the second turn a bad pin too, and keep the receipts as the emulator does."""
    with (workspace.receipts / f"stream-{turn}.jsonl").open("w") as journal:
        for number, table in enumerate(TABLES):
            rows = [post[table] for post in posts]
            inds = [int(str(post["geo"]["ind"])) for post in posts]
            values = [json.dumps(row).encode() for row in rows]
            if turn and table == "pin":
                inds, values = [*inds, 7], [*values, b'{"index": 7, "follower_count": "many"}']
            records = [Record(value, b"%d" % ind) for value, ind in zip(values, inds, strict=True)]
            found = log.append(names.stream(workspace.settings.pipeline_id, table), records).result()
            places = [
                {"shard": f"shardId-{one.partition:012d}", "sequence": sequence_number(one.offset)}
                for one in found
                if isinstance(one, Receipt)
            ]
            journal.write(json.dumps({"request": number, "table": table, "ind": inds}) + "\n")
            journal.write(json.dumps({"request": number, "outcomes": places, "tries": 1}) + "\n")


def reshard(workspace: Workspace) -> None:
    with closing(opened(workspace)) as log:
        for table in TABLES:
            log.update_shard_count(names.stream(workspace.settings.pipeline_id, table), 3)


def test_what_expired_after_it_was_loaded_is_no_fault(workspace: Workspace) -> None:
    posts = [{table: wire_row(post[table]) for table in TABLES} for post in generate(30)]
    workspace.receipts.mkdir()
    with closing(workspace.streams_log()) as log, closing(opened(workspace)) as file:
        prepare(workspace.settings, "stream", log)
        for table in TABLES:
            file.retain(names.stream(workspace.settings.pipeline_id, table), lambda _: 24)
        send(workspace, log, posts, 0)
        assert load(workspace) == 90
        (workspace.root / "ahead-ms").write_text(str(DAY_MS + 60_000))
        send(workspace, log, posts[:10], 2)
        assert load(workspace) == 31
    result = outcome(workspace, ("stream",))
    assert result.problems == []
    assert result.accounts["stream"]["geo"].landed == 10
