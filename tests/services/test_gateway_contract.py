"""A real gateway does what its own OpenAPI document says, whatever Schemathesis sends.

`make fuzz` asks many times as often (API_EXAMPLES is the number of examples of each operation).
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

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
)

SERVER = """
import sys
from pathlib import Path
from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.eventlog.partitioners import kafka_partition, kinesis_shard
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.server import bind, serve
folder, settings, figures = Path(sys.argv[1]), GatewaySettings(), Figures()
topics = SqliteEventLog(folder / "topics.sqlite", kafka_partition, 2**20)
streams = SqliteEventLog(folder / "streams.sqlite", kinesis_shard, 2**20)
for log in (topics, streams):
    log.create("known", 2)
topics.append("known", [Record(b"{}", b"k", 0, headers=(("h", b"v"),)), Record(None, None, 0)]).result()
topics.commit("readers", "known", {0: 1})
member = topics.subscribe("readers", ["known"])
member.poll(1, 0)
sock = bind("127.0.0.1", 0)
consumer = topics.describe_group("readers").members[0].id
print(sock.getsockname()[1], topics.cluster().id, consumer, flush=True)
serve(create_app(settings, topics, streams, figures=figures), sock, settings, figures)
member.close()
topics.close()
streams.close()
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
"path.consumer_id" = "{consumer}"
"query.shard-id" = "shardId-000000000000"
"""


@dataclass(frozen=True)
class Gateway:
    url: str
    cluster: str
    consumer: str


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose logs have a topic, a stream and a group with a member."""
    (tmp_path / "data").mkdir()
    with (
        (tmp_path / "log").open("w+") as log,
        subprocess.Popen(
            [sys.executable, "-c", SERVER, str(tmp_path / "data")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        port, cluster, consumer = process.stdout.readline().split()
        yield Gateway(f"http://127.0.0.1:{port}", cluster, consumer)
        alive = process.poll() is None
        process.terminate()
        process.wait(30)
        log.seek(0)
        said = log.read()
    assert alive, said
    assert "Traceback" not in said


def ask(gateway: Gateway, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("st")), "run", f"{gateway.url}/openapi.json", "--no-color"]
    command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", EXAMPLES, "--continue-on-failure", "--suppress-health-check", "all"]
    return subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.timeout(SECONDS)
def test_whatever_is_asked_is_answered_as_documented(gateway: Gateway, tmp_path: Path) -> None:
    asked = ask(gateway, tmp_path)
    assert asked.returncode == 0, asked.stdout[-20_000:]


@pytest.mark.timeout(SECONDS)
def test_whatever_is_asked_about_what_is_there_is_answered_as_documented(
    gateway: Gateway, tmp_path: Path
) -> None:
    """Names of what is there, so that the answers are not all of the unknown; nothing is deleted."""
    aimed = AIMED.format(cluster=gateway.cluster, consumer=gateway.consumer)
    (tmp_path / "schemathesis.toml").write_text(aimed)
    asked = ask(gateway, tmp_path, "--exclude-method", "DELETE")
    assert asked.returncode == 0, asked.stdout[-20_000:]
    assert "Missing test data" not in asked.stdout


def test_receipts_come_over_the_wire_while_the_body_is_still_sent(gateway: Gateway) -> None:
    """Many more bytes than one request may have, in one stream; each tenth part waits for its receipts."""
    host, port = gateway.url.removeprefix("http://").split(":")
    record = b'{"value":{"type":"STRING","data":"' + b"x" * 900 + b'"}}\n'
    with socket.create_connection((host, int(port)), timeout=60) as wire:
        path = f"/v3/clusters/{gateway.cluster}/topics/known/records"
        wire.sendall(
            f"POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        answer = wire.makefile("rb")
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
