"""Memory of the gateway while 10,000 clients send half a request and wait."""

import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from bench.gateway_process import TOPIC

CLIENTS = 10_000
_HEAD = b"POST /topics/%s HTTP/1.1\r\nHost: a\r\nContent-Type: application/vnd.kafka.json.v2+json\r\n" % (
    TOPIC.encode()
)
HALVES = {
    "half a head": _HEAD,
    "half a body of 450 bytes": _HEAD + b"Content-Length: 450\r\n\r\n" + b" " * 225,
    "60 KB of a body of 10 MB": _HEAD + b"Content-Length: 10000000\r\n\r\n" + b" " * 60_000,
}


def run(url: str, pid: int) -> None:
    """Print what each kind of client costs, and how long a whole request takes meanwhile."""
    clients = min(CLIENTS, _files() - 500)
    for name, half in HALVES.items():
        before = _memory(pid)
        with ExitStack() as stack:
            for number in range(clients):
                _begin(stack, url, half)
                if number % 500 == 0:
                    time.sleep(0.05)  # the backlog of a listening socket is short
            started = time.perf_counter()
            answer = httpx.post(url, content=b'{"records":[{"value":1}]}', headers=_MEDIA, timeout=60)
            seconds = time.perf_counter() - started
            held = _memory(pid)
        print(
            f"{f'{clients:,} clients with {name}':52} {before:5.0f} MB before, {held:5.0f} MB with them;"
            f" another request: {answer.status_code} in {seconds * 1_000:.0f} ms",
            flush=True,
        )


_MEDIA = {"Content-Type": "application/vnd.kafka.json.v2+json"}


def _begin(stack: ExitStack, url: str, half: bytes) -> None:
    target = httpx.URL(url)
    connection = stack.enter_context(socket.create_connection((target.host, target.port or 80), timeout=60))
    connection.setblocking(False)
    connection.send(half)


def _files() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CLIENTS + 500 if hard == resource.RLIM_INFINITY else min(CLIENTS + 500, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _memory(pid: int) -> float:
    """Megabytes of a process that lie in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} is gone")
