"""Sink, load and compaction together: whoever loads, and whenever, has each record once."""

import json
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pyarrow.dataset as ds
import pytest
from pydantic import SecretStr

from pinterest_pipeline.config import Settings, load_settings
from pinterest_pipeline.errors import AlreadyRunning, BadInput
from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.landing import (
    connector_description,
    own_topics,
    run_backfill,
    run_compaction,
    run_sink,
    sink_problems,
    sink_rules,
    sink_store,
)
from pinterest_pipeline.pipeline import load_batch, prepare
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.sink.span import Span
from pinterest_pipeline.workspace import Workspace

POSTS = list(generate(40))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    settings = load_settings(data=tmp_path)
    sink = settings.sink.model_copy(update={"flush_size": 3, "flush_seconds": 0.1, "poll_seconds": 0.01})
    return Workspace(settings.model_copy(update={"sink": sink}))


def land(workspace: Workspace, first: int, last: int) -> None:
    """Append the posts from `first` to before `last`, and run the sink until all are objects."""
    log = workspace.topics_log()
    prepare(workspace.settings, "batch", log)
    for table in TABLES:
        topic = names.topic(workspace.settings.pipeline_id, table)
        rows = [wire_row(post[table]) for post in POSTS[first:last]]
        records = [Record(msgspec.json.encode(row), b"%d" % number) for number, row in enumerate(rows)]
        log.append(topic, records).result()
    stop = threading.Event()
    thread = threading.Thread(target=run_sink, args=(workspace, stop))
    thread.start()
    deadline = time.monotonic() + 30
    for topic in own_topics(workspace.settings):
        while not is_landed(log, topic) and time.monotonic() < deadline:
            stop.wait(0.01)
    stop.set()
    thread.join()
    assert all(is_landed(log, topic) for topic in own_topics(workspace.settings))
    log.close()


def is_landed(log: EventLog, topic: str) -> bool:
    return log.committed("sink", topic) == {part: end for part, end in log.ends(topic).items() if end}


def load(workspace: Workspace) -> int:
    """Lines read of all tables."""
    with workspace.engine() as engine:
        return sum(loaded.read for loaded in load_batch(workspace, engine).values())


@pytest.fixture
def slashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Workspace:
    """The same with a first folder as a person may write it."""
    monkeypatch.setenv("PINPIPE_SINK__TOPICS_DIR", "/of/objects/")
    monkeypatch.setenv("PINPIPE_SINK__FLUSH_SECONDS", "0.1")
    return Workspace(load_settings(data=tmp_path))


def test_who_reads_objects_looks_where_the_sink_lands_them(slashed: Workspace) -> None:
    land(slashed, 0, 4)
    assert load(slashed) == 4 * len(TABLES)
    assert run_compaction(slashed, 2**20)
    assert sink_problems(slashed) == []


def rows(workspace: Workspace) -> Mapping[str, int]:
    return {table: ds.dataset(workspace.table("batch", table).files()).count_rows() for table in TABLES}


def files(workspace: Workspace, folder: str) -> int:
    return sum(1 for _ in workspace.objects().list(folder))


def test_loads_before_and_after_a_compaction_read_each_record_once(workspace: Workspace) -> None:
    land(workspace, 0, 30)
    assert load(workspace) == 3 * 30
    was = rows(workspace)
    done = run_compaction(workspace, 2**20)
    assert sum(one.merged for one in done.values()) > sum(one.written for one in done.values()) > 0
    assert (files(workspace, "topics"), load(workspace)) == (0, 0)
    land(workspace, 30, 40)
    assert load(workspace) == 3 * 10
    assert sink_problems(workspace) == []
    shutil.rmtree(workspace.root / "tables")
    assert load(workspace) == 3 * 40
    assert {table: count - 10 for table, count in rows(workspace).items()} == was


def test_what_is_not_loaded_is_not_merged(workspace: Workspace) -> None:
    land(workspace, 0, 20)
    load(workspace)
    land(workspace, 20, 40)
    small = files(workspace, "topics")
    run_compaction(workspace, 2**20)
    assert 0 < files(workspace, "topics") < small
    assert load(workspace) == 3 * 20


def test_no_load_runs_beside_a_compaction(workspace: Workspace) -> None:
    land(workspace, 0, 3)
    with workspace.only_one("load"), pytest.raises(AlreadyRunning):
        run_compaction(workspace, 2**20)


def test_a_backfill_lands_the_same_lines_elsewhere(workspace: Workspace) -> None:
    land(workspace, 0, 20)
    run_backfill(workspace, None, "again/", Span())
    store = workspace.objects()
    found = {
        folder: sorted(line for one in store.list(folder) for line in store.get(one.key).splitlines())
        for folder in ("topics", "again")
    }
    assert found["topics"] == found["again"]
    assert len(found["again"]) == 3 * 20


def test_an_object_that_was_changed_is_a_problem(workspace: Workspace) -> None:
    land(workspace, 0, 5)
    store = workspace.objects()
    one = next(iter(store.list("topics")))
    content = store.get(one.key)
    store.delete(one.key)
    store.put_if_absent(one.key, content[:-2] + b"!\n")
    assert any("is not the one that was planned" in problem for problem in sink_problems(workspace))


def test_the_connector_is_described_for_the_bucket_of_the_settings() -> None:
    settings = Settings()
    objects = settings.objects.model_copy(update={"url": "s3://mine/prefix", "region": "eu-west-1"})
    found = connector_description(settings.model_copy(update={"objects": objects}))
    text = json.dumps(found)
    assert '"s3.bucket.name": "mine"' in text
    assert '"s3.region": "eu-west-1"' in text
    assert '"arn:aws:s3:::mine"' in text


def test_a_properties_file_that_is_not_there_is_named(workspace: Workspace) -> None:
    with pytest.raises(BadInput, match=r"nothing\.properties cannot be read"):
        run_sink(workspace, threading.Event(), Path("nothing.properties"))


def test_objects_go_to_our_url_before_the_files_bucket(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "sink.properties"
    file.write_text("topics=a\nflush.size=1\ns3.bucket.name=theirs\ns3.region=eu-west-1\n")
    rules = sink_rules(workspace.settings, file)
    keys = {"access_key_id": "a", "secret_access_key": SecretStr("s")}
    theirs = with_objects(workspace, **keys)
    assert sink_store(theirs, rules).where("k") == "s3://theirs/k"
    own = with_objects(workspace, url=(tmp_path / "ours").as_uri())
    assert sink_store(own, rules).where("k") == str(tmp_path / "ours" / "k")


def with_objects(workspace: Workspace, **changes: object) -> Workspace:
    objects = workspace.settings.objects.model_copy(update=changes)
    return Workspace(workspace.settings.model_copy(update={"objects": objects}))
