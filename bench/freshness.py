"""How long after its HTTP put a record is a row of its Delta table, at a steady rate, while the table grows.

A record counts from the moment it was due to be sent, so that nothing hides in a queue. It is visible once
there is a version of the table that says it holds it. Who loads and who looks are parts of a `Loader`, for
another engine to be measured beside `pinpipe stream`.
"""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from bench.gateway import cpu
from pinterest_pipeline.config import Settings, load_settings
from pinterest_pipeline.engines.base import clean_schema
from pinterest_pipeline.eventlog.sequence import offset_of, partition_of
from pinterest_pipeline.local import Supervisor, read_state
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.names import TABLES, Table
from pinterest_pipeline.workspace import Workspace

RATE = 1_000
"""Records a second, of all three streams together."""
BATCH = 10
_SENDERS = 8
_JSON = {"Content-Type": "application/json"}
_WARM_SECONDS = 5.0
_LATE_SECONDS = 60.0
_START_SECONDS = 300.0  # a JVM, Spark, three queries

Part = tuple[Table, int]
"""A table and the number of a shard of its stream."""


class Loader(NamedTuple):
    """An engine that loads the streams: how its rooms run, and what its tables hold."""

    name: str
    rooms: Callable[[Settings], Any]
    """A context manager that gives the gateway's address while gateway and loader run."""
    see: Callable[[Settings], Callable[[], Mapping[Part, int]]]
    """Makes a function that gives, of each shard, the offset after the last record that is a row now."""


class Sent(NamedTuple):
    """A record that was acknowledged."""

    part: Part
    offset: int
    due: float


def run(folder: Path, seconds: float, rows: tuple[int, ...] = (0, 1_000_000)) -> None:
    """Print the figures of the embedded loader on a new table, and on one that holds so many rows."""
    for number in rows:
        measure(folder / f"freshness-{number}", EMBEDDED, seconds, number)


