"""PutRecords beside other servers of Kinesis' API, and ten shards at the most that Kinesis lets them take."""

import json
import statistics
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from time import sleep
from typing import NamedTuple

import msgspec

from bench.gateway import cpu
from bench.kinesis_peers import HEADERS, PEERS, ask, ours, running
from pinterest_pipeline.config import Settings
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records.codec import wire_row

CLIENTS = 4
BATCH = 500
SECONDS = 5
STREAM = "bench"
SHARDS = 4

QUOTA_SHARDS = 10
QUOTA_RECORDS = 1_000
"""Records that a shard of Kinesis takes in a second, of 1,000 bytes each."""
QUOTA_SECONDS = 60
QUOTA_CLIENTS = 16
"""So many that none of them is the limit: each sends 625 records a second."""


class Load(NamedTuple):
    """What all clients saw together."""

    rate: float
    refused: int
    p50: float
    p99: float
    cpu: float
    """Seconds of the server's processor time for a record."""


def run(folder: Path) -> None:
    cache = Settings().cache.expanduser() / "bench"
    print(f"PutRecords of {BATCH} posts from {CLIENTS} clients, {SHARDS} shards")
    own = 0.0
    for server in (ours(), *PEERS):
        with running(server, cache, folder / server.name.replace(" ", "-")) as found:
            if found is None:
                print(f"{server.name:15} skipped: npm, node or uv is missing, or it could not be fetched")
                continue
            try:
                load = _measured(*found, folder)
            except RuntimeError as error:
                print(f"{server.name:15} failed: {error}")
                continue
            own = own or load.rate
            print(
                f"{server.name:15} {load.rate:>9,.0f} records/s  {own / load.rate:6.1f} times as fast is ours"
                f"  {load.cpu * 1e6:6.1f} µs of CPU a record  p50 {load.p50 * 1000:7.1f} ms"
                f"  durable: {server.durable}",
                flush=True,
            )
    _quota(cache, folder)


def _measured(address: str, pid: int, folder: Path) -> Load:
    _make(address, SHARDS)
    rows = [msgspec.json.encode(wire_row(post["pin"])) for post in generate(BATCH)]
    request = _request(folder, [(row, str(number), None) for number, row in enumerate(rows)])
    _loaded(address, pid, request, 2.0)  # just-in-time compilers are slow at first
    return _loaded(address, pid, request, SECONDS)


def _quota(cache: Path, folder: Path) -> None:
    """Offer ten shards exactly what they may take, then twice of it."""
    step = 2**128 // QUOTA_SHARDS
    entries = [
        (b"x" * 990, f"{number:010d}", str(number % QUOTA_SHARDS * step + step // 2))
        for number in range(BATCH)
    ]
    request = _request(folder, entries)
    most = QUOTA_SHARDS * QUOTA_RECORDS
    with running(ours(limits=True), cache, folder / "quota") as found:
        assert found is not None
        address, pid = found
        _make(address, QUOTA_SHARDS)
        for offered, seconds in ((1, QUOTA_SECONDS), (2, QUOTA_SECONDS // 3)):
            sleep(1.0)  # the buckets are full again
            load = _loaded(address, pid, request, seconds, QUOTA_CLIENTS, BATCH / (offered * most))
            print(
                f"{QUOTA_SHARDS} shards with limits, {offered * most:,} records/s of 1,000 bytes offered for"
                f" {seconds} s: {load.rate:,.0f} acknowledged a second, {load.refused:,} throttled"
                f"  {load.cpu * 1e6:.1f} µs of CPU a record  p50 {load.p50 * 1000:.1f} ms"
                f"  p99 {load.p99 * 1000:.1f} ms",
                flush=True,
            )


def _make(address: str, shards: int) -> None:
    ask(address, "CreateStream", json.dumps({"StreamName": STREAM, "ShardCount": shards}))
    while b'"ACTIVE"' not in ask(address, "DescribeStream", json.dumps({"StreamName": STREAM})):
        sleep(0.1)


def _request(folder: Path, entries: Iterable[tuple[bytes, str, str | None]]) -> Path:
    """A file that `bench.kinesis_load` sends."""
    records = [
        {"Data": b64encode(data).decode(), "PartitionKey": key}
        | ({} if hash_key is None else {"ExplicitHashKey": hash_key})
        for data, key, hash_key in entries
    ]
    path = folder / "request.json"
    content = {
        "headers": HEADERS | {"X-Amz-Target": "Kinesis_20131202.PutRecords"},
        "body": json.dumps({"StreamName": STREAM, "Records": records}),
        "records": len(records),
    }
    path.write_text(json.dumps(content))
    return path


def _loaded(
    address: str, pid: int, request: Path, seconds: float, clients: int = CLIENTS, apart: float = 0.0
) -> Load:
    """What clients see whose requests together are so many seconds apart, or follow their answers at once."""
    period = clients * apart
    command = [sys.executable, "-m", "bench.kinesis_load", address, str(request), str(seconds), str(period)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(clients)
    ]
    for client in processes:
        assert client.stdout is not None
        client.stdout.readline()
    before, start = cpu(pid), time.time() + 0.5
    for number, client in enumerate(processes):
        assert client.stdin is not None
        client.stdin.write(f"{start + number * apart}\n")
        client.stdin.flush()
    said = [client.communicate()[0] for client in processes]
    if any(client.returncode for client in processes):
        raise RuntimeError("a client got no answer, or a wrong one")
    found = [json.loads(one) for one in said]
    spent, took = cpu(pid) - before, max(one["seconds"] for one in found)
    acknowledged = sum(one["acknowledged"] for one in found)
    latencies = sorted(latency for one in found for latency in one["latencies"])
    return Load(
        acknowledged / took,
        sum(one["refused"] for one in found),
        statistics.median(latencies),
        latencies[int(len(latencies) * 0.99)],
        spent / acknowledged,
    )
