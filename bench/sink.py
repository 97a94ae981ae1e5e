"""Kafka to objects: the sink on a backlog, beside a plain consumer that writes the same values to a file."""

import multiprocessing
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from pinterest_pipeline.broker.node import Node
from pinterest_pipeline.config import Settings, load_settings
from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.landing import own_topics, sink_rules, sink_store
from pinterest_pipeline.s3server.address import object_settings
from pinterest_pipeline.s3server.server import S3Server
from pinterest_pipeline.sink.worker import Sink
from pinterest_pipeline.workspace import Workspace

RECORD_BYTES = 450
_TOPICS = 3
_PARTITIONS = 3
_LATENCY_AGE = 2.0


def run(folder: Path, records: int) -> None:
    """Print the figures."""
    whole = _TOPICS * _PARTITIONS * load_settings().sink.flush_size
    records = max(records // whole, 1) * whole  # no object waits for its age
    node = Node(folder / "kafka", load_settings().cache)
    node.start(lambda _: None)
    try:
        settings = _settings(folder, node)
        _fill(Workspace(settings), records)
        print(f"\n{records:,} records of {RECORD_BYTES} bytes in three topics of Kafka")
        limit, memory = _measured(_raw, settings)
        _show("plain consumer to one file", records / limit, memory, 1.0)
        _sink(settings.model_copy(update={"data": folder / "to-folder"}), "sink to a folder", records, limit)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            server = S3Server(Path(name))
            try:
                objects = object_settings(Path(name), settings.objects)
                update = {"data": folder / "to-s3", "objects": objects}
                _sink(settings.model_copy(update=update), "sink to SeaweedFS", records, limit)
            finally:
                server.stop()
        _latency(settings.model_copy(update={"data": folder / "latency"}))
    finally:
        node.stop()


def _settings(folder: Path, node: Node) -> Settings:
    settings = load_settings(data=folder / "data")
    settings.data.mkdir()
    return settings.model_copy(
        update={
            "log": settings.log.model_copy(update={"home": "kafka", "partitions": _PARTITIONS}),
            "kafka": settings.kafka.model_copy(update={"bootstrap_servers": node.address}),
        }
    )


def _fill(workspace: Workspace, records: int) -> None:
    log = workspace.topics_log()
    text = "x" * (RECORD_BYTES - 60)
    waiting = []
    for topic in own_topics(workspace.settings):
        log.create(topic, _PARTITIONS)
        for start in range(0, records // _TOPICS, 1_000):
            batch = [
                Record(
                    b'{"index":%d,"title":"%s","category":"art","downloaded":1}' % (number, text.encode()),
                    partition=number % _PARTITIONS,
                )
                for number in range(start, min(start + 1_000, records // _TOPICS))
            ]
            waiting.append(log.append(topic, batch))
            if len(waiting) > 20:
                waiting.pop(0).result()
    for future in waiting:
        future.result()
    log.close()


def _sink(settings: Settings, title: str, records: int, limit: float) -> None:
    seconds, memory = _measured(_drain, settings, records)
    _show(title, records / seconds, memory, limit / seconds)


def _show(title: str, rate: float, memory: int, ratio: float) -> None:
    print(f"{title:45} {rate:>12,.0f} records/s {memory / 2**20:>8,.0f} MiB   {ratio:6.1%} of the consumer")


def _measured(work: Callable[..., float], *arguments: Any) -> tuple[float, int]:
    """Seconds and peak bytes of memory of the work in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, arguments, sender))
    process.start()
    found: tuple[float, int] = receiver.recv()
    process.join()
    return found


def _child(work: Callable[..., float], arguments: tuple[Any, ...], sender: Any) -> None:
    seconds = work(*arguments)
    sender.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def _raw(settings: Settings) -> float:
    """Read every record once and write its bytes to one file."""
    log = Workspace(settings).topics_log()
    topics = own_topics(settings)
    wanted = sum(sum(log.ends(topic).values()) for topic in topics)
    started = time.perf_counter()
    subscription = log.subscribe("raw", topics)
    with (settings.data / "raw.jsonl").open("wb") as file:
        while wanted > 0:
            for records in subscription.poll(10_000, 0.5).values():
                wanted -= len(records)
                file.write(b"\n".join(record.value or b"" for record in records) + b"\n")
    seconds = time.perf_counter() - started
    subscription.close()
    log.close()
    return seconds


def _drain(settings: Settings, records: int) -> float:
    """Run the sink until it has committed every record."""
    stop = threading.Event()
    log = Workspace(settings).topics_log()
    group = f"sink-{settings.data.name}"
    started = time.perf_counter()
    thread = threading.Thread(target=_run, args=(settings, log, group, stop))
    thread.start()
    while _committed(log, settings, group) < records:
        time.sleep(0.2)
    seconds = time.perf_counter() - started
    stop.set()
    thread.join()
    log.close()
    return seconds


def _run(settings: Settings, log: EventLog, group: str, stop: threading.Event) -> None:
    rules = msgspec.structs.replace(sink_rules(settings, None), group=group)
    Sink(log, sink_store(Workspace(settings), rules), rules, settings.sink.poll_seconds).run(stop)


def _committed(log: EventLog, settings: Settings, group: str) -> int:
    return sum(sum(log.committed(group, topic).values()) for topic in own_topics(settings))


def _latency(settings: Settings) -> None:
    """From acknowledgement to the commit of its object, for single records and nothing after them."""
    settings = settings.model_copy(
        update={"sink": settings.sink.model_copy(update={"flush_seconds": _LATENCY_AGE})}
    )
    stop, group = threading.Event(), "sink-latency"
    log = Workspace(settings).topics_log()
    topic = own_topics(settings)[0]
    for name in own_topics(settings):
        log.commit(group, name, log.ends(name))
    thread = threading.Thread(target=_run, args=(settings, log, group, stop))
    thread.start()
    took = []
    for _ in range(5):
        log.append(topic, [Record(b"{}", partition=0)]).result()
        acknowledged, end = time.perf_counter(), log.ends(topic)[0]
        while log.committed(group, topic).get(0, 0) < end:
            time.sleep(0.01)
        took.append(time.perf_counter() - acknowledged)
    stop.set()
    thread.join()
    log.close()
    title = f"last record to its object, age {_LATENCY_AGE} s"
    print(f"{title:45} {max(took):>12.2f} s at most, of {len(took)}")
