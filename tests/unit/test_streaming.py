"""A stream flows into its table once, and whatever is not as it was stops the loader with what to do."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from typer.testing import CliRunner

from pinterest_pipeline import pipeline
from pinterest_pipeline.cli import app
from pinterest_pipeline.config import KinesisSettings, Settings, StreamSettings
from pinterest_pipeline.engines.base import Engine
from pinterest_pipeline.errors import BadInput, RecordsExpired, SettingError, StreamReplaced
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.sqlite_writer import now_ms
from pinterest_pipeline.eventlog.streams import HOUR_MS
from pinterest_pipeline.pipeline import answers, table_account
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.streaming import StreamLoader, Told, run_loader
from pinterest_pipeline.workspace import Workspace

USER = names.stream("124df56aef51", "user")


class Stage:
    """A working folder, its streams by a clock that is moved, and loaders in it."""

    def __init__(self, folder: Path, engine: Engine, **settings: Any) -> None:
        self.settings = Settings(
            data=folder, stream=StreamSettings(**settings), kinesis=KinesisSettings(transition_seconds=0)
        )
        self.workspace = Workspace(self.settings)
        self.engine = engine
        self.ahead_ms = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.log = SqliteStreamLog(folder / "streams.sqlite", 2**20, clock=lambda: now_ms() + self.ahead_ms)

    def loader(self, **settings: Any) -> StreamLoader:
        changed = self.settings.model_copy(
            update={"stream": self.settings.stream.model_copy(update=settings)}
        )
        return StreamLoader(Workspace(changed), self.engine, self.log)

    def make(self, stream: str = USER, shards: int = 1) -> None:
        """A stream as Kinesis' API makes it: its records expire after a day."""
        self.log.create_stream(stream, shards, {})

    def put(self, *inds: int, stream: str = USER, age: int = 30) -> None:
        records = [Record(b'{"ind":%d,"age":%d}' % (ind, age), b"%d" % ind) for ind in inds]
        self.log.append(stream, records).result()

    def load(self, loader: StreamLoader) -> int:
        """Load until nothing is left; returns how many records came."""
        count = 0
        while read := sum(loaded.read for loaded in loader.step().values()):
            count += read
        return count

    def inds(self) -> list[int]:
        rows = self.workspace.table("stream", "user").head(1_000)
        return sorted(row["ind"] for row in rows)

    def problems(self) -> list[str]:
        return table_account(self.workspace, "stream", "user").problems


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Workspace(Settings(data=tmp_path_factory.mktemp("engine"))).engine() as engine:
        yield engine


@pytest.fixture
def stages(tmp_path: Path, engine: Engine) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(**settings: Any) -> Stage:
        made.append(Stage(tmp_path / f"data-{len(made)}", engine, **settings))
        return made[-1]

    yield make
    for stage in made:
        stage.log.close()


def test_a_stream_made_anew_stops_the_loader_until_it_is_restarted(stages: Callable[..., Stage]) -> None:
    stage = stages()
    stage.make()
    stage.put(1, 2, 3)
    assert stage.load(stage.loader()) == 3
    stage.log.delete(USER)
    stage.make()
    stage.put(3, 4, age=40)
    for _ in range(2):
        with pytest.raises(StreamReplaced, match=f"pinpipe stream --restart {USER}") as caught:
            stage.loader().step()
        assert caught.value.exit_code == 4
    assert stage.inds() == [1, 2, 3]
    loader = stage.loader()
    assert loader.restart(USER)
    assert not loader.restart(USER)
    assert stage.load(loader) == 2
    assert stage.inds() == [1, 2, 3, 4]
    assert stage.load(stage.loader()) == 0
    assert any("made anew" in problem for problem in stage.problems())


def test_a_stream_made_anew_under_a_running_loader_stops_it(stages: Callable[..., Stage]) -> None:
    stage = stages()
    loader = stage.loader()
    loader.step()
    stage.log.delete(USER)
    with pytest.raises(StreamReplaced, match="it is gone"):
        loader.step()
    stage.make()
    with pytest.raises(StreamReplaced, match="was made at"):
        loader.step()


class Replaced(SqliteStreamLog):
    """A stream of users that has more shards gives way to one of a single shard while it is looked at."""

    def beginnings(self, topic: str) -> dict[int, int]:
        if topic == USER and len(super().beginnings(USER)) > 1:
            self.delete(USER)
            self.create_stream(USER, 1, {})
        return super().beginnings(topic)


