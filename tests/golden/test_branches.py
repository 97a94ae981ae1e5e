"""Both branches from the log to the answers, without HTTP: the answers do not depend on the way."""

import gzip
import json
import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.config import EngineSettings, KinesisSettings, Settings, SinkSettings, StreamSettings
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.outcome import compared, disagreements, outcome, write_report
from pinterest_pipeline.pipeline import lags, load_batch
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import BRANCHES, TABLES, Branch
from pinterest_pipeline.streaming import StreamLoader
from pinterest_pipeline.workspace import Workspace
from tests.branches import JsonPost, append, land
from tests.oracle import answers as oracle_answers

DATA = Path(__file__).parents[2] / "../shared/data"


@pytest.fixture
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A working folder whose engine is DuckDB, or the one that a test names by `on_both_engines`."""
    name = getattr(request, "param", "duckdb")
    if name == "spark":
        request.getfixturevalue("spark")  # one session for all tests
    return Workspace(
        Settings(
            data=tmp_path,
            engine=EngineSettings(name=name),
            sink=SinkSettings(flush_size=50),
            stream=StreamSettings(batch_records=90),
            kinesis=KinesisSettings(transition_seconds=0),
        )
    )


on_both_engines = pytest.mark.parametrize(
    "workspace",
    ["duckdb", pytest.param("spark", marks=[pytest.mark.services, pytest.mark.timeout(1_800)])],
    indirect=True,
)


def load(workspace: Workspace, branches: Sequence[Branch] = BRANCHES) -> None:
    with workspace.engine() as engine:
        if "batch" in branches:
            load_batch(workspace, engine)
        log = workspace.streams_log()
        loader = StreamLoader(workspace, engine, log)
        while any(loaded.read for loaded in loader.step().values()):
            pass
        log.close()


def check(workspace: Workspace, expected: dict[str, Any]) -> None:
    result = outcome(workspace)
    assert result.problems == []
    assert disagreements(result) == []
    for branch in BRANCHES:
        assert result.answers[branch] == expected
    assert all(lag.end == lag.loaded for lag in lags(workspace))


def real_posts() -> list[JsonPost]:
    path = DATA / "real_posts_168.jsonl.gz"
    if not path.exists():
        pytest.skip("the real posts are not on this machine")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@on_both_engines
@pytest.mark.parametrize("count", [88, 168])
def test_real_posts_give_their_known_answers(workspace: Workspace, count: int) -> None:
    append(workspace, real_posts()[:count])
    land(workspace)
    load(workspace)
    check(workspace, json.loads((DATA / "real_answers_88_168.json").read_text())[str(count)])


def test_fields_that_drift_are_counted_and_reported_alike_in_both_branches(workspace: Workspace) -> None:
    posts: list[JsonPost] = [{table: wire_row(post[table]) for table in TABLES} for post in generate(30)]
    for post in posts[:3]:
        post["pin"] |= {"colour": "red", "Title": post["pin"].pop("title"), "tag_list": ["a", "b"]}
    append(workspace, posts)
    land(workspace)
    load(workspace)
    result = outcome(workspace)
    kinds = ("letter_case", "missing", "new", "retyped")
    for branch in BRANCHES:
        counts = result.changes[branch]["pin"]
        assert [counts[f"drift.{kind}"] for kind in kinds] == [3, 3, 3, 3]
        assert not any(rule.startswith("drift") for rule in result.changes[branch]["geo"])
    assert disagreements(result) == []
    assert "a field of no column: kept in _rescued_data" in write_report(workspace, result).read_text()


def test_branches_that_were_not_sent_the_same_are_no_account_that_holds(workspace: Workspace) -> None:
    posts: list[JsonPost] = [{table: wire_row(post[table]) for table in TABLES} for post in generate(3)]
    append(workspace, posts[:2])
    log = workspace.streams_log()
    for table in TABLES:
        stream = names.stream(workspace.settings.pipeline_id, table)
        log.append(stream, [Record(json.dumps(posts[2][table]).encode())]).result()
    log.close()
    land(workspace)
    load(workspace)
    found = outcome(workspace)
    assert found.account()["balanced"]  # each branch for itself
    account = compared(found).account()
    assert not account["balanced"]
    assert "users_joined_by_year: the branches answer differently" in account["problems"]


def test_sending_again_in_another_order_between_loads_changes_nothing(workspace: Workspace) -> None:
    posts: list[JsonPost] = [{table: wire_row(post[table]) for table in TABLES} for post in generate(200)]
    expected = oracle_answers(posts)
    append(workspace, posts[:150])
    land(workspace)
    load(workspace)
    shuffled = random.Random(7).sample(posts, len(posts))
    append(workspace, shuffled)
    land(workspace)
    load(workspace)
    load(workspace)
    check(workspace, expected)
    account = outcome(workspace).accounts
    for branch in BRANCHES:
        for table in TABLES:
            counts = account[branch][table]
            assert (counts.landed, counts.clean, counts.duplicate) == (350, 200, 150)


def test_a_stream_is_loaded_whole_and_in_order_across_reshards(workspace: Workspace) -> None:
    posts: list[JsonPost] = [{table: wire_row(post[table]) for table in TABLES} for post in generate(120)]
    expected = oracle_answers(posts)
    older: list[JsonPost] = [
        {table: row | {"title": "old"} if table == "pin" else row for table, row in post.items()}
        for post in posts
    ]
    log = workspace.streams_log()
    assert isinstance(log, SqliteStreamLog)
    append(workspace, older)
    for change in (
        lambda stream: log.update_shard_count(stream, 3),
        lambda stream: log.merge(stream, *(shard.number for shard in log.stream(stream).open_shards[:2])),
        lambda stream: log.split(stream, log.stream(stream).open_shards[0].number, 2**100),
    ):
        for table in TABLES:
            change(names.stream(workspace.settings.pipeline_id, table))
        append(workspace, posts)
    log.close()
    land(workspace)
    load(workspace)
    check(workspace, expected)
    counts = outcome(workspace).accounts["stream"]["pin"]
    assert (counts.landed, counts.clean, counts.duplicate) == (480, 120, 360)
    assert sum(lag.end or 0 for lag in lags(workspace)) == 3 * 480 + 3 * 480


@on_both_engines
def test_what_is_bad_is_set_aside_with_its_reason(workspace: Workspace) -> None:
    posts: list[JsonPost] = [{table: wire_row(post[table]) for table in TABLES} for post in generate(30)]
    expected = oracle_answers(posts)
    append(workspace, posts)
    for branch in BRANCHES:
        log = workspace.topics_log() if branch == "batch" else workspace.streams_log()
        source = names.source(branch, workspace.settings.pipeline_id, "pin")
        bad = (
            b"not json",
            None,
            b"[]",
            b'{"index":5,"follower_count":"many"}',
            b'{"title":"no ind"}',
            b"\xff",
        )
        log.append(source, [Record(value) for value in bad]).result()
        log.close()
    land(workspace)
    load(workspace)
    check(workspace, expected)
    for branch in BRANCHES:
        rows = workspace.quarantine(branch).head(20)
        assert len(rows) == 6
        assert all(row["reason"] and row["table_name"] == "pin" for row in rows)
        assert any("many" in row["reason"] for row in rows)
        assert any("not json" in row["raw"] for row in rows)


@on_both_engines
def test_a_crash_between_quarantine_and_clean_repeats_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(workspace, [{table: {"ind": "bad"} for table in TABLES} | {"geo": {"ind": 1}}] * 20)
    land(workspace)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pinterest_pipeline.tables.delta.Table.upsert", die)
        for branch in BRANCHES:
            with pytest.raises(KeyboardInterrupt):
                load(workspace, [branch])
    append(workspace, [{table: {"ind": "worse"} for table in TABLES} | {"geo": {"ind": 2}}] * 3)
    land(workspace)
    load(workspace)
    result = outcome(workspace)
    assert result.problems == []
    for branch in BRANCHES:
        assert result.accounts[branch]["pin"].quarantined == 23
        assert result.accounts[branch]["geo"].clean == 2


def test_what_a_killed_process_left_in_the_spill_folder_is_swept(workspace: Workspace) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = [workspace.spill / f"duckdb-{dead.pid}-x", workspace.spill / f"lines-{dead.pid}-x.json"]
    mine = workspace.spill / f"lines-{os.getpid()}-x.json"
    left[0].mkdir(parents=True)
    (left[0] / "block").touch()
    left[1].touch()
    mine.touch()
    with workspace.engine():
        assert mine.exists()
        assert not any(path.exists() for path in left)


def test_a_working_folder_with_a_blank_in_its_name_works(tmp_path: Path) -> None:
    spaced = Workspace(Settings(data=tmp_path / "my data é", sink=SinkSettings(flush_size=50)))
    posts: list[JsonPost] = [{table: wire_row(post[table]) for table in TABLES} for post in generate(30)]
    append(spaced, posts)
    land(spaced)
    load(spaced)
    check(spaced, oracle_answers(posts))
