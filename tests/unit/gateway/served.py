"""A gateway in a process of its own, talked to byte by byte."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 30
TOPIC = "pin"
ONE = b'{"records":[{"value":1}]}'

_SERVER = """
import json, sys
from pathlib import Path
from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.server import bind, serve
from pinterest_pipeline.gateway.tls import server_context
settings = GatewaySettings(**json.loads(sys.argv[2]))
log = SqliteStreamLog(Path(sys.argv[1]), 2**20)
log.create("pin", 1)
figures, sock = Figures(), bind("127.0.0.1", 0)
print(sock.getsockname()[1], flush=True)
serve(create_app(settings, log, log, figures=figures), sock, settings, figures, tls=server_context(settings))
log.close()
"""


class Served:
    """The port of a gateway that has one log, with the topic `pin`, for both halves."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def say(self, *pieces: bytes) -> bytes:
        """Everything that comes back, until the server closes, for pieces that are sent one by one."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return until_closed(connection)

    def produced(self) -> int:
        """How many records the server says it has taken."""
        return int(self.figure("records_total", '{operation="produce"}'))

    def figure(self, name: str, labels: str = "") -> float:
        """A figure as /metrics shows it; 0 when it does not."""
        text = self.say(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").decode()
        found = re.search(rf"^pinpipe_gateway_{re.escape(name + labels)} (.+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def holds(self, connection: socket.socket) -> bool:
        """Whether the server has not closed its end of a connection, as the system knows it."""
        ours = connection.getsockname()[1]
        return f" 0100007F:{self.port:04X} 0100007F:{ours:04X} 01 " in Path("/proc/net/tcp").read_text()

    def memory(self) -> int:
        """Bytes of the process that lie in memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+([0-9]+) kB", status)
        assert found is not None
        return int(found[1]) * 1024


@contextmanager
def served(folder: Path, **settings: Any) -> Iterator[Served]:
    """A gateway with these settings; fails when it said anything on standard error."""
    command = [sys.executable, "-c", _SERVER, str(folder / "log.sqlite"), json.dumps(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield Served(int(server.stdout.readline()), server.pid)
        finally:
            server.terminate()
            _, errors = server.communicate(timeout=SECONDS)
    assert (server.returncode, errors) == (0, "")


def until_closed(connection: socket.socket) -> bytes:
    received = bytearray()
    while piece := connection.recv(65_536):
        received += piece
    return bytes(received)


def statuses(received: bytes) -> list[int]:
    """The statuses of all answers."""
    return [int(found) for found in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received)]


def post(*headers: bytes, body: bytes = b"") -> bytes:
    """A request that produces to the topic, with these headers beside the usual ones."""
    lines = (
        b"POST /topics/pin HTTP/1.1",
        b"Host: a",
        b"Content-Type: application/vnd.kafka.json.v2+json",
        *headers,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def produce(*headers: bytes, body: bytes = ONE) -> bytes:
    return post(b"Content-Length: %d" % len(body), *headers, body=body)
