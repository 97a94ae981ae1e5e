"""Asks Kinesis by boto3: one try, or as many as a wait allows."""

import random
import threading
import time
from typing import Any, Final

import boto3  # type: ignore[import-untyped] # it has no types
from botocore.config import Config  # type: ignore[import-untyped] # it has no types

from pinterest_pipeline.config import KinesisSettings
from pinterest_pipeline.errors import Retryable, Unavailable
from pinterest_pipeline.eventlog.kinesis_errors import Unsure, no_client, translated

_CONNECTIONS: Final = 16
_ANSWER_SECONDS: Final = 10.0
_OWN_REGION: Final = "us-east-1"
"""What a gateway of one's own is asked for: it has one region."""

_ANSWERED: Final = {
    "describe_stream_summary": {"StreamDescriptionSummary"},
    "get_records": {"Records"},
    "get_shard_iterator": {"ShardIterator"},
    "list_shards": {"Shards"},
    "list_streams": {"HasMoreStreams", "StreamNames"},
    "put_records": {"Records"},
}
"""What an answer must have: of one that was cut off on its way boto3 makes an empty one, without an error."""


class Pauses:
    """Ever longer pauses, each by chance between its half and its whole, so that many do not come at once."""

    def __init__(self, first: float = 0.05, longest: float = 2.0) -> None:
        self._longest = longest
        self._pause = first

    def next(self) -> float:
        pause, self._pause = self._pause, min(2 * self._pause, self._longest)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 -- no secret depends on it


class Client:
    """Kinesis in a region, or at an endpoint. Any thread may use it.

    Credentials come from AWS's usual chain when something is first asked. Raises SettingError when there
    is no region.
    """

    def __init__(self, settings: KinesisSettings) -> None:
        seconds = min(settings.delivery_seconds, _ANSWER_SECONDS)
        endpoint = settings.endpoint.rstrip("/") or None
        config = Config(
            retries={"total_max_attempts": 1},  # what is tried again, and when, is decided here
            connect_timeout=seconds,
            read_timeout=seconds,
            max_pool_connections=_CONNECTIONS,
            user_agent_extra="pinpipe",
        )
        try:
            session = boto3.session.Session(region_name=settings.region or None)
            region = session.region_name or (_OWN_REGION if endpoint else None)
            self._client = session.client("kinesis", region_name=region, endpoint_url=endpoint, config=config)
        except Exception as error:
            raise no_client(error) from None
        self.address: str = self._client.meta.endpoint_url
        self.seconds = seconds
        self._closed = threading.Event()

    def ask(self, operation: str, stream: str = "", **request: Any) -> dict[str, Any]:
        """The answer to a request about a stream. Tries once; raises our own errors and ExpiredIterator."""
        if self._closed.is_set():
            raise Unavailable("the log is closed")
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**request)
        except Exception as error:
            raise translated(error, operation, stream, self.address) from None
        if not _ANSWERED.get(operation, frozenset()) <= answer.keys():
            raise Unsure(f"Kinesis at {self.address} gave half an answer to {operation}", "try again")
        return answer

    def insist(self, operation: str, stream: str = "", **request: Any) -> dict[str, Any]:
        """As `ask`, but what may pass by itself is tried again for a while."""
        pauses, deadline = Pauses(), time.monotonic() + self.seconds
        while True:
            try:
                return self.ask(operation, stream, **request)
            except Retryable:
                if not self.paused(pauses.next(), deadline):
                    raise

    def paused(self, seconds: float, deadline: float) -> bool:
        """Wait so long; False at once when the deadline is nearer, or once the log is closed."""
        return time.monotonic() + seconds <= deadline and not self._closed.wait(seconds)

    def close(self) -> None:
        """Let waits end and refuse what comes."""
        self._closed.set()
        self._client.close()
