"""The gateway over two logs in a temporary folder, asked without a network."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.app import create_app
from tests.unit.gateway import documented
from tests.unit.gateway.kinesis_asking import Asking

TOPIC = "124df56aef51.pin"
STREAM = "streaming-124df56aef51-pin"
MAX_RECORD_BYTES = 2_048


_DOCUMENTS: dict[str, Any] = {}  # one for all tests: it takes longer to make than most of them


class Clock:
    """Milliseconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


class Client:
    """Sends one request at a time to an application; its errors become answers, as in a server.

    Every answer must be one that the application's OpenAPI document announces.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = self._send(method, path, **options)
        if not _DOCUMENTS:
            _DOCUMENTS.update(self._send("GET", "/openapi.json").json())
        documented.check(_DOCUMENTS, method, answer.request.url.path, answer)
        return answer

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
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
def client(topics: SqliteEventLog, streams: SqliteStreamLog) -> Client:
    """Bodies of up to 20,000 bytes and 100 records; two topics' partitions, two shards."""
    return Client(create_app(GatewaySettings(max_body_bytes=20_000, max_records=100), topics, streams))


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
