"""Tables made anew from all objects, and answers as of a past time: the same bytes as at first."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pinterest_pipeline.config import EngineSettings, Settings, SinkSettings
from pinterest_pipeline.engines.base import clean_schema
from pinterest_pipeline.errors import Fatal
from pinterest_pipeline.eventlog.base import Part, Record
from pinterest_pipeline.landing import run_compaction
from pinterest_pipeline.objects.folder import FolderStore
from pinterest_pipeline.objects.landed import landed_objects
from pinterest_pipeline.pipeline import answers, changes, load_batch, prepare, table_account
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.rebuilding import full_refresh, past_answers
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.sink.compaction import Compacted
from pinterest_pipeline.workspace import Workspace
from tests.branches import JsonPost, land
from tests.oracle import answers as oracle_answers

POSTS: list[JsonPost] = [{table: wire_row(post[table]) for table in TABLES} for post in generate(120)]
DAY_MS = 86_400_000
FIRST_MS = 1_767_225_600_000  # 2026-01-01


@pytest.fixture
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A working folder whose engine is DuckDB, or Spark where a test asks for it."""
    name = getattr(request, "param", "duckdb")
    if name == "spark":
        request.getfixturevalue("spark")
    return Workspace(
        Settings(data=tmp_path, engine=EngineSettings(name=name), sink=SinkSettings(flush_size=20))
    )


on_both_engines = pytest.mark.parametrize(
    "workspace",
    ["duckdb", pytest.param("spark", marks=[pytest.mark.services, pytest.mark.timeout(1_800)])],
    indirect=True,
)


def send(workspace: Workspace, posts: list[JsonPost], day: int, junk: bytes = b"") -> None:
    """Append posts that came on a day since 2026-01-01, and land them."""
    log = workspace.topics_log()
    prepare(workspace.settings, "batch", log)
    for table in TABLES:
        values = [json.dumps(post[table]).encode() for post in posts] + [junk] * bool(junk)
        records = [
            Record(value, b"k", timestamp=FIRST_MS + day * DAY_MS + n) for n, value in enumerate(values)
        ]
        log.append(names.topic(workspace.settings.pipeline_id, table), records).result()
    log.close()
    land(workspace)


def load(workspace: Workspace) -> bytes:
    with workspace.engine() as engine:
        load_batch(workspace, engine)
    return answered(workspace)


def refresh(workspace: Workspace) -> bytes:
    with workspace.engine() as engine:
        full_refresh(workspace, engine, lambda *_: None)
    return answered(workspace)


def answered(workspace: Workspace) -> bytes:
    with workspace.engine() as engine:
        return json.dumps(answers(workspace, engine, "batch")).encode()


def as_of(workspace: Workspace, day: int) -> object:
    with workspace.engine() as engine:
        return past_answers(workspace, engine, FIRST_MS + day * DAY_MS, lambda *_: None)


def spoil(workspace: Workspace) -> None:
    """What an older rule may have left: every category is wrong."""
    table = workspace.table("batch", "pin")
    rows = table.head(1_000_000)
    spoiled = [row | {"category": "wrong"} for row in rows]
    table.upsert(pa.Table.from_pylist(spoiled, schema=clean_schema("pin", "batch")), {}, {})


def check_proved(workspace: Workspace) -> None:
    for table in TABLES:
        assert table_account(workspace, "batch", table).problems == []


@on_both_engines
def test_a_refresh_gives_the_same_bytes(workspace: Workspace) -> None:
    send(workspace, POSTS[:80], 0, junk=b"no JSON")
    before = load(workspace)
    counts, quarantined = changes(workspace, "batch"), workspace.quarantine("batch").head(99)
    assert refresh(workspace) == before
    assert changes(workspace, "batch") == counts
    key = lambda row: (row["table_name"], row["_partition"], row["_offset"])  # noqa: E731
    assert sorted(workspace.quarantine("batch").head(99), key=key) == sorted(quarantined, key=key)
    check_proved(workspace)


def test_a_refresh_mends_what_is_wrong_and_the_next_load_goes_on(workspace: Workspace) -> None:
    send(workspace, POSTS[:60], 0, junk=b"\xff")
    right = load(workspace)
    spoil(workspace)
    assert answered(workspace) != right
    assert refresh(workspace) == right
    send(workspace, POSTS[60:], 1)
    assert json.loads(load(workspace)) == oracle_answers(POSTS)
    check_proved(workspace)


def test_a_refresh_takes_in_what_no_load_has_seen_and_needs_no_table(workspace: Workspace) -> None:
    send(workspace, POSTS[:60], 0)
    assert json.loads(refresh(workspace)) == oracle_answers(POSTS[:60])
    send(workspace, POSTS[60:], 1)
    assert json.loads(refresh(workspace)) == oracle_answers(POSTS)
    with workspace.engine() as engine:
        assert not any(loaded.read for loaded in load_batch(workspace, engine).values())
    check_proved(workspace)


