"""The source `kinesis` of Spark, as Databricks has it: `spark.readStream.format("kinesis")`.

For Spark off Databricks, where nothing else answers to that name. Needs pyspark 4.2 and boto3.
"""

from collections.abc import Mapping

from pyspark.sql.datasource import DataSource
from pyspark.sql.types import StructType

from pinterest_pipeline.engines.kinesis_source_options import kinesis_options
from pinterest_pipeline.engines.kinesis_source_reader import KinesisStreamReader

SCHEMA = (
    "partitionKey STRING, data BINARY, stream STRING, shardId STRING, sequenceNumber STRING,"
    " approximateArrivalTimestamp TIMESTAMP"
)


class KinesisDataSource(DataSource):
    """Reads streams; raises SettingError at `load()` when an option is wrong or unknown."""

    def __init__(self, options: Mapping[str, str]) -> None:
        super().__init__(dict(options))
        self._options = kinesis_options(options)

    @classmethod
    def name(cls) -> str:
        return "kinesis"

    def schema(self) -> str:
        return SCHEMA

    def streamReader(self, schema: StructType) -> KinesisStreamReader:  # noqa: N802 - Spark's name
        return KinesisStreamReader(self._options)
