"""A gateway in a process of its own, over logs in which something is."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER = """
import sys
from pathlib import Path
from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.access import guards, key_file
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.plans import Plan
from pinterest_pipeline.gateway.server import bind, serve
folder, figures = Path(sys.argv[1]), Figures()
settings = GatewaySettings(access=sys.argv[2], consumer_max_wait_seconds=0.1)
topics = SqliteEventLog(folder / "topics.sqlite", kafka_partition, 2**20, session_seconds=3_600)
streams = SqliteStreamLog(folder / "streams.sqlite", 2**20)
for log in (topics, streams):
    log.create("known", 2)
topics.append("known", [Record(b"{}", b"k", 0, headers=(("h", b"v"),)), Record(None, None, 0)]).result()
topics.commit("readers", "known", {0: 1})
member = topics.subscribe("readers", ["known"])
member.poll(1, 0)
sock = bind("127.0.0.1", 0)
consumer = topics.describe_group("readers").members[0].id
nouns = ("topic", "group", "stream", "cluster", "service")
scopes = [f"{verb}:{noun}:*" for verb in ("describe", "read", "write", "create", "delete") for noun in nouns]
key, _ = key_file(folder).create("all", scopes, Plan(), None)
print(sock.getsockname()[1], topics.cluster().id, consumer, key, flush=True)
checks = guards(settings, "127.0.0.1", folder, figures.refused)
store = ConsumerStore(folder / "gateway")
app = create_app(settings, topics, streams, guards=checks, figures=figures, consumers=store)
serve(app, sock, settings, figures)
store.close()
member.close()
topics.close()
streams.close()
"""


@dataclass(frozen=True)
class Gateway:
    url: str
    cluster: str
    consumer: str
    key: str


@contextmanager
def running(folder: Path, access: str) -> Iterator[Gateway]:
    """A gateway whose logs have a topic, a stream and a group with a member; it must outlive the test."""
    (folder / "data").mkdir()
    command = [sys.executable, "-c", SERVER, str(folder / "data"), access]
    with (
        (folder / "log").open("w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        port, cluster, consumer, key = process.stdout.readline().split()
        try:
            yield Gateway(f"http://127.0.0.1:{port}", cluster, consumer, key)
            alive = process.poll() is None
        finally:
            process.terminate()
            process.wait(30)
        log.seek(0)
        said = log.read()
    assert alive, said
    assert "Traceback" not in said
