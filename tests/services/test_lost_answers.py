"""Answers get lost after the gateway has carried out the request: no record may land twice for that."""

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from pinterest_pipeline.config import GatewaySettings, Settings, SinkSettings
from pinterest_pipeline.local import Supervisor, read_state
from pinterest_pipeline.outcome import outcome
from pinterest_pipeline.pipeline import lags
from pinterest_pipeline.posts.delivery import Patience
from pinterest_pipeline.posts.emulator import Emulator, SendSettings
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import BRANCHES, TABLES, Branch
from pinterest_pipeline.records.receipts import Account
from pinterest_pipeline.workspace import Workspace

pytestmark = pytest.mark.services

POSTS = 500
SEED = 20_261_125
PATIENCE = Patience(tries=60, first_pause=0.01, total=120.0)


class Thief:
    """A proxy that loses one answer in five: it drops the connection once the answer has come."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._chance = random.Random(SEED)
        self.lost = 0

    @contextmanager
    def running(self) -> Iterator[str]:
        """Its address, for as long as it runs."""
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", 0))
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            server.close()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.wait(tasks) if tasks else asyncio.sleep(0))
            loop.run_until_complete(asyncio.sleep(0))  # the connections that they closed
            loop.close()

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            gateway, to_gateway = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._requests(client, to_gateway))
                    tasks.create_task(self._answers(gateway, to_client))
            except* OSError:
                pass
            finally:
                to_gateway.close()
        to_client.close()

    async def _requests(self, client: asyncio.StreamReader, to_gateway: asyncio.StreamWriter) -> None:
        while data := await client.read(65_536):
            to_gateway.write(data)
            await to_gateway.drain()
        raise ConnectionAbortedError

    async def _answers(self, gateway: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while data := await gateway.read(65_536):
            if self._chance.random() < 0.2:
                self.lost += 1
                break
            to_client.write(data)
            await to_client.drain()
        raise ConnectionAbortedError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data=tmp_path / "data", gateway=GatewaySettings(port=0), sink=SinkSettings(flush_seconds=0.2)
    )


@pytest.fixture
def supervisor(settings: Settings) -> Iterator[Supervisor]:
    supervisor = Supervisor(settings)
    yield supervisor
    supervisor.stop()


@contextmanager
def running(supervisor: Supervisor) -> Iterator[str]:
    """All rooms, watched as `pinpipe up` does; the gateway's address, once it answers."""
    url, stop = supervisor.start(), threading.Event()
    watch = threading.Thread(target=supervisor.run, args=(stop,))
    watch.start()
    try:
        assert httpx.get(f"{url}/health", timeout=60).status_code == 200
        yield url
    finally:
        stop.set()
        watch.join()


def wait_until_loaded(settings: Settings) -> None:
    deadline = time.monotonic() + 90
    while any(lag.end != lag.loaded for lag in lags(Workspace(settings))):
        assert time.monotonic() < deadline, "the posts did not reach the tables"
        time.sleep(0.2)


async def send(settings: Settings, url: str, batch: int) -> dict[Branch, Account]:
    """All posts down both branches at once."""
    emulators = [
        Emulator(
            SendSettings(
                url=url,
                pipeline_id=settings.pipeline_id,
                receipts=Workspace(settings).receipts,
                batch=batch,
                patience=PATIENCE,
            ),
            branch,
        )
        for branch in BRANCHES
    ]
    found = await asyncio.gather(*(emulator.send(iter([list(generate(POSTS))])) for emulator in emulators))
    return {
        branch: sum(accounts.values(), Account()) for branch, accounts in zip(BRANCHES, found, strict=True)
    }


def check(settings: Settings, sent: dict[Branch, Account]) -> None:
    """Every record was acknowledged, and is in the log, the tables and the account exactly once."""
    workspace = Workspace(settings)
    for branch in BRANCHES:
        assert sent[branch].acknowledged == sent[branch].sent == 3 * POSTS
        log = workspace.topics_log() if branch == "batch" else workspace.streams_log()
        for table in TABLES:
            assert sum(log.ends(names.source(branch, settings.pipeline_id, table)).values()) == POSTS
        log.close()
    result = outcome(workspace)
    assert result.problems == []
    for branch in BRANCHES:
        for table in TABLES:
            counts = result.accounts[branch][table]
            assert (counts.landed, counts.clean, counts.without_receipt) == (POSTS, POSTS, 0)


@pytest.mark.parametrize("batch", [1, 20])
def test_a_lost_answer_makes_no_duplicate(settings: Settings, supervisor: Supervisor, batch: int) -> None:
    with running(supervisor) as gateway:
        thief = Thief(int(gateway.rpartition(":")[2]))
        with thief.running() as url:
            sent = asyncio.run(send(settings, url, batch))
        wait_until_loaded(settings)
    assert thief.lost > 20
    assert all(account.resent > 0 for account in sent.values())
    check(settings, sent)


def test_a_gateway_killed_while_it_answers_makes_no_duplicate(
    settings: Settings, supervisor: Supervisor
) -> None:
    chance = random.Random(SEED)

    async def send_and_kill(url: str) -> tuple[dict[Branch, Account], set[int]]:
        sending, killed = asyncio.create_task(send(settings, url, 1)), set[int]()
        while not (await asyncio.wait([sending], timeout=chance.uniform(0.2, 0.6)))[0]:
            state = read_state(settings.data)
            if state and len(killed) < 5 and state.rooms["gateway"] not in killed:
                os.kill(state.rooms["gateway"], signal.SIGKILL)
                killed.add(state.rooms["gateway"])
        return sending.result(), killed

    with running(supervisor) as gateway:
        sent, killed = asyncio.run(send_and_kill(gateway))
        wait_until_loaded(settings)
    assert killed
    check(settings, sent)
