"""The gateway over two logs in a temporary folder, asked without a network."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway import access
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.exchange import Exchange
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.plans import Plan
from tests.unit.gateway import documented
from tests.unit.gateway.kinesis_asking import Asking

TOPIC = "124df56aef51.pin"
STREAM = "streaming-124df56aef51-pin"
MAX_RECORD_BYTES = 2_048


@cache
def _document() -> Any:
    """What a gateway with all its parts announces; one for all tests: most of them take less time."""
    with TemporaryDirectory() as name, ExitStack() as parts:
        folder = Path(name)
        topics = SqliteEventLog(folder / "topics.sqlite", kafka_partition, MAX_RECORD_BYTES)
        streams = SqliteStreamLog(folder / "streams.sqlite", MAX_RECORD_BYTES)
        store = ConsumerStore(folder / "gateway")
        for part in (topics, streams, store):
            parts.callback(part.close)
        app = create_app(GatewaySettings(), topics, streams, consumers=store)
        return Client(app).ask("GET", "/openapi.json").json()


class Clock:
    """Milliseconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


class Client:
    """Sends one request at a time to an application; its errors become answers, as in a server.

    Every answer to `send` must be one that the gateway's OpenAPI document announces.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self.ask(method, path, **options)
        documented.check(_document(), method, answer.request.url.path, answer)
        return answer

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def exchange() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://gateway") as client:
                return await client.request(method, path, **options)

        return asyncio.run(exchange())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.send("GET", path, headers=headers)

    def produce(self, body: bytes, topic: str = TOPIC, media: str | None = None) -> httpx.Response:
        headers = {"Content-Type": media or "application/vnd.kafka.json.v2+json"}
        return self.send("POST", f"/topics/{topic}", content=body, headers=headers)

    def put(self, path: str, body: bytes) -> httpx.Response:
        return self.send("PUT", path, content=body, headers={"Content-Type": "application/json"})


@pytest.fixture
def topics(tmp_path: Path) -> Iterator[SqliteEventLog]:
    log = SqliteEventLog(tmp_path / "topics.sqlite", kafka_partition, MAX_RECORD_BYTES)
    log.create(TOPIC, 2)
    yield log
    log.close()


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[SqliteStreamLog]:
    log = SqliteStreamLog(tmp_path / "streams.sqlite", MAX_RECORD_BYTES)
    log.create(STREAM, 2)
    yield log
    log.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ConsumerStore]:
    store = ConsumerStore(tmp_path / "gateway")
    yield store
    store.close()


@pytest.fixture
def client(topics: SqliteEventLog, streams: SqliteStreamLog, store: ConsumerStore) -> Client:
    """Bodies of up to 20,000 bytes and 100 records; two topics' partitions, two shards."""
    chosen = GatewaySettings(max_body_bytes=20_000, max_records=100)
    return Client(create_app(chosen, topics, streams, consumers=store))


# Keys

VERBS, NOUNS = ("describe", "read", "write", "create", "delete"), ("topic", "stream", "group")
ALL = [*(f"{verb}:{noun}:*" for verb in VERBS for noun in NOUNS), "describe:cluster", "read:service"]
KAFKA = {"Content-Type": "application/vnd.kafka.json.v2+json"}
ONE = b'{"records":[{"value":1}]}'

MakeKey = Callable[..., str]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def exchanges() -> list[Exchange]:
    """What was exchanged with `guarded`."""
    return []


@pytest.fixture
def guarded(
    tmp_path: Path,
    topics: SqliteEventLog,
    streams: SqliteStreamLog,
    store: ConsumerStore,
    exchanges: list[Exchange],
) -> Client:
    """A gateway that asks for keys."""
    chosen = GatewaySettings(access="keys", max_body_bytes=20_000)
    figures = Figures()
    checks = access.guards(chosen, "127.0.0.1", tmp_path, figures.refused)
    app = create_app(
        chosen,
        topics,
        streams,
        guards=checks,
        observers=[exchanges.append],
        figures=figures,
        consumers=store,
    )
    return Client(app)


@pytest.fixture
def make_key(tmp_path: Path) -> MakeKey:
    """Makes a key of `guarded`, with scopes."""

    def make(*scopes: str, plan: Plan = Plan(), expires_ms: int | None = None) -> str:  # noqa: B008
        return access.key_file(tmp_path).create("x", scopes, plan, expires_ms)[0]

    return make


@pytest.fixture
def audit(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """The lines of the audit log of `guarded`."""

    def lines() -> list[dict[str, Any]]:
        path = tmp_path / "logs" / "audit.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return lines


# Kinesis' own API


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def wire_log(tmp_path: Path, clock: Clock) -> Iterator[SqliteStreamLog]:
    """Streams whose changes take a second of the clock."""
    log = SqliteStreamLog(tmp_path / "wire.sqlite", 2**20, transition_seconds=1, clock=clock)
    yield log
    log.close()


@pytest.fixture
def kinesis(wire_log: SqliteStreamLog, topics: SqliteEventLog) -> Asking:
    return Asking(create_app(GatewaySettings(), topics, wire_log))


@pytest.fixture
def stream(kinesis: Asking, clock: Clock) -> str:
    """A stream of one shard that is ACTIVE."""
    kinesis.ok("CreateStream", StreamName="stream", ShardCount=1)
    clock.now += 1_000
    return "stream"
