"""The whole pipeline once, on one machine: fill, start, send, wait, count, prove, stop."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from sqlalchemy.engine import make_url

from pinterest_pipeline.config import Settings
from pinterest_pipeline.errors import Retryable, Unavailable
from pinterest_pipeline.local import Supervisor, fetch_parts
from pinterest_pipeline.outcome import Outcome, outcome
from pinterest_pipeline.pipeline import Progress, lags
from pinterest_pipeline.posts.database import PostDatabase
from pinterest_pipeline.posts.emulator import Emulator, SendSettings
from pinterest_pipeline.posts.file import read_posts
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records.names import BRANCHES, Branch
from pinterest_pipeline.records.schemas import Post
from pinterest_pipeline.reports.page import chart_library
from pinterest_pipeline.workspace import Workspace

DEFAULT_COUNT = 1_000
_BATCH = 20  # records of a request
_LANDING_SECONDS = 120.0
_SPARK_LANDING_SECONDS = 600.0  # two JVMs start and compile first, perhaps on a busy machine
_PRIVATE = {
    "host": "127.0.0.1",
    "port": 0,
    "access": "open",
    "tls_certificate": None,
    "tls_key": None,
    "tls_client_ca": None,
}
"""The gateway of a demo: nobody but the demo calls it."""


@dataclass(frozen=True)
class Demo:
    """What a demo came to."""

    outcome: Outcome
    workspace: Workspace


@dataclass(frozen=True)
class _Plan:
    """What is sent, and where to."""

    settings: Settings
    url: str
    database: PostDatabase
    indexes: list[int] | None
    """The order of a posts file; None for the original's order."""
    count: int | None


def run(
    settings: Settings,
    posts_file: Path | None,
    count: int | None,
    progress: Progress,
) -> Demo:
    """Send `count` posts down each branch and answer; the posts of a file go in the file's order."""
    settings = _own_folder(settings)
    fetch_parts(settings, lambda text: progress(text, 0, None))
    database = PostDatabase(make_url(f"sqlite:///{settings.data / 'posts.sqlite'}"))
    supervisor = Supervisor(settings)
    stop = threading.Event()
    try:
        url = supervisor.start()
        with ThreadPoolExecutor(2) as pool:
            watch = pool.submit(supervisor.run, stop)
            try:
                indexes = _fill(database, posts_file, count, progress)  # while the rooms start
                _wait_until_up(url, watch, progress)
                asyncio.run(_send(_Plan(settings, url, database, indexes, count), progress))
                pool.submit(chart_library)  # seconds of work that the report waits for otherwise
                _wait_until_landed(Workspace(settings), watch, progress)
            finally:
                stop.set()
            watch.result()
        supervisor.stop_rooms()
        progress("counting", 0, None)
        return Demo(outcome(Workspace(settings)), Workspace(settings))
    finally:
        supervisor.stop()
        database.close()


def _own_folder(settings: Settings) -> Settings:
    """The same settings with an empty folder, any free port for this machine alone, and hasty objects."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    folder = settings.data / f"demo-{stamp}"
    folder.mkdir(parents=True)
    return settings.model_copy(
        update={
            "data": folder.resolve(),
            "gateway": settings.gateway.model_copy(update=_PRIVATE),
            "kafka": settings.kafka.model_copy(update={"port": 0}),
            "sink": settings.sink.model_copy(update={"flush_seconds": 0.5}),
        }
    )


def _fill(
    database: PostDatabase, posts_file: Path | None, count: int | None, progress: Progress
) -> list[int] | None:
    """Fill the source; returns the order of the posts of a file, None for generated posts."""
    progress("filling the database", 0, None)
    if posts_file is None:
        database.fill(generate())
        return None
    indexes: list[int] = []

    def noted() -> Iterator[Post]:
        for post in read_posts(posts_file, count):
            indexes.append(post["pin"]["index"])
            yield post

    database.fill(noted())
    return indexes


def _wait_until_up(url: str, watch: "Future[None]", progress: Progress) -> None:
    """Wait for the gateway: a sender that loses patience sends again, and its records land twice."""
    progress("waiting for the rooms to start", 0, None)
    deadline = time.monotonic() + _LANDING_SECONDS
    while time.monotonic() < deadline:
        if watch.done():
            watch.result()
        try:
            httpx.get(f"{url}/topics", timeout=1.0, trust_env=False)  # by no proxy: it is on this machine
        except httpx.TransportError:
            continue  # the supervisor holds the socket: this is a wait, not a spin
        return
    raise Unavailable("the gateway does not answer", "see the logs in the demo's folder")


def _chunks(database: PostDatabase, indexes: list[int] | None, count: int | None) -> Iterator[Sequence[Post]]:
    if indexes is not None:
        return database.in_order(indexes)
    return database.original_order(count=count or DEFAULT_COUNT)


async def _send(plan: "_Plan", progress: Progress) -> None:
    """Both emulators at once, as two users of the API."""
    await asyncio.gather(*(_send_branch(plan, branch, progress) for branch in BRANCHES))


async def _send_branch(plan: "_Plan", branch: Branch, progress: Progress) -> None:
    workspace = Workspace(plan.settings)
    sending = SendSettings(
        url=plan.url,
        pipeline_id=plan.settings.pipeline_id,
        receipts=workspace.receipts,
        batch=_BATCH,
    )
    posts = len(plan.indexes) if plan.indexes is not None else plan.count or DEFAULT_COUNT

    def on_progress(done: int) -> None:
        progress(f"sending, {branch} branch", done, posts)

    await Emulator(sending, branch).send(_chunks(plan.database, plan.indexes, plan.count), on_progress)


def _wait_until_landed(workspace: Workspace, watch: "Future[None]", progress: Progress) -> None:
    """Wait until every record of both logs is in its table; raises Unavailable when nothing moves."""
    patience = _SPARK_LANDING_SECONDS if workspace.settings.engine.name == "spark" else _LANDING_SECONDS
    quiet_since, last = time.monotonic(), -1
    while True:
        if watch.done():
            watch.result()
        try:
            found = lags(workspace)
        except Retryable:
            found = []
        loaded, end = sum(lag.loaded or 0 for lag in found), sum(lag.end or 0 for lag in found)
        progress("landing", loaded, end)
        if found and loaded >= end and not any(lag.behind_ms for lag in found):
            return
        if loaded != last:
            quiet_since, last = time.monotonic(), loaded
        if time.monotonic() - quiet_since > patience:
            raise Unavailable(
                f"{end - loaded} records have not landed and nothing moves", f"see {workspace.root / 'logs'}"
            )
        time.sleep(0.1)
