"""Requests through the gateway, beside a request that does nothing and beside the log without HTTP.

wrk (Debian: apt-get install wrk) sends as many requests at a time as it has connections; it waits for each
answer, so that its 99th percentile hides what would have queued. On a machine that does other work too, the
processor time of a request says more than the rate.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench import slow_clients
from bench.gateway_process import TOPIC, open_log
from pinterest_pipeline.config import Settings
from pinterest_pipeline.eventlog.base import Record

if TYPE_CHECKING:
    from confluent_kafka import Producer

SECONDS = 5
VALUE = json.dumps({"index": 1, "text": "x" * 420}).encode()
SHAPES = ((1, 1), (32, 1), (256, 1), (32, 100))
"""Connections, and records of a request."""
BATCH = 100
RAW_RECORDS = 200_000
_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/vnd.kafka.json.v2+json"
local file = io.open("%s", "rb")
wrk.body = file:read("*all")
"""
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1_000.0}


class Figures(NamedTuple):
    """What wrk saw: requests a second, and milliseconds that half and 99 of 100 took at most."""

    rate: float
    p50: float
    p99: float
    cpu: float
    """Microseconds of the gateway's processor time for a request."""


def run(folder: Path) -> None:
    if shutil.which("wrk") is None:
        print("gateway: wrk is not installed (Debian: apt-get install wrk)")
        return
    limits = _measured("noop", folder, {})
    _measured("sqlite", folder, limits)
    with _kafka(folder) as address:
        _measured(f"kafka={address}", folder, limits)
    with _gateway("sqlite", folder / "slow") as (url, pid):
        slow_clients.run(url, pid)


def _measured(
    home: str, folder: Path, limits: dict[tuple[int, int], Figures]
) -> dict[tuple[int, int], Figures]:
    """Print the figures of a home, each beside the no-op's, and records a second beside the raw client's."""
    kind = home.partition("=")[0]
    raw = 0.0 if kind == "noop" else _raw(home, folder / f"{kind}-raw")
    if kind == "kafka":
        raw = _client(home.partition("=")[2])
    found: dict[tuple[int, int], Figures] = {}
    with _gateway(home, folder / kind) as (url, pid):
        _wrk(url, pid, *SHAPES[-1], folder)  # a JVM is slow at first
        for shape in SHAPES:
            found[shape] = figures = _wrk(url, pid, *shape, folder)
            connections, records = shape
            name = f"{kind}, {connections} connections, {records} a request"
            line = f"{name:42} {figures.rate:>9,.0f} requests/s"
            line += f"  p50 {figures.p50:7.2f} ms  p99 {figures.p99:7.2f} ms"
            line += f"  {figures.cpu:5.0f} µs of CPU"
            if shape in limits:
                line += f"  {figures.rate / limits[shape].rate:6.1%} of no-op"
            if raw:
                line += f"  {figures.rate * records / raw:6.1%} of raw"
            print(line, flush=True)
    return found


def _raw(home: str, folder: Path) -> float:
    """Records a second into the log without HTTP, in requests of 100 with 32 under way."""
    folder.mkdir(parents=True)
    log = open_log(home, folder)
    records = [Record(VALUE)] * BATCH

    def send() -> None:
        waiting = []
        for number in range(RAW_RECORDS // BATCH):
            waiting.append(log.append(TOPIC, records))
            if number >= 32:
                waiting[number - 32].result()
        for future in waiting:
            future.result()

    seconds, processor_seconds = _warm(send)
    rate, spent = RAW_RECORDS / seconds, processor_seconds / RAW_RECORDS * 1e6 * BATCH
    log.close()
    name = f"{home.partition('=')[0]}, without HTTP, {BATCH} a call"
    print(f"{name:42} {rate:>9,.0f} records/s   {spent:5.0f} µs of CPU a call", flush=True)
    return rate


def _warm(send: Callable[[], None]) -> tuple[float, float]:
    """Seconds and processor seconds of the second of two rounds: clients and a JVM are slow at first."""
    for _ in range(2):
        started, cpu = time.perf_counter(), time.process_time()
        send()
    return time.perf_counter() - started, time.process_time() - cpu


def _client(address: str) -> float:
    """Records a second of Kafka's own client: idempotent, acks=all, told of each record."""
    from confluent_kafka import Producer

    settings = {"bootstrap.servers": address, "enable.idempotence": True, "acks": "all", "linger.ms": 1}
    producer, told = Producer(settings), 0

    def delivered(error: object, _: object) -> None:
        nonlocal told
        assert error is None
        told += 1

    def send() -> None:
        nonlocal told
        told = 0
        _produce_all(producer, delivered)
        assert told == RAW_RECORDS

    rate = RAW_RECORDS / _warm(send)[0]
    print(f"{'kafka, its own idempotent client':42} {rate:>9,.0f} records/s", flush=True)
    return rate


def _produce_all(producer: "Producer", delivered: Callable[[object, object], None]) -> None:
    for _ in range(RAW_RECORDS):
        while True:
            try:
                producer.produce(TOPIC, VALUE, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.01)
        producer.poll(0)
    producer.flush()


@contextmanager
def _gateway(home: str, folder: Path) -> Iterator[tuple[str, int]]:
    """The address of the topic, and the id of the process."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "bench.gateway_process", home, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            yield f"http://127.0.0.1:{port}/topics/{TOPIC}", process.pid
        finally:
            process.terminate()


def _wrk(url: str, pid: int, connections: int, records: int, folder: Path) -> Figures:
    body, script = folder / "body.json", folder / "post.lua"
    body.write_bytes(b'{"records":[' + b",".join([b'{"value":' + VALUE + b"}"] * records) + b"]}")
    script.write_text(_SCRIPT % body)
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{SECONDS}s",
        "--timeout",
        "10s",
        "--latency",
        "-s",
        str(script),
        url,
    ]
    before = cpu(pid)
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(out)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", out)
    assert rate is not None, out
    count = re.search(r"([0-9]+) requests in", out)
    assert count is not None, out
    spent = (cpu(pid) - before) / int(count[1]) * 1e6
    return Figures(float(rate[1]), _percentile(out, 50), _percentile(out, 99), spent)


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _percentile(out: str, which: int) -> float:
    found = re.search(rf"\s{which}%\s+([0-9.]+)(us|ms|s)", out)
    assert found is not None, out
    return float(found[1]) * _MILLISECONDS[found[2]]


@contextmanager
def _kafka(folder: Path) -> Iterator[str]:
    from pinterest_pipeline.broker.node import Node

    node = Node((folder / "kafka-node").absolute(), Settings().cache)
    node.start(print)
    try:
        yield node.address
    finally:
        node.stop()