def test_a_refresh_that_would_lose_rows_is_refused(workspace: Workspace) -> None:
    send(workspace, POSTS, 0)
    before = load(workspace)
    topic = names.topic(workspace.settings.pipeline_id, "geo")
    objects = landed_objects(workspace.objects(), workspace.settings.sink.topics_dir, topic)
    first, last = objects[0], objects[-1]
    middle = objects[len(objects) // 2]
    wanted = (first, middle, last)
    kept = {found.key: (workspace.root / "objects" / found.key).read_bytes() for found in wanted}
    for found in wanted:
        why = f"offset {found.name.start + 19} of partition {found.name.partition}"
        (workspace.root / "objects" / found.key).unlink()
        with pytest.raises(Fatal, match=why):
            refresh(workspace)
        (workspace.root / "objects" / found.key).write_bytes(kept[found.key])
    assert answered(workspace) == before
    assert refresh(workspace) == before


def test_a_refresh_that_would_lose_what_was_set_aside_is_refused(workspace: Workspace) -> None:
    send(workspace, [], 0, junk=b"no JSON")
    send(workspace, POSTS, 1)
    load(workspace)
    topic = names.topic(workspace.settings.pipeline_id, "user")
    first = landed_objects(workspace.objects(), workspace.settings.sink.topics_dir, topic)[0]
    (workspace.root / "objects" / first.key).unlink()
    with pytest.raises(Fatal, match="offset 0 of partition"):
        refresh(workspace)
    assert workspace.quarantine("batch").rows() == 3


@pytest.mark.parametrize(
    "point", ["refresh.quarantine", "refresh.table", "refresh.table:2", "table.before_commit:9"]
)
def test_killed_anywhere_a_refresh_may_be_run_again(workspace: Workspace, point: str) -> None:
    send(workspace, POSTS[:60], 0, junk=b"no JSON")
    right = load(workspace)
    spoil(workspace)
    command = [sys.executable, "-m", "pinterest_pipeline", "load", "--full-refresh"]
    environment = os.environ | {"PINPIPE_DATA": str(workspace.root), "PINPIPE_CRASH_AT": point}
    process = subprocess.run(command, env=environment, cwd=workspace.root, capture_output=True, timeout=120)
    assert process.returncode == -signal.SIGKILL, process.stderr
    load(workspace)
    assert refresh(workspace) == right
    check_proved(workspace)
    assert list(workspace.spill.iterdir()) == []


def test_without_objects_there_is_nothing_to_answer_from(workspace: Workspace) -> None:
    for work in (refresh, lambda found: as_of(found, 1)):
        with pytest.raises(Fatal, match="there are no objects"):
            work(workspace)


def test_a_past_answer_goes_on_when_small_objects_are_merged_under_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(workspace, POSTS, 0)
    load(workspace)
    listed = []

    def merge_after_listing(*arguments: Any) -> Any:
        found = landed_objects(*arguments)
        listed.append(found)
        if len(listed) == 1:
            run_compaction(workspace, 2**20)
        return found

    monkeypatch.setattr("pinterest_pipeline.rebuilding.landed_objects", merge_after_listing)
    assert as_of(workspace, 1) == oracle_answers(POSTS)
    assert len(listed[0]) > len(listed[1])


class _Merging:
    """Fetches objects, and has small ones merged before the first of them are read."""

    def __init__(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        self.merged: Mapping[Part, Compacted] = {}
        fetch = FolderStore.fetch

        def fetch_and_merge(store: FolderStore, keys: Sequence[str], folder: Path) -> Sequence[Path]:
            paths = fetch(store, keys, folder)
            self.merged = self.merged or run_compaction(workspace, 2**20)
            return paths

        monkeypatch.setattr(FolderStore, "fetch", fetch_and_merge)

    def check(self) -> None:
        assert sum(done.merged for done in self.merged.values()) > len(TABLES)


def test_a_past_answer_goes_on_when_what_it_reads_is_merged(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(workspace, POSTS, 0)
    load(workspace)
    merging = _Merging(workspace, monkeypatch)
    assert as_of(workspace, 1) == oracle_answers(POSTS)
    merging.check()


def test_an_account_goes_on_when_what_it_reads_is_merged(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(workspace, POSTS, 0)
    load(workspace)
    merging = _Merging(workspace, monkeypatch)
    check_proved(workspace)
    merging.check()


@on_both_engines
def test_answers_as_of_a_past_time(workspace: Workspace) -> None:
    changed = [post | {"pin": post["pin"] | {"category": "later"}} for post in POSTS[:40]]
    send(workspace, POSTS[:60], 0, junk=b"no JSON")
    send(workspace, [*POSTS[60:], *changed], 2)
    now = load(workspace)
    assert as_of(workspace, 1) == oracle_answers(POSTS[:60])
    assert as_of(workspace, 3) == json.loads(now)
    assert as_of(workspace, 0) == oracle_answers([])
    assert answered(workspace) == now
