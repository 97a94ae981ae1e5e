"""Joins the sink with its log and its store: land, land again, merge, check."""

import threading
from collections.abc import Iterator
from pathlib import Path

import structlog

from pinterest_pipeline.config import Settings
from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.eventlog.base import EventLog, Part
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.store import open_store
from pinterest_pipeline.pipeline import prepare
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import TABLES
from pinterest_pipeline.sink.backfill import backfill
from pinterest_pipeline.sink.compaction import Compacted, compact
from pinterest_pipeline.sink.connector import read_connector
from pinterest_pipeline.sink.msk_connect import connector_properties, custom_plugin
from pinterest_pipeline.sink.properties import parse_properties
from pinterest_pipeline.sink.replay import replay
from pinterest_pipeline.sink.rules import PIPELINE_GROUP, Rules, pipeline_rules
from pinterest_pipeline.sink.span import Span
from pinterest_pipeline.sink.verification import manifest_problems
from pinterest_pipeline.sink.worker import Sink
from pinterest_pipeline.workspace import Workspace

_log = structlog.get_logger("sink")


def own_topics(settings: Settings) -> tuple[str, ...]:
    """The pipeline's three topics."""
    return tuple(names.topic(settings.pipeline_id, table) for table in TABLES)


def sink_rules(settings: Settings, file: Path | None) -> Rules:
    """What the sink is told: a connector's properties file, or else our own settings.

    Unknown keys are logged. Raises SettingError, and BadInput when the file cannot be read.
    """
    if file is None:
        return pipeline_rules(settings.sink, own_topics(settings))
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read: {error}") from None
    rules, warnings = read_connector(parse_properties(text), settings.sink)
    for warning in warnings:
        _log.warning(warning, file=str(file))
    return rules


def sink_store(workspace: Workspace, rules: Rules) -> ObjectStore:
    """Where the objects go: PINPIPE_OBJECTS__URL, or else the bucket of the properties file."""
    bucket, settings = rules.bucket, workspace.settings.objects
    if bucket is None or settings.url:
        return workspace.objects()
    found = {"url": f"s3://{bucket.name}", "region": bucket.region, "endpoint": bucket.endpoint}
    return open_store(settings.model_copy(update=found), workspace.root / "objects")


def run_sink(workspace: Workspace, stop: threading.Event, file: Path | None = None) -> None:
    """Land topics as objects until told to stop: the pipeline's, or those of a properties file."""
    settings = workspace.settings
    rules = sink_rules(settings, file)
    log = workspace.topics_log()
    try:
        if file is None:
            prepare(settings, "batch", log)
        Sink(log, sink_store(workspace, rules), rules, settings.sink.poll_seconds).run(stop)
    finally:
        log.close()


def run_backfill(workspace: Workspace, file: Path | None, prefix: str, span: Span) -> dict[Part, int]:
    """Land a span of the sink's topics again, below another prefix."""
    rules = sink_rules(workspace.settings, file)
    log = workspace.topics_log()
    try:
        return backfill(log, sink_store(workspace, rules), rules, prefix, span)
    finally:
        log.close()


def run_replay(workspace: Workspace, file: Path | None, topic: str | None, span: Span) -> dict[str, int]:
    """Send dead letters again to the topics that they came from; how many to each."""
    rules = sink_rules(workspace.settings, file)
    log = workspace.topics_log()
    try:
        return replay(log, sink_store(workspace, rules), rules, span, topic)
    finally:
        log.close()


def run_compaction(workspace: Workspace, most_bytes: int) -> dict[Part, Compacted]:
    """Merge the pipeline's small objects, as far as they are committed and loaded; no load runs meanwhile."""
    log, store = workspace.topics_log(), workspace.objects()
    topics_dir = workspace.settings.sink.topics_dir
    try:
        with workspace.only_one("load"):
            return {
                part: compact(store, topics_dir, part, min(committed, _read_to(workspace, part)), most_bytes)
                for part, _, committed in _positions(workspace, log)
            }
    finally:
        log.close()


def _read_to(workspace: Workspace, part: Part) -> int:
    """Where the batch table stands in a partition; a table that is not there yet will read all anew."""
    for table in TABLES:
        if names.topic(workspace.settings.pipeline_id, table) == part[0]:
            found = workspace.table("batch", table)
            source = f"{part[0]}/{part[1]}"
            return found.positions([source])[source] if found.exists() else 2**63
    raise AssertionError(part)


def sink_problems(workspace: Workspace) -> list[str]:
    """Where the pipeline's objects are not what their manifest says, or the manifest is not whole."""
    log, store = workspace.topics_log(), workspace.objects()
    topics_dir = workspace.settings.sink.topics_dir
    try:
        return [
            problem
            for part, beginning, committed in _positions(workspace, log)
            for problem in manifest_problems(store, topics_dir, part, beginning, committed)
        ]
    finally:
        log.close()


def _positions(workspace: Workspace, log: EventLog) -> Iterator[tuple[Part, int, int]]:
    """Each partition of the pipeline's topics, its beginning, and what the sink has committed there."""
    existing = set(log.topics())
    for topic in own_topics(workspace.settings):
        if topic not in existing:
            continue
        committed = log.committed(PIPELINE_GROUP, topic)
        for number, beginning in log.beginnings(topic).items():
            yield (topic, number), beginning, committed.get(number, 0)


def connector_description(settings: Settings) -> dict[str, object]:
    """The pipeline's sink as MSK Connect takes it: the connector's settings and its plugin."""
    url = settings.objects.url
    bucket = url.removeprefix("s3://").partition("/")[0] if url.startswith("s3://") else ""
    bucket = bucket or f"user-{settings.pipeline_id}-bucket"
    region = settings.objects.region or "us-east-1"
    topics = own_topics(settings)
    return {
        "customPlugin": custom_plugin(settings.pipeline_id, bucket),
        "connectorConfiguration": connector_properties(
            settings.pipeline_id, topics, bucket, region, settings.sink
        ),
    }
