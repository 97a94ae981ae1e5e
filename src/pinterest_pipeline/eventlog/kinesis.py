"""Streams in Kinesis: those of AWS, or of whatever speaks its API, as a gateway of one's own does."""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from pinterest_pipeline.config import KinesisSettings
from pinterest_pipeline.eventlog.base import READ_BYTES, Receipt, Record, Refusal, StoredRecord
from pinterest_pipeline.eventlog.kinesis_client import Client
from pinterest_pipeline.eventlog.kinesis_directory import Directory
from pinterest_pipeline.eventlog.kinesis_reader import Reader
from pinterest_pipeline.eventlog.kinesis_sender import Sender
from pinterest_pipeline.eventlog.stream_log import ShardRecords
from pinterest_pipeline.eventlog.streams import Expired, Stream


class KinesisStreamLog:
    """A StreamLog in Kinesis. It connects when it is first used; raises SettingError without a region.

    An offset is what a sequence number says; `max_record_bytes` bounds key and value together. Headers of
    records are not kept. A record whose answer was lost is sent again, and may land twice.
    """

    def __init__(self, settings: KinesisSettings, max_record_bytes: int) -> None:
        self._client = Client(settings)
        self._directory = Directory(self._client)
        self._reader = Reader(self._client, self._directory)
        self._sender = Sender(self._client, settings, max_record_bytes)
        self._closing = threading.Lock()
        self._closed = False

    def append(self, topic: str, records: Sequence[Record]) -> Future[list[Receipt | Refusal]]:
        return self._sender.submit(topic, records)

    def read(
        self, topic: str, partition: int, offset: int, max_records: int, max_bytes: int = READ_BYTES
    ) -> list[StoredRecord]:
        return self._reader.read(topic, partition, offset, max_records, max_bytes)

    def get(
        self, stream: str, shard: int, offset: int, max_records: int, max_bytes: int = READ_BYTES
    ) -> ShardRecords:
        return self._reader.get(stream, shard, offset, max_records, max_bytes)

    def beginnings(self, topic: str) -> dict[int, int]:
        return {shard.number: shard.beginning for shard in self.stream(topic).shards}

    def ends(self, topic: str) -> dict[int, int]:
        """None: Kinesis does not say where a shard ends."""
        self.stream(topic)
        return {}

    def expired(self, stream: str, positions: Mapping[int, int]) -> dict[int, Expired]:
        """None: Kinesis passes over what has expired, and does not say that there was any."""
        self.stream(stream)
        return {}

    def stream(self, name: str) -> Stream:
        return self._directory.stream(name)

    def create(self, topic: str, partitions: int) -> None:
        self._directory.create(topic, partitions)

    def delete(self, topic: str) -> None:
        self._directory.delete(topic)

    def topics(self) -> list[str]:
        return self._directory.names()

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def close(self) -> None:
        with self._closing:
            if not self._closed:
                self._closed = True
                self._sender.close()
                self._client.close()
