"""The stream reader of the source `kinesis`: the driver makes offsets, tasks read what lies between them."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import (
    ReadAllAvailable,
    ReadLimit,
    ReadMaxBytes,
    SupportsTriggerAvailableNow,
)

from pinterest_pipeline.engines.kinesis_source_client import Kinesis
from pinterest_pipeline.engines.kinesis_source_driver import NO_BOUND, Driver
from pinterest_pipeline.engines.kinesis_source_offsets import ShardRange, decoded, encoded, ranges
from pinterest_pipeline.engines.kinesis_source_options import KinesisOptions
from pinterest_pipeline.engines.kinesis_source_range import read_range


class ShardGroup(InputPartition):
    """The shards that one task reads."""

    def __init__(self, ranges: list[ShardRange]) -> None:
        super().__init__(ranges)


class KinesisStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Spark makes one in the driver, which keeps what it knows of the shards, and one more for the tasks."""

    def __init__(self, options: KinesisOptions) -> None:
        self._options = options
        self._driver: Driver | None = None

    def _mine(self) -> Driver:
        if self._driver is None:
            self._driver = Driver(self._options)
        return self._driver

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802 - Spark's name
        return encoded(self._mine().beginning())

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802 - Spark's name
        return ReadMaxBytes(self._options.fetch_buffer_size)

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802 - Spark's name
        self._mine().read_only_what_is_there()

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:  # noqa: N802 - Spark's name
        most = limit.max_bytes if isinstance(limit, ReadMaxBytes) else NO_BOUND
        end = self._mine().after(decoded(start), most, isinstance(limit, ReadAllAvailable))
        return start if end is None else encoded(end)

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[InputPartition]:
        reached = decoded(end)
        self._mine().recognise(reached)
        found = ranges(decoded(start), reached)
        size = self._options.shards_per_task
        return [ShardGroup(found[first : first + size]) for first in range(0, len(found), size)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        kinesis = Kinesis(self._options)
        for one in partition.value:
            yield from read_range(kinesis, one, self._options.max_records_per_fetch)

    def stop(self) -> None:
        if self._driver is not None:
            self._driver.close()
