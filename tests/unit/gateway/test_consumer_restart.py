"""A gateway that is killed at any moment loses no record of its consumer instances."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

WAIT = 30
RECORDS = 400
ROUNDS = 6

SERVER = """
import sys
from pathlib import Path
from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.server import bind, serve
folder = Path(sys.argv[1])
log = SqliteStreamLog(folder / "log.sqlite", 2**20)
if not log.topics():
    log.create("pin", 3)
sock = bind("127.0.0.1", 0)
print(sock.getsockname()[1], flush=True)
figures = Figures()
app = create_app(GatewaySettings(), log, log, figures=figures, consumers=ConsumerStore(folder / "gateway"))
serve(app, sock, GatewaySettings(), figures)
"""


@contextmanager
def gateway(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", httpx.Client]]:
    """A gateway in a process of its own, which is killed at the end."""
    command = [sys.executable, "-c", SERVER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        try:
            with httpx.Client(base_url=url, timeout=WAIT) as client:
                yield server, client
        finally:
            server.kill()


def read(client: httpx.Client, key: int) -> list[dict[str, Any]]:
    answer = client.get(
        "/consumers/g/instances/one/records",
        params={"timeout": 0, "max_bytes": 60},
        headers={"Idempotency-Key": str(key)},
    )
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def killed(
    server: "subprocess.Popen[str]", client: httpx.Client, key: int, seconds: float
) -> list[dict[str, Any]] | None:
    """Ask for records, and kill the gateway so long after; what was answered, if anything was."""
    death = threading.Timer(seconds, lambda: server.send_signal(signal.SIGKILL))
    death.start()
    answered = None
    with suppress(httpx.TransportError):
        answered = read(client, key)
    death.join()
    assert server.wait(WAIT) == -signal.SIGKILL
    return answered


def test_no_record_is_lost_although_the_gateway_is_killed(tmp_path: Path) -> None:
    with gateway(tmp_path) as (server, client):
        records = [{"value": number} for number in range(RECORDS)]
        assert client.post("/topics/pin", json={"records": records}).status_code == 200
        settings = {"name": "one", "format": "json", "auto.offset.reset": "earliest"}
        assert client.post("/consumers/g", json=settings).status_code == 200
        body = {"topics": ["pin"]}
        assert client.post("/consumers/g/instances/one/subscription", json=body).status_code == 204
        found = read(client, 0)
        answered = killed(server, client, 1, 0.0)
    key = 1
    for round_ in range(ROUNDS):
        with gateway(tmp_path) as (server, client):
            repeated = read(client, key)
            assert answered in (None, repeated)
            found += repeated + read(client, key + 1)
            key += 2
            answered = killed(server, client, key, round_ * 0.002)
    with gateway(tmp_path) as (_, client):
        while answer := read(client, key):
            found += answer
            key += 1
        committed = client.get(
            "/consumers/g/instances/one/offsets", params={"partitions": "pin:0,pin:1,pin:2"}
        ).json()["offsets"]
    places = {(record["partition"], record["offset"]): record["value"] for record in found}
    assert sorted(places.values()) == list(range(RECORDS))
    # Only what was answered just before a kill may come again: its caller knows it by partition and offset.
    assert len(found) - RECORDS <= (ROUNDS + 1) * 60
    assert sum(entry["offset"] for entry in committed) == RECORDS


def figures(client: httpx.Client) -> set[str]:
    """The lines of /metrics, without the prefix of their names."""
    return {line.removeprefix("pinpipe_gateway_") for line in client.get("/metrics").text.splitlines()}


def test_who_waits_when_the_gateway_stops_is_answered_at_once_with_what_there_is(tmp_path: Path) -> None:
    with gateway(tmp_path) as (server, client):
        client.post("/consumers/g", json={"name": "one", "format": "json"})
        client.post("/consumers/g/instances/one/subscription", json={"topics": ["pin"]})
        with ThreadPoolExecutor() as pool:
            path, query = "/consumers/g/instances/one/records", {"timeout": WAIT * 1_000}
            waiting = pool.submit(client.get, path, params=query)
            while not {"connections 2.0", "requests_in_flight 2.0"} <= figures(client):
                pass
            server.send_signal(signal.SIGTERM)
            answer = waiting.result()
        assert (answer.status_code, answer.text) == (200, "[]")
        assert server.wait(WAIT) == 0


def test_a_caller_that_hangs_up_in_the_middle_gets_the_same_again(tmp_path: Path) -> None:
    value = "x" * 1_000_000
    with gateway(tmp_path) as (_, client):
        for number in range(9):
            body = {"records": [{"value": [number, value], "partition": 0}]}
            assert client.post("/topics/pin", json=body).status_code == 200
        settings = {"name": "one", "format": "json", "auto.offset.reset": "earliest"}
        client.post("/consumers/g", json=settings)
        client.post("/consumers/g/instances/one/subscription", json={"topics": ["pin"]})
        with socket.socket() as hasty:
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            hasty.connect((client.base_url.host, client.base_url.port))
            hasty.sendall(b"GET /consumers/g/instances/one/records HTTP/1.1\r\nHost: a\r\n\r\n")
            assert hasty.recv(1_024).startswith(b"HTTP/1.1 200")
        answer = client.get("/consumers/g/instances/one/records", params={"timeout": 0})
    assert [record["value"][0] for record in answer.json()] == list(range(9))
