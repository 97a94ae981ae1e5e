"""Emulator to gateway to log, with the fsync, beside the log alone."""

import asyncio
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec

from pinterest_pipeline.config import Settings, load_settings
from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.local import Supervisor
from pinterest_pipeline.pipeline import prepare
from pinterest_pipeline.posts.emulator import Emulator, SendSettings
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import BRANCHES
from pinterest_pipeline.records.schemas import Post
from pinterest_pipeline.workspace import Workspace

POSTS = 10_000


def run(folder: Path) -> None:
    settings = load_settings(data=folder / "ingest")
    settings = settings.model_copy(update={"gateway": settings.gateway.model_copy(update={"port": 0})})
    limit = _log_alone(Workspace(load_settings(data=folder / "log")))
    print(f"{'log alone, 500 records a call':45} {limit:>12,.0f} records/s")
    gateway = GatewayProcess(settings)
    try:
        for branch in BRANCHES:
            for batch, posts in ((1, 1_000), (100, POSTS), (500, POSTS)):
                emulator = Emulator(
                    SendSettings(
                        url=gateway.url,
                        pipeline_id=settings.pipeline_id,
                        receipts=settings.data / "receipts",
                        batch=batch,
                    ),
                    branch,
                )
                started = time.perf_counter()
                sent = asyncio.run(emulator.send(_chunks(posts)))
                rate = sum(account.acknowledged for account in sent.values()) / (
                    time.perf_counter() - started
                )
                print(
                    f"{f'emulator to log, {branch}, {batch} a request':45} {rate:>12,.0f} records/s"
                    f"   {rate / limit:6.1%} of the log alone"
                )
    finally:
        gateway.stop()


class GatewayProcess:
    """The rooms of `pinpipe up`, for as long as a measurement takes."""

    def __init__(self, settings: Settings) -> None:
        settings.data.mkdir(parents=True)
        self._supervisor = Supervisor(settings, rooms=("gateway",))
        self.url = self._supervisor.start()

    def stop(self) -> None:
        self._supervisor.stop()


def _chunks(posts: int) -> Iterator[list[Post]]:
    remaining = generate(posts)
    while chunk := list(islice(remaining, 500)):
        yield chunk


def _log_alone(workspace: Workspace) -> float:
    log: EventLog = workspace.topics_log()
    prepare(workspace.settings, "batch", log)
    topic = names.topic(workspace.settings.pipeline_id, "pin")
    records = [
        Record(msgspec.json.encode(wire_row(post["pin"])), str(post["pin"]["index"]).encode())
        for post in generate(5_000)
    ]
    started, waiting = time.perf_counter(), []
    for _ in range(8):
        waiting += [log.append(topic, records[start : start + 500]) for start in range(0, 5_000, 500)]
    for future in waiting:
        future.result()
    rate = 40_000 / (time.perf_counter() - started)
    log.close()
    return rate