def test_a_stream_made_anew_with_fewer_shards_within_a_step_stops_the_loader(
    stages: Callable[..., Stage], tmp_path: Path
) -> None:
    stage = stages()
    path = tmp_path / "data-0" / "streams.sqlite"
    with closing(Replaced(path, 2**20, clock=lambda: now_ms() + stage.ahead_ms)) as log:
        stage.make(shards=2)
        with pytest.raises(StreamReplaced, match="was made at"):
            StreamLoader(stage.workspace, stage.engine, log).step()
        stage.log.split(USER, 0, 2**127)
        stage.ahead_ms = 25 * HOUR_MS  # shard 0 is forgotten: the next stream has none of these numbers
        with pytest.raises(StreamReplaced, match="was made at"):
            StreamLoader(stage.workspace, stage.engine, log).step()


def test_a_stream_that_is_gone_is_not_made_again_in_silence(stages: Callable[..., Stage]) -> None:
    stage = stages()
    stage.make()
    stage.put(1)
    stage.load(stage.loader())
    stage.log.delete(USER)
    with pytest.raises(StreamReplaced, match="it is gone"):
        stage.loader().step()
    assert USER not in stage.log.topics()
    assert any("is gone" in problem for problem in stage.problems())
    loader = stage.loader()
    assert loader.restart(USER)
    stage.put(2)
    assert stage.load(loader) == 1
    assert stage.inds() == [1, 2]


def test_only_a_stream_of_ours_can_be_restarted(stages: Callable[..., Stage]) -> None:
    with pytest.raises(BadInput, match=USER):
        stages().loader().restart("someone-elses")


def test_records_that_expired_unread_are_never_passed_over_in_silence(stages: Callable[..., Stage]) -> None:
    stage = stages()
    stage.make()
    stage.put(1, 2)
    stage.load(stage.loader())
    stage.put(3, 4, 5)
    stage.ahead_ms += 25 * HOUR_MS
    stage.put(6)
    with pytest.raises(RecordsExpired, match=r"3 records of .* expired before they were read") as caught:
        stage.loader().step()
    assert (caught.value.exit_code, stage.inds()) == (4, [1, 2])
    assert stage.load(stage.loader(on_expired="skip")) == 1
    assert stage.load(stage.loader()) == 0
    assert stage.inds() == [1, 2, 6]
    assert any("3 records expired before they were read" in problem for problem in stage.problems())


def test_a_shard_that_expired_whole_is_missed_too(stages: Callable[..., Stage]) -> None:
    stage = stages()
    stage.make()
    stage.put(1)
    stage.log.update_shard_count(USER, 2)
    stage.ahead_ms += 49 * HOUR_MS
    stage.put(2)
    with pytest.raises(RecordsExpired, match="1 records"):
        stage.loader().step()
    loader = stage.loader(on_expired="skip")
    while not stage.inds():
        loader.step()
    assert stage.inds() == [2]


def test_what_was_loaded_in_time_may_expire(stages: Callable[..., Stage]) -> None:
    stage = stages()
    stage.make()
    stage.put(1, 2)
    stage.load(stage.loader())
    stage.ahead_ms += 25 * HOUR_MS
    stage.put(3)
    assert stage.load(stage.loader()) == 1
    found = table_account(stage.workspace, "stream", "user")
    assert found.problems == []
    assert (found.landed, found.clean, found.expired) == (1, 1, 2)


def test_append_keeps_every_version_and_the_newest_one_answers(stages: Callable[..., Stage]) -> None:
    merged, appended = stages(), stages(mode="append")
    for stage in (merged, appended):
        for stream in (names.stream("124df56aef51", table) for table in TABLES):
            stage.make(stream)
            stage.put(1, 2, stream=stream)
        loader = stage.loader()
        stage.put(1, 2, 1, age=20)
        stage.load(loader)
        stage.put(1, age=60)
        stage.load(loader)
    assert merged.inds() == [1, 2]
    assert appended.inds() == [1, 1, 1, 1, 2, 2]
    assert answers(merged.workspace, merged.engine, "stream") == answers(
        appended.workspace, appended.engine, "stream"
    )
    counts = [table_account(stage.workspace, "stream", "user") for stage in (merged, appended)]
    assert [found.problems for found in counts] == [[], []]
    assert [(found.landed, found.clean, found.duplicate) for found in counts] == [(6, 2, 4), (6, 6, 0)]
    appended.put(3)
    with pytest.raises(SettingError, match="PINPIPE_STREAM__MODE"):
        appended.loader(mode="merge").step()


