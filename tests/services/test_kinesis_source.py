"""Spark reads streams of a real gateway by `format("kinesis")`: each record once, whatever happens to them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException, StreamingQueryException
from pyspark.sql import DataFrame, Row, SparkSession

from pinterest_pipeline.engines.kinesis_source import register_kinesis
from pinterest_pipeline.eventlog.sequence import shard_id
from tests.services.kinesis_process import KinesisGateway, kinesis_gateway

pytestmark = pytest.mark.services

HALF = str(2**127)


class Reader:
    """A query with a checkpoint of its own, run again and again; the rows of all its batches."""

    def __init__(self, spark: SparkSession, gateway: KinesisGateway, folder: Path, **options: str) -> None:
        self._spark = spark
        self.checkpoint = folder / "checkpoint"
        self._options = {
            "endpoint": gateway.url,
            "region": "us-east-1",
            "awsAccessKey": "any",
            "awsSecretKey": "any",
            "initialPosition": "earliest",
            "minFetchPeriod": "200ms",
        } | options
        self.batches: dict[int, list[Row]] = {}

    def frame(self) -> DataFrame:
        return self._spark.readStream.format("kinesis").options(**self._options).load()

    def run(self, fails_in_batch: int = -1, before: Callable[[int], None] = lambda _: None) -> None:
        """All that is there, by Trigger.AvailableNow."""

        def take(batch: DataFrame, number: int) -> None:
            before(number)
            self.batches[number] = batch.collect()
            if number == fails_in_batch:
                raise RuntimeError("the batch fails")

        writer = self.frame().writeStream.foreachBatch(take).trigger(availableNow=True)
        query = writer.option("checkpointLocation", str(self.checkpoint)).start()
        try:
            assert query.awaitTermination(120)
        finally:
            query.stop()

    @property
    def rows(self) -> list[Row]:
        return [row for number in sorted(self.batches) for row in self.batches[number]]

    @property
    def numbers(self) -> list[int]:
        return [int(row.data) for row in self.rows]

    def offset(self) -> dict[str, Any]:
        """The newest offset that was written down."""
        found: dict[str, Any] = json.loads(self.offset_file().read_text().splitlines()[-1])
        return found

    def offset_file(self) -> Path:
        names = (path.name for path in (self.checkpoint / "offsets").iterdir())
        newest = max(int(name) for name in names if name.isdigit())
        return self.checkpoint / "offsets" / str(newest)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KinesisGateway]:
    with kinesis_gateway(tmp_path_factory.mktemp("kinesis")) as found:
        yield found


@pytest.fixture
def stream(gateway: KinesisGateway, request: pytest.FixtureRequest) -> Iterator[str]:
    """A stream of two shards, of this test alone."""
    name = request.node.name[:100].replace("[", "-").replace("]", "")
    gateway.client().create_stream(StreamName=name, ShardCount=2)
    gateway.advance(1)
    yield name
    gateway.advance(1)


@pytest.fixture
def session(spark: SparkSession) -> SparkSession:
    register_kinesis(spark)
    return spark


@pytest.fixture
def reader(session: SparkSession, gateway: KinesisGateway, stream: str, tmp_path: Path) -> Reader:
    return Reader(session, gateway, tmp_path, streamName=stream)


def put(gateway: KinesisGateway, stream: str, numbers: range) -> None:
    entries = [{"Data": b"%d" % number, "PartitionKey": str(number)} for number in numbers]
    for first in range(0, len(entries), 500):
        answer = gateway.client().put_records(StreamName=stream, Records=entries[first : first + 500])
        assert answer["FailedRecordCount"] == 0


def test_rows_have_databricks_columns_and_every_record_comes_once(
    gateway: KinesisGateway, stream: str, reader: Reader
) -> None:
    assert [field.simpleString() for field in reader.frame().schema] == [
        "partitionKey:string",
        "data:binary",
        "stream:string",
        "shardId:string",
        "sequenceNumber:string",
        "approximateArrivalTimestamp:timestamp",
    ]
    put(gateway, stream, range(1_200))
    reader.run()
    assert sorted(reader.numbers) == list(range(1_200))
    row = next(row for row in reader.rows if row.data == b"7")
    token = gateway.client().get_shard_iterator(
        StreamName=stream,
        ShardId=row.shardId,
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=row.sequenceNumber,
    )["ShardIterator"]
    record = gateway.client().get_records(ShardIterator=token, Limit=1)["Records"][0]
    assert (row.partitionKey, row.stream) == ("7", stream)
    assert row.approximateArrivalTimestamp.timestamp() == record["ApproximateArrivalTimestamp"].timestamp()
    reader.run()
    put(gateway, stream, range(1_200, 1_300))
    reader.run()
    assert sorted(reader.numbers) == list(range(1_300))