def measure(folder: Path, loader: Loader, seconds: float, rows: int) -> None:
    """Print how fresh the tables of a loader are, which hold `rows` rows each before."""
    settings = load_settings(data=folder)
    settings = settings.model_copy(update={"gateway": settings.gateway.model_copy(update={"port": 0})})
    folder.mkdir(parents=True)
    if rows:
        _fill(Workspace(settings), rows)
    with loader.rooms(settings) as url:
        watch = _Watch(loader.see(settings))
        try:
            first_ones = _send(url, settings.pipeline_id, BATCH / RATE * len(TABLES))
            watch.wait_for(first_ones, _START_SECONDS)  # until all run
            before = _processor_seconds(settings)
            sent = _send(url, settings.pipeline_id, seconds + _WARM_SECONDS)
            watch.wait_for(sent, _LATE_SECONDS)
            used = {name: spent - before[name] for name, spent in _processor_seconds(settings).items()}
        finally:
            watch.stop()
    first = min(record.due for record in sent) + _WARM_SECONDS
    ages = sorted(watch.seen(record) - record.due for record in sent if record.due >= first)
    p50, p99 = ages[len(ages) // 2], ages[int(len(ages) * 0.99)]
    title = f"put to row, {loader.name}, {rows:,} rows before"
    print(
        f"{title:45} p50 {p50:6.2f} s  p99 {p99:6.2f} s  most {ages[-1]:6.2f} s"
        f"   {len(ages):,} records, {len(ages) / seconds:,.0f} records/s",
        *(f"  {name} {spent / (seconds + _WARM_SECONDS):.0%} of a core" for name, spent in used.items()),
        flush=True,
    )


def _processor_seconds(settings: Settings) -> dict[str, float]:
    """What each room has used; a room that is started again begins at 0."""
    state = read_state(settings.data)
    return {name: cpu(pid) for name, pid in state.rooms.items()} if state else {}


def _fill(workspace: Workspace, rows: int) -> None:
    """Rows of no stream, of about the size of real ones."""
    for table in TABLES:
        target, schema = workspace.table("stream", table), clean_schema(table, "stream")
        for start in range(0, rows, 50_000):
            count = min(50_000, rows - start)
            target.upsert(
                pa.Table.from_arrays([_column(field, start, count) for field in schema], schema=schema),
                {},
                {},
            )


def _column(field: Any, start: int, count: int) -> Any:
    numbers = range(10**9 + start, 10**9 + start + count)
    if field.name == "ind":
        return pa.array(numbers, field.type)
    if pa.types.is_string(field.type):
        return pa.array([f"{field.name} {number * 2654435761 % 2**64:x}" for number in numbers])
    if pa.types.is_list(field.type):
        return pa.array([[1.0, 2.0]] * count, field.type)
    return pa.array([1] * count, pa.int64()).cast(field.type)


class _Watch:
    """Looks all the time how far the tables are."""

    def __init__(self, see: Callable[[], Mapping[Part, int]]) -> None:
        self._see = see
        self._steps: dict[Part, list[tuple[int, float]]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            found, now = self._see(), time.monotonic()
            for part, end in found.items():
                steps = self._steps.setdefault(part, [])
                if not steps or steps[-1][0] < end:
                    steps.append((end, now))

    def seen(self, record: Sent) -> float:
        """When a record was first a row."""
        return next(at for end, at in self._steps[record.part] if end > record.offset)

    def wait_for(self, sent: list[Sent], seconds: float) -> None:
        last: dict[Part, int] = {}
        for record in sent:
            last[record.part] = max(last.get(record.part, 0), record.offset)
        deadline = time.monotonic() + seconds
        while any(self._steps.get(part, [(0, 0.0)])[-1][0] <= offset for part, offset in last.items()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"rows are missing {seconds} s after the last record")
            time.sleep(0.1)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def _send(url: str, pipeline_id: str, seconds: float) -> list[Sent]:
    """Send at the rate, whatever the answers take."""
    bodies = list(_bodies(int(seconds * RATE / BATCH)))
    numbers, began = count(), time.monotonic() + 0.5

    def work() -> list[Sent]:
        connection, sent = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30), []
        while (number := next(numbers)) < len(bodies):
            table, body = bodies[number]
            due = began + number * BATCH / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            connection.request("PUT", f"/streams/{names.stream(pipeline_id, table)}/records", body, _JSON)
            answer = json.loads(connection.getresponse().read())
            sent += [_sent(table, place, due) for place in answer["Records"]]
        return sent

    with ThreadPoolExecutor(_SENDERS) as pool:
        found = [pool.submit(work) for _ in range(_SENDERS)]
        return [record for future in found for record in future.result()]


def _sent(table: Table, place: Mapping[str, str], due: float) -> Sent:
    return Sent((table, partition_of(place["ShardId"])), offset_of(place["SequenceNumber"]), due)


def _bodies(requests: int) -> Iterator[tuple[Table, bytes]]:
    """Requests to each stream in turn, of posts that no request had before."""
    posts = generate(-(-requests // len(TABLES)) * BATCH)
    while True:
        some = list(islice(posts, BATCH))
        if len(some) < BATCH:
            return
        for table in TABLES:
            rows = [wire_row(post[table]) for post in some]
            records = [{"data": row, "partition-key": str(row.get("index", row.get("ind")))} for row in rows]
            yield table, json.dumps({"records": records}).encode()


@contextmanager
def _embedded_rooms(settings: Settings) -> Iterator[str]:
    supervisor, stop = Supervisor(settings, rooms=("gateway", "stream")), threading.Event()
    url = supervisor.start()
    thread = threading.Thread(target=supervisor.run, args=(stop,))
    thread.start()
    try:
        yield url
    finally:
        stop.set()
        thread.join()
        supervisor.stop()


def _embedded_see(settings: Settings) -> Callable[[], Mapping[Part, int]]:
    workspace, ends = Workspace(settings), dict[Part, int]()
    logs = {table: workspace.table("stream", table).path / "_delta_log" for table in TABLES}
    versions = dict.fromkeys(TABLES, 0)

    def see() -> dict[Part, int]:
        """Read the commits that have come since; opening the tables would cost what is to be measured."""
        for table, log in logs.items():
            while (commit := log / f"{versions[table]:020}.json").exists():
                versions[table] += 1
                for line in commit.read_text().splitlines():
                    app = json.loads(line).get("txn", {"appId": "", "version": 0})
                    if "@" in app["appId"]:
                        ends[table, partition_of(app["appId"].rpartition("/")[2])] = app["version"]
        return dict(ends)

    return see


EMBEDDED = Loader("embedded", _embedded_rooms, _embedded_see)
