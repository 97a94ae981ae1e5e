"""Pages of other origins, in a browser, call a gateway that asks for keys."""

from pathlib import Path

import pytest

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway import access
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.plans import Plan
from tests.unit.gateway.conftest import TOPIC, Client

PAGE = {"Origin": "https://page.example"}
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}


def with_origins(topics: SqliteEventLog, streams: SqliteStreamLog, tmp_path: Path, origins: str) -> Client:
    chosen = GatewaySettings(access="keys", cors_origins=origins)
    checks = access.guards(chosen, "127.0.0.1", tmp_path, Figures().refused)
    return Client(create_app(chosen, topics, streams, guards=checks))


@pytest.mark.parametrize("origins", ["https://page.example http://localhost:8000", "*"])
def test_pages_of_named_origins_may_call(
    topics: SqliteEventLog, streams: SqliteStreamLog, tmp_path: Path, origins: str
) -> None:
    client = with_origins(topics, streams, tmp_path, origins)
    key, _ = access.key_file(tmp_path).create("page", ["describe:topic:*"], Plan(), None)
    allowed = "*" if origins == "*" else PAGE["Origin"]
    before = client.send("OPTIONS", f"/topics/{TOPIC}", headers=PAGE | PREFLIGHT)
    assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, allowed)
    assert "x-api-key" in before.headers["access-control-allow-headers"]
    refused = client.get("/topics", PAGE)
    taken = client.get("/topics", PAGE | {"x-api-key": key})
    assert (refused.status_code, taken.status_code) == (401, 200)
    for answer in (before, refused, taken):
        assert answer.headers["access-control-allow-origin"] == allowed
        assert "access-control-allow-credentials" not in answer.headers


def test_pages_of_other_origins_may_not(
    topics: SqliteEventLog, streams: SqliteStreamLog, tmp_path: Path, client: Client
) -> None:
    named = with_origins(topics, streams, tmp_path, "https://page.example")
    other = {"Origin": "https://page.example.evil.example"}
    assert named.send("OPTIONS", "/topics", headers=other | PREFLIGHT).status_code == 400
    assert "access-control-allow-origin" not in named.get("/topics", other).headers
    assert "access-control-allow-origin" not in client.get("/topics", PAGE).headers
    assert client.send("OPTIONS", "/topics", headers=PAGE | PREFLIGHT).status_code == 405
