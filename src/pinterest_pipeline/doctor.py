"""Looks whether this machine has what the pipeline needs, before it is needed."""

import importlib.metadata
import os
import shutil
import socket
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pinterest_pipeline.broker.distribution import require_parts
from pinterest_pipeline.config import OWN_S3, Settings, load_credentials
from pinterest_pipeline.engines.spark_session import spark_parts
from pinterest_pipeline.errors import PipelineError
from pinterest_pipeline.gateway.server import bind
from pinterest_pipeline.local import read_state
from pinterest_pipeline.objects.store import open_store
from pinterest_pipeline.posts.database import PostDatabase
from pinterest_pipeline.s3server.server import weed
from pinterest_pipeline.workspace import Workspace

_LEAST_FREE_BYTES = 2 * 2**30
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """One look: what was looked at, how it is, what to do if it is not well."""

    name: str
    is_well: bool
    found: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything once; nothing is changed."""
    findings = [
        _python(),
        _folder(settings.data),
        _disk(settings.data),
        _port(settings),
        _database(settings),
    ]
    if settings.log.home == "kafka":
        findings.append(_kafka(settings) if settings.kafka.bootstrap_servers else _kafka_node())
    if settings.objects.url == OWN_S3:
        findings.append(_s3_server())
    elif settings.objects.url:
        findings.append(_objects(settings))
    if settings.engine.name == "spark":
        findings.append(_spark())
    return findings


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    duckdb, delta = (importlib.metadata.version(name) for name in ("duckdb", "deltalake"))
    return Finding("Python", sys.version_info >= (3, 11), f"{version}, DuckDB {duckdb}, delta-rs {delta}")


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _folder(path: Path) -> Finding:
    can_write = os.access(_existing(path), os.W_OK)
    return Finding(
        "working folder", can_write, str(path), "" if can_write else "name another by PINPIPE_DATA"
    )


def _disk(path: Path) -> Finding:
    free = shutil.disk_usage(_existing(path)).free
    remedy = "" if free >= _LEAST_FREE_BYTES else "free some space, or name another folder by PINPIPE_DATA"
    return Finding("free space", free >= _LEAST_FREE_BYTES, f"{free / 2**30:,.1f} GiB", remedy)


def _port(settings: Settings) -> Finding:
    state = read_state(settings.data)
    if state is not None:
        return Finding("gateway's port", True, f"'pinpipe up' of this folder answers on {state.gateway}")
    try:
        listener: socket.socket = bind(settings.gateway.host, settings.gateway.port)
    except PipelineError as error:
        return Finding("gateway's port", False, error.problem, error.remedy)
    listener.close()
    return Finding("gateway's port", True, f"{settings.gateway.host}:{settings.gateway.port} is free")


def _database(settings: Settings) -> Finding:
    try:
        database = PostDatabase(load_credentials(settings.db_creds).database_url())
        return Finding("source database", True, f"{database.rows():,} posts")
    except PipelineError as error:
        return Finding("source database", False, error.problem, error.remedy)


def _kafka(settings: Settings) -> Finding:
    """Whether brokers that are not our own answer."""
    patience = settings.kafka.model_copy(update={"delivery_seconds": _PATIENCE_SECONDS})
    try:
        with closing(Workspace(settings.model_copy(update={"kafka": patience})).topics_log()) as log:
            found = f"{len(log.topics()):,} topics at {settings.kafka.bootstrap_servers}"
    except PipelineError as error:
        return Finding("Kafka", False, f"{settings.kafka.bootstrap_servers}: {error.problem}", error.remedy)
    return Finding("Kafka", True, found)


def _kafka_node() -> Finding:
    """Whether the parts of a node of our own are installed."""
    try:
        needed = require_parts()
    except PipelineError as error:
        return Finding("Kafka's node", False, error.problem, error.remedy)
    return Finding("Kafka's node", True, needed)


def _spark() -> Finding:
    """Whether Spark and a Java for it are here; Delta's jars are fetched when they are needed."""
    try:
        return Finding("Spark", True, spark_parts())
    except PipelineError as error:
        return Finding("Spark", False, error.problem, error.remedy)


def _s3_server() -> Finding:
    try:
        return Finding("S3 server", True, weed())
    except PipelineError as error:
        return Finding("S3 server", False, error.problem, error.remedy)


def _objects(settings: Settings) -> Finding:
    """Whether the store can be listed."""
    patience = {"retry_seconds": _PATIENCE_SECONDS, "timeout_seconds": _PATIENCE_SECONDS}
    try:
        store = open_store(settings.objects.model_copy(update=patience), settings.data / "objects")
        next(store.list(settings.sink.topics_dir), None)
    except PipelineError as error:
        return Finding("objects", False, error.problem, error.remedy)
    return Finding("objects", True, settings.objects.url)