@pytest.mark.parametrize("bound", [{"batch_records": 8}, {"batch_bytes": 1024}])
def test_a_micro_batch_is_bounded_and_every_shard_has_its_turn(
    stages: Callable[..., Stage], bound: dict[str, int]
) -> None:
    stage = stages()
    stage.make(shards=4)
    stage.put(*range(400))
    loader = stage.loader(**bound)
    sizes = []
    while read := loader.step()["user"].read:
        sizes.append(read)
        assert len(sizes) < 120
    assert sum(sizes) == 400
    assert max(sizes) < 100


def test_where_a_stream_stands_is_known(stages: Callable[..., Stage]) -> None:
    stage = stages()
    stage.make(shards=2)
    loader = stage.loader()
    stage.put(1, 2, 3)
    stage.load(loader)
    stage.ahead_ms += 60_000
    stage.put(4)
    stage.ahead_ms += 30_000
    found = next(one for one in loader.standing() if one.stream == USER)
    assert found.behind == 1
    assert found.newest_row_seconds is not None
    assert found.oldest_unread_seconds is not None
    assert 90 <= found.newest_row_seconds < 120
    assert 30 <= found.oldest_unread_seconds < 60
    stage.load(loader)
    found = next(one for one in loader.standing() if one.stream == USER)
    assert replace(found, newest_row_seconds=None) == replace(
        found, behind=0, newest_row_seconds=None, oldest_unread_seconds=None
    )


def test_the_loop_tells_what_it_did_and_ends_when_nothing_is_left(stages: Callable[..., Stage]) -> None:
    stage = stages(batch_records=10)
    stage.make()
    stage.put(*range(25))
    stage.log.append(USER, [Record(b"bad")]).result()
    told: list[Told] = []
    run_loader(stage.loader(), 60.0, Event(), told.extend, until_empty=True)
    users = [one for one in told if one.table == "user"]
    assert sum(one.loaded.read for one in users) == 26
    assert sum(one.loaded.quarantined for one in users) == 1
    assert users[-1].standing.behind == 0


def test_the_commands_say_how_fresh_the_tables_are(stages: Callable[..., Stage]) -> None:
    stage = stages()
    stage.make()
    stage.put(1, 2)
    environment = {"PINPIPE_DATA": str(stage.workspace.root), "COLUMNS": "120"}
    run = CliRunner()
    told = run.invoke(app, ["stream", "--until-empty", "--json"], env=environment)
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [(line["table"], line["read"], line["behind"]) for line in lines if line["read"]] == [
        ("user", 2, 0)
    ]
    stage.put(3)
    said = json.loads(run.invoke(app, ["status", "--json"], env=environment).stdout)["streams"]
    mine = next(one for one in said if one["stream"] == USER)
    assert mine["behind"] == 1
    assert mine["oldest_unread_seconds"] >= 0
    shown = run.invoke(app, ["status"], env=environment).stdout
    assert "oldest unread" in shown
    again = run.invoke(app, ["stream", "--until-empty", "--restart", USER], env=environment)
    assert "nothing to restart" in again.stderr
    assert "user: 1 read, 0 quarantined; 0 behind, newest row" in again.stderr


def test_a_bad_row_is_set_aside_once_whatever_the_batch_held_that_died(
    stages: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch behind a crash holds less of one shard, and bad rows of another."""

    def die(point: str) -> None:
        if point == "load.quarantined":
            raise KeyboardInterrupt

    bad, stage = Record(b"x" * 300, b"1"), stages(batch_bytes=1_024)
    stage.make(shards=2)
    loader = stage.loader()
    loader.step()
    stage.log.put(USER, [bad] * 5, ["0" * 32] * 5).result()
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "crash_at", die)
        with pytest.raises(KeyboardInterrupt):
            loader.step()
    stage.log.put(USER, [bad] * 2, ["f" * 32] * 2).result()
    assert stage.load(stage.loader()) == 7
    assert stage.workspace.quarantine("stream").rows() == 7
