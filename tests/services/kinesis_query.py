"""The reader of the source `kinesis` as Spark's micro-batches drive it, without Spark.

Offsets go through JSON, tasks get a pickled reader, and what was written down is all that a new driver knows.
"""

import json
import pickle
from typing import Any

from pyspark.sql.streaming.datasource import ReadAllAvailable

from pinterest_pipeline.engines.kinesis_source_options import kinesis_options
from pinterest_pipeline.engines.kinesis_source_reader import KinesisStreamReader
from tests.services.kinesis_process import KinesisGateway

Row = dict[str, Any]


def reader_of(gateway: KinesisGateway, stream: str, **options: str) -> KinesisStreamReader:
    given = {
        "streamName": stream,
        "endpoint": gateway.url,
        "region": "us-east-1",
        "awsAccessKey": "any",
        "awsSecretKey": "any",
        "initialPosition": "earliest",
        "minFetchPeriod": "200ms",
    }
    return KinesisStreamReader(kinesis_options(given | options))


class Query:
    """One checkpoint. `driver` is gone with a crash; `offsets` and `rows` of finished batches stay."""

    def __init__(self, gateway: KinesisGateway, stream: str, **options: str) -> None:
        self._parts = (gateway, stream)
        self._options = options
        self.offsets: list[str] = []
        self.batches: list[list[Row]] = []
        self.start()

    def start(self) -> None:
        """A new driver that goes on from what was written down; a batch that was planned is run again."""
        gateway, stream = self._parts
        self.driver = reader_of(gateway, stream, **self._options)
        self._first = json.dumps(self.driver.initialOffset()) if len(self.offsets) < 2 else ""
        if len(self.offsets) > len(self.batches):
            self.batches.append(self.rows_of(len(self.offsets) - 1))

    def plan(self, everything: bool = False) -> bool:
        """Write down where the next batch ends; whether there is one."""
        start = json.loads(self.offsets[-1] if self.offsets else self._first)
        limit = ReadAllAvailable() if everything else self.driver.getDefaultReadLimit()
        end = json.dumps(self.driver.latestOffset(start, limit))
        if end != json.dumps(start):
            self.offsets.append(end)
        return end != json.dumps(start)

    def rows_of(self, batch: int) -> list[Row]:
        start = json.loads(self.offsets[batch - 1] if batch else self._first)
        rows: list[Row] = []
        for partition in self.driver.partitions(start, json.loads(self.offsets[batch])):
            gateway, stream = self._parts
            task: KinesisStreamReader = pickle.loads(
                pickle.dumps(reader_of(gateway, stream, **self._options))
            )
            for found in task.read(pickle.loads(pickle.dumps(partition))):
                rows += found.to_pylist()
        return rows

    def step(self, everything: bool = False) -> bool:
        """One micro-batch, if there is anything."""
        if not self.plan(everything):
            return False
        self.batches.append(self.rows_of(len(self.batches)))
        return True

    def finish(self) -> None:
        """Trigger.AvailableNow: all that is there, then stop."""
        self.driver.prepareForTriggerAvailableNow()
        while self.step():
            pass

    @property
    def rows(self) -> list[Row]:
        return [row for batch in self.batches for row in batch]

    @property
    def numbers(self) -> list[int]:
        return [int(row["data"]) for row in self.rows]

    def shards(self, batch: int = -1) -> dict[str, dict[str, Any]]:
        """The places of the stream's shards in an offset."""
        found: dict[str, dict[str, Any]] = json.loads(self.offsets[batch])[self._parts[1]]["shards"]
        return found

    def change_seen(self, by_ms: int) -> None:
        """Move the times in the newest offset, as if the query had stopped that much earlier."""
        offset = json.loads(self.offsets[-1])
        for place in offset[self._parts[1]]["shards"].values():
            place["seen"] += by_ms
        self.offsets[-1] = json.dumps(offset)
