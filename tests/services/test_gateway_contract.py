"""A real gateway does what its own OpenAPI document says, whatever Schemathesis sends.

`make fuzz` asks many times as often (API_EXAMPLES is the number of examples of each operation).
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.services.gateway_process import Gateway, running

pytestmark = pytest.mark.services

EXAMPLES = os.environ.get("API_EXAMPLES", "5")
SECONDS = 3_600
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)

SETTINGS = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 413, 415, 422]
"""
AIMED = """
[parameters]
"path.cluster_id" = "{cluster}"
"path.topic" = "known"
"path.topic_name" = "known"
"path.stream" = "known"
"path.partition" = 0
"path.partition_id" = 0
"path.broker_id" = 0
"path.consumer_group_id" = "readers"
"path.group" = "others"
"path.instance" = "one"
"path.consumer_id" = "{consumer}"
"query.shard-id" = "shardId-000000000000"
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, "open") as found:
        yield found


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that asks for a key."""
    with running(tmp_path, "keys") as found:
        yield found


def ask(gateway: Gateway, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("st")), "run", f"{gateway.url}/openapi.json", "--no-color"]
    command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", EXAMPLES, "--continue-on-failure", "--suppress-health-check", "all"]
    return subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.timeout(SECONDS)
def test_whatever_is_asked_is_answered_as_documented(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    asked = ask(gateway, tmp_path)
    assert asked.returncode == 0, asked.stdout[-20_000:]


def make_instance(gateway: Gateway) -> None:
    """A consumer instance that waits for nothing, and reads a topic."""
    base = f"{gateway.url}/consumers/others"
    settings = {"name": "one", "format": "binary", "consumer.request.timeout.ms": 1}
    made = httpx.post(base, json=settings, headers={"x-api-key": gateway.key})
    assert made.status_code == 200, made.text


@pytest.mark.timeout(SECONDS)
def test_whatever_is_asked_about_what_is_there_is_answered_as_documented(
    guarded: Gateway, tmp_path: Path
) -> None:
    """Names of what is there, so that the answers are not all of the unknown; nothing is deleted."""
    make_instance(guarded)
    aimed = AIMED.format(cluster=guarded.cluster, consumer=guarded.consumer)
    (tmp_path / "schemathesis.toml").write_text(SETTINGS + aimed)
    asked = ask(guarded, tmp_path, "--exclude-method", "DELETE", "--header", f"x-api-key: {guarded.key}")
    assert asked.returncode == 0, asked.stdout[-20_000:]
    unknown = asked.stdout.partition("Missing test data")[2].partition("Schema validation")[0]
    assert "GET /v3" not in unknown  # else the names above are not those of what is there


def test_receipts_come_over_the_wire_while_the_body_is_still_sent(gateway: Gateway) -> None:
    """Many more bytes than one request may have, in one stream; each tenth part waits for its receipts."""
    host, port = gateway.url.removeprefix("http://").split(":")
    record = b'{"value":{"type":"STRING","data":"' + b"x" * 900 + b'"}}\n'
    with (
        socket.create_connection((host, int(port)), timeout=60) as wire,
        wire.makefile("rb") as answer,
    ):
        path = f"/v3/clusters/{gateway.cluster}/topics/known/records"
        wire.sendall(
            f"POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
        while answer.readline() != b"\r\n":
            pass
        for _ in range(15):
            piece = record * 1_000
            wire.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            receipts = b""
            while receipts.count(b"\n") < 1_000:
                receipts += answer.read(int(answer.readline(), 16))
                assert answer.read(2) == b"\r\n"
            assert receipts.count(b'"error_code":200') == 1_000
        wire.sendall(b"0\r\n\r\n")
        assert answer.readline() == b"0\r\n"
