"""Memory of `pinpipe sink` over a long run on Kafka, as a curve: records flow in while it lands them."""

import os
import re
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pinterest_pipeline.broker.node import Node
from pinterest_pipeline.config import Settings, load_settings, variables
from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.landing import own_topics
from pinterest_pipeline.sink.rules import PIPELINE_GROUP
from pinterest_pipeline.workspace import Workspace

_STEPS = 20
_WARM = 4
"""Steps after which what is kept once, as buffers and connections, has come."""
_BATCH = 1_000
_AHEAD = 50_000
"""Records of a topic that may wait for the sink: it lands while they come, and never from a backlog."""
_VALUE = b'{"index":%d,"title":"' + b"x" * 150 + b'","category":"art"}'


def run(folder: Path, records: int) -> None:
    """Print two curves: large objects, and a hundredth as many records in objects of a hundred."""
    node = Node(folder / "kafka", load_settings().cache)
    node.start(lambda _: None)
    try:
        for title, count, flush_size in (("large", records, 10_000), ("small", records // 10, 100)):
            settings = _settings(folder / title, node, flush_size)
            print(f"\n{count:,} records in objects of {flush_size:,}: MiB of the sink at each 5 %")
            curve = _curve(settings, count)
            print(" ".join(f"{size:.0f}" for _, size in curve))
            warm = curve[_WARM - 1 :]
            slope = statistics.linear_regression([done for done, _ in warm], [size for _, size in warm]).slope
            print(f"after warm-up {slope * 1e6:+.2f} MiB for each million records")
    finally:
        node.stop()


def _settings(folder: Path, node: Node, flush_size: int) -> Settings:
    settings = load_settings(data=folder)
    folder.mkdir()
    return settings.model_copy(
        update={
            "pipeline_id": f"memory{folder.name}",
            "log": settings.log.model_copy(update={"home": "kafka"}),
            "kafka": settings.kafka.model_copy(update={"bootstrap_servers": node.address}),
            "sink": settings.sink.model_copy(update={"flush_size": flush_size}),
        }
    )


def _curve(settings: Settings, records: int) -> list[tuple[int, float]]:
    """Records committed and MiB of resident memory, at each step."""
    log = Workspace(settings).topics_log()
    topics = own_topics(settings)
    for topic in topics:
        log.create(topic, settings.log.partitions)
    curve: list[tuple[int, float]] = []
    with _sink(settings) as process:
        sent = _sent(log, topics, records)
        while len(curve) < _STEPS:
            done = {topic: sum(log.committed(PIPELINE_GROUP, topic).values()) for topic in topics}
            _feed(sent, done)
            assert process.poll() is None, (settings.data / "sink.log").read_text()[-2_000:]
            landed = sum(done.values())
            if landed >= records * (len(curve) + 1) // _STEPS:
                curve.append((landed, _resident(process.pid)))
    log.close()
    return curve


def _sent(log: EventLog, topics: tuple[str, ...], records: int) -> Iterator[Mapping[str, int]]:
    """Send one batch to each topic at a time; gives what was sent of each so far."""
    waiting: deque[object] = deque()
    for start in range(0, records // len(topics), _BATCH):
        batch = [Record(_VALUE % number) for number in range(start, start + _BATCH)]
        for topic in topics:
            waiting.append(log.append(topic, batch))
        while len(waiting) > 12:
            waiting.popleft().result()  # type: ignore[attr-defined]
        yield dict.fromkeys(topics, start + _BATCH)


def _feed(sent: Iterator[Mapping[str, int]], done: Mapping[str, int]) -> None:
    """Send until enough waits for the sink, or all is sent."""
    for counts in sent:
        if all(counts[topic] - done[topic] > _AHEAD for topic in counts):
            return
    time.sleep(0.05)


@contextmanager
def _sink(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    with (settings.data / "sink.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pinterest_pipeline", "sink"],
            env=os.environ | dict(variables(settings)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _resident(pid: int) -> float:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024
