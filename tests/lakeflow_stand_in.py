"""A Lakeflow pipeline on this machine: what its files define is run once, in order, on Spark with Delta.

Open-source Spark has no expectations, and its pipelines need a server. `Pipeline` puts itself in the place
of `pyspark.pipelines`. `run(file)` runs a file of the pipeline, then each dataset that it defined, in their
order. A view that streams becomes a table, so that others can read it. Rows for which an expectation does not
hold are counted (`failed`, by dataset and expectation; `dropped`, by dataset) and dropped.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark import pipelines
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.window import Window

Query = Callable[[], DataFrame]


class Pipeline:
    """What a pipeline's files defined, and what became of the rows."""

    def __init__(self, spark: SparkSession, checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._spark = spark
        self._checkpoints = checkpoints
        self._expected: dict[Query, Mapping[str, str]] = {}
        self._steps: list[Callable[[], None]] = []
        self.comments: dict[str, str | None] = {}
        self.failed: dict[str, Counter[str]] = defaultdict(Counter)
        self.dropped: Counter[str] = Counter()
        for name in (
            "temporary_view",
            "materialized_view",
            "create_streaming_table",
            "append_flow",
            "create_auto_cdc_flow",
            "expect_all_or_drop",
        ):
            monkeypatch.setattr(pipelines, name, getattr(self, name), raising=False)

    def run(self, file: Path) -> None:
        self._steps.clear()
        source = file.read_text(encoding="utf-8")
        exec(compile(source, file.name, "exec"), {"__name__": "__main__", "spark": self._spark})
        for step in self._steps:
            step()

    def expect_all_or_drop(self, expectations: Mapping[str, str]) -> Callable[[Query], Query]:
        def decorate(query: Query) -> Query:
            self._expected[query] = expectations
            return query

        return decorate

    def temporary_view(self, *, name: str, comment: str | None = None) -> Callable[[Query], None]:
        return self._defined(name, comment, lambda query: self._view(name, query))

    def materialized_view(self, *, name: str, comment: str | None = None) -> Callable[[Query], None]:
        return self._defined(name, comment, lambda query: _overwrite(query(), name))

    def append_flow(self, *, target: str, name: str) -> Callable[[Query], None]:
        return self._defined(name, None, lambda query: self._stream(target, name, query))

    def create_streaming_table(self, name: str, *, comment: str | None = None) -> None:
        self.comments[name] = comment

    def create_auto_cdc_flow(
        self, target: str, source: str, keys: Sequence[str], sequence_by: Column, stored_as_scd_type: int
    ) -> None:
        """The last row of each key, as a slowly changing dimension of type 1 keeps it."""
        assert stored_as_scd_type == 1
        place = f.row_number().over(Window.partitionBy(*keys).orderBy(sequence_by.desc()))

        def newest() -> None:
            rows = self._spark.read.table(source).withColumn("_place", place)
            _overwrite(rows.where("_place = 1").drop("_place"), target)

        self._steps.append(newest)

    def _defined(
        self, name: str, comment: str | None, run: Callable[[Query], None]
    ) -> Callable[[Query], None]:
        def decorate(query: Query) -> None:
            self.comments[name] = comment
            self._steps.append(lambda: run(query))

        return decorate

    def _view(self, name: str, query: Query) -> None:
        frame = query()
        if frame.isStreaming:
            self._stream(name, name, query)
        else:
            frame.createOrReplaceTempView(name)

    def _stream(self, target: str, flow: str, query: Query) -> None:
        expectations = self._expected.get(query, {})

        def write(batch: DataFrame, _: int) -> None:
            kept = self._kept(flow, batch, expectations)
            kept.write.format("delta").mode("append").saveAsTable(target)

        writer = query().writeStream.foreachBatch(write).trigger(availableNow=True)
        writer.option("checkpointLocation", str(self._checkpoints / flow)).start().awaitTermination()

    def _kept(self, flow: str, batch: DataFrame, expectations: Mapping[str, str]) -> DataFrame:
        if not expectations:
            return batch
        every = " AND ".join(f"({predicate})" for predicate in expectations.values())
        counts: list[Any] = [f.count_if(~f.expr(predicate)) for predicate in expectations.values()]
        *failed, dropped = batch.agg(*counts, f.count_if(~f.expr(every))).collect()[0]
        self.failed[flow].update(dict(zip(expectations, failed, strict=True)))
        self.dropped[flow] += dropped
        return batch.where(every)


def _overwrite(frame: DataFrame, table: str) -> None:
    frame.write.format("delta").mode("overwrite").saveAsTable(table)
