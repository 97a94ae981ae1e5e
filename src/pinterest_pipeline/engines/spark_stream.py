# ruff: noqa: S608 - the SQL is put together from names of this package and quoted paths
"""Streams to Delta tables on Spark: what `databricks/kinesis_streams.py` is made of, there and here.

records = spark.readStream.format("kinesis")…                       # rows of Kinesis
marked = clean(spark, landed_lines(records), table, "stream")       # of `spark_frames`
marked.writeStream.foreachBatch(tables.writer(table, checkpoint))   # exactly once

Each batch sets aside its bad rows, then merges the good ones: of each `ind` the newest position stays. Both
commits carry the batch as a Delta transaction (txnAppId, txnVersion), so that one that is run again changes
nothing, whichever of the two were made before.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pinterest_pipeline.cleaning.select import newness
from pinterest_pipeline.config import crash_at
from pinterest_pipeline.engines.base import clean_schema, quarantine_schema
from pinterest_pipeline.engines.spark_frames import newest, quarantined
from pinterest_pipeline.engines.spark_lines import VALUE
from pinterest_pipeline.records import names
from pinterest_pipeline.records.codec import landed_line, position_suffix
from pinterest_pipeline.records.names import TABLES, Table

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

_BATCH: Final = "pinpipe_batch"
_TXN: Final = "spark.databricks.delta.write."


def landed_lines(records: "DataFrame") -> "DataFrame":
    """The rows of Kinesis as lines in `VALUE`, as they are in the embedded branch, position and all."""
    from pyspark.sql import functions as f

    line = f.udf(_line, "string", useArrow=False)
    milliseconds = f.unix_millis("approximateArrivalTimestamp")
    return records.select(line("data", "stream", "shardId", "sequenceNumber", milliseconds).alias(VALUE))


def _line(data: bytes, stream: str, shard: str, sequence: str, milliseconds: int) -> str:
    position = {"_stream": stream, "_shard": shard, "_sequence": sequence, "_timestamp": milliseconds}
    return landed_line(bytes(data), position_suffix(position)).decode()


@dataclass(frozen=True, slots=True)
class StreamTables:
    """The tables of the stream branch: in a schema of a catalog, or in a folder if `root` has a slash.

    Holds nothing but names, so that a query may take it along to where its batches are handled.
    """

    root: str
    pipeline_id: str

    def name(self, table: Table) -> str:
        """A clean table as SQL names it."""
        return self._named(names.delta_table("stream", self.pipeline_id, table))

    def quarantine(self) -> str:
        return self._named(names.QUARANTINE)

    def create(self, spark: "SparkSession") -> None:
        """Make the tables that are not there, and keep their files few; add columns that older ones lack."""
        made = {self.name(table): clean_schema(table, "stream") for table in TABLES}
        for name, schema in {**made, self.quarantine(): quarantine_schema("stream")}.items():
            spark.sql(
                f"CREATE TABLE IF NOT EXISTS {name} ({_columns(schema)}) USING DELTA"
                " TBLPROPERTIES ('delta.autoOptimize.autoCompact' = 'true')"
            )
            known = spark.sql(f"SELECT * FROM {name} LIMIT 0").columns
            if new := [column for column in schema.names if column not in known]:
                missing = [schema.field(column) for column in new]
                spark.sql(f"ALTER TABLE {name} ADD COLUMNS ({_columns(missing)})")

    def writer(self, table: Table, checkpoint: str) -> "Callable[[DataFrame, int], None]":
        """What `foreachBatch` of the query with this checkpoint calls."""
        return partial(_write, self, table, checkpoint)

    def _named(self, name: str) -> str:
        if "/" in self.root:
            return f"delta.`{self.root.rstrip('/')}/{name}`"
        return f"{self.root}.`{name}`"


def _write(tables: StreamTables, table: Table, checkpoint: str, marked: "DataFrame", batch: int) -> None:
    spark = marked.sparkSession
    crash_at("spark-planned")
    marked.persist()
    try:
        if not marked.isEmpty():
            _set_aside_and_merge(tables, table, _query_id(spark, checkpoint), marked, batch)
        crash_at("spark-committed")
    finally:
        marked.unpersist()


def _set_aside_and_merge(
    tables: StreamTables, table: Table, query: str, marked: "DataFrame", batch: int
) -> None:
    spark = marked.sparkSession
    bad = quarantined(spark, marked, table, "stream")
    has_bad = not bad.isEmpty()
    crash_at("spark-read")
    if has_bad:
        bad.createOrReplaceTempView(_BATCH)
        with _transaction(spark, f"{query} quarantine", batch):
            spark.sql(f"INSERT INTO {tables.quarantine()} SELECT * FROM {_BATCH}")
    crash_at("spark-quarantined")
    newest(marked, table, "stream").createOrReplaceTempView(_BATCH)
    with _transaction(spark, f"{query} clean", batch):
        spark.sql(_merge(tables.name(table)))


def _merge(target: str) -> str:
    return (
        f"MERGE INTO {target} AS target USING {_BATCH} AS source ON target.ind = source.ind"
        f" WHEN MATCHED AND {newness('stream', 'source')} > {newness('stream', 'target')} THEN UPDATE SET *"
        " WHEN NOT MATCHED THEN INSERT *"
    )


def _query_id(spark: "SparkSession", checkpoint: str) -> str:
    """The id that Spark gave the query; it lives and goes with the checkpoint, as the numbers of batches do.

    With a name of our own the first batches behind a new checkpoint would be taken for those of the old one.
    """
    rows = spark.read.text(f"{checkpoint.rstrip('/')}/metadata").collect()
    found: str = json.loads(rows[0][0])["id"]
    return found


@contextmanager
def _transaction(spark: "SparkSession", application: str, version: int) -> Iterator[None]:
    """Every write within is one that the table takes once; the session is the query's own."""
    spark.conf.set(f"{_TXN}txnAppId", application)
    spark.conf.set(f"{_TXN}txnVersion", str(version))
    try:
        yield
    finally:
        spark.conf.unset(f"{_TXN}txnAppId")
        spark.conf.unset(f"{_TXN}txnVersion")


def _columns(fields: "Iterable[pa.Field[Any]]") -> str:
    from pyspark.sql.pandas.types import from_arrow_type

    return ", ".join(f"`{field.name}` {from_arrow_type(field.type).simpleString()}" for field in fields)


def trigger(text: str) -> dict[str, Any]:
    """What `DataStreamWriter.trigger` takes: all that is there and then stop, or on and on."""
    return {"availableNow": True} if _ends(text) else {"processingTime": text}


def _ends(trigger: str) -> bool:
    return trigger.lower() == "availablenow"


def run(starts: "Iterable[Callable[[], StreamingQuery]]", trigger: str) -> None:
    """Start queries and wait until all are done; if one fails the others are stopped, its error is raised.

    Queries that end by themselves come one after the other: Spark gives a Python worker ten seconds to come
    up, and those of three queries at once may take longer on a small machine.
    """
    queries: list[StreamingQuery] = []
    try:
        for begin in starts:
            queries.append(begin())
            if _ends(trigger):
                queries[-1].awaitTermination()
        while any(query.isActive for query in queries):
            for query in queries:
                query.awaitTermination(1)
        for query in queries:
            query.awaitTermination()
    finally:
        for query in queries:
            query.stop()
