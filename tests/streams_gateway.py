"""A `pinpipe gateway` in a process of its own, whose streams are what AWS's Kinesis would be."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped] # it has no types
import httpx

from pinterest_pipeline.config import KinesisSettings
from pinterest_pipeline.eventlog.kinesis import KinesisStreamLog
from tests.command import environment

_READY_SECONDS = 60.0
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "any",
    "AWS_SECRET_ACCESS_KEY": "any",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What a client of a gateway needs: any two words, and nobody else asked for them."""


class StreamsGateway:
    """The process; started again, it listens on its port of before."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._settings = {"PINPIPE_DATA": str(folder / "aws"), **settings}
        self._port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns once it answers; fails at once if it died."""
        log = self.folder / "gateway.log"
        said = log.stat().st_size if log.exists() else 0
        own = {"PINPIPE_GATEWAY__PORT": str(self._port), **self._settings}
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pinterest_pipeline", "gateway"],
                cwd=self.folder,
                env=environment() | own,
                stderr=file,
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers(log, said):
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)

    def _answers(self, log: Path, said: int) -> bool:
        found = _LISTENING.search(log.read_text()[said:])
        if found is None:
            return False
        self._port = int(found[1])
        try:
            return httpx.get(f"{self.url}/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)

    def log(self, endpoint: str = "", max_record_bytes: int = 2**20, **settings: Any) -> KinesisStreamLog:
        """A log whose Kinesis is this gateway, or a proxy before it."""
        found = KinesisSettings(endpoint=endpoint or self.url, **settings)
        return KinesisStreamLog(found, max_record_bytes)

    def empty(self) -> None:
        """Delete every stream."""
        client = self.client
        names = client.list_streams()["StreamNames"]
        for name in names:
            client.delete_stream(StreamName=name)
        while client.list_streams()["StreamNames"]:
            time.sleep(0.02)

    @cached_property
    def client(self) -> Any:
        """A client of boto3, to look and to reshard."""
        return boto3.client("kinesis", endpoint_url=self.url, region_name="us-east-1")


@contextmanager
def streams_gateway(folder: Path, **settings: str) -> Iterator[StreamsGateway]:
    """A gateway with open access that lives as long as the block; settings are environment variables."""
    gateway = StreamsGateway(folder, **settings)
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()
    assert "Traceback" not in (folder / "gateway.log").read_text()
