"""A gateway with streams in a process of its own, and boto3 as its client; its clock is moved by a file."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped] # it has no types
from botocore.config import Config  # type: ignore[import-untyped] # it has no types

SERVER = """
import sys
from pathlib import Path
from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.sqlite_writer import now_ms
from pinterest_pipeline.gateway.access import guards, key_file
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.keys import access_key_id
from pinterest_pipeline.gateway.plans import Plan
from pinterest_pipeline.gateway.server import bind, serve
folder, figures = Path(sys.argv[1]), Figures()
settings = GatewaySettings(access=sys.argv[2])
ahead = folder / "ahead-ms"
topics = SqliteEventLog(folder / "topics.sqlite", kafka_partition, 2**20)
streams = SqliteStreamLog(
    folder / "streams.sqlite", 2**20, transition_seconds=1, limits=sys.argv[3] == "limits",
    clock=lambda: now_ms() + int(ahead.read_text()),
)
keys = key_file(folder)
text, key = keys.create("one", ["write:stream:mine", "read:stream:mine"], Plan(), None)
sock = bind("127.0.0.1", 0)
print(sock.getsockname()[1], text, access_key_id(key), keys.secret_access_key(key), flush=True)
checks = guards(settings, "127.0.0.1", folder, figures.refused)
serve(create_app(settings, topics, streams, guards=checks, figures=figures), sock, settings, figures)
topics.close()
streams.close()
"""


class KinesisGateway:
    """The process, its address, a key for the stream `mine` with what it signs by, and its clock."""

    def __init__(
        self, process: "subprocess.Popen[str]", url: str, key: str, pair: tuple[str, str], ahead: Path
    ) -> None:
        self.process = process
        self.url = url
        self.key = key
        self.pair = pair
        self._ahead = ahead

    def client(self, key: str | None = None, pair: tuple[str, str] = ("any", "any")) -> Any:
        """A client of boto3 that tries nothing twice and leaves every check to the gateway."""
        client = boto3.client(
            "kinesis",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=pair[0],
            aws_secret_access_key=pair[1],
            config=Config(retries={"max_attempts": 0}, parameter_validation=False),
        )
        if key is not None:
            client.meta.events.register(
                "before-sign.kinesis", lambda request, **_: request.headers.add_header("x-api-key", key)
            )
        return client

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        new = self._ahead.with_suffix(".new")
        new.write_text(str(int(self._ahead.read_text()) + int(seconds * 1000)))
        new.replace(self._ahead)  # the gateway reads it at any time


@contextmanager
def kinesis_gateway(
    folder: Path, access: str = "open", limits: str = "no limits"
) -> Iterator[KinesisGateway]:
    """A gateway over the streams of a folder; what it was sent stays there for the next one."""
    ahead = folder / "ahead-ms"
    if not ahead.exists():
        ahead.write_text("0")
    command = [sys.executable, "-c", SERVER, str(folder), access, limits]
    with (
        (folder / "log").open("w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        port, key, *pair = process.stdout.readline().split()
        try:
            yield KinesisGateway(process, f"http://127.0.0.1:{port}", key, (pair[0], pair[1]), ahead)
        finally:
            process.terminate()
            process.wait(30)
        log.seek(0)
        assert "Traceback" not in log.read()
