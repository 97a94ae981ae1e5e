"""Spark runs the SQL of cleaning and analyses as it is; Arrow and Parquet stand between it and the rest."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.dataset as ds

from pinterest_pipeline.cleaning.drift import counted
from pinterest_pipeline.cleaning.select import is_before
from pinterest_pipeline.config import EngineSettings
from pinterest_pipeline.engines import spark_frames as frames
from pinterest_pipeline.engines.base import Answer, Source, clean_schema, quarantine_schema
from pinterest_pipeline.engines.spark_lines import FILE, VALUE, unglobbed
from pinterest_pipeline.engines.spark_session import spark_session
from pinterest_pipeline.errors import DiskFull, Fatal, is_disk_full
from pinterest_pipeline.parts import Say
from pinterest_pipeline.records.names import Branch, Table
from pinterest_pipeline.records.schemas import RESCUED

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SHOWN_CHARACTERS = 500


class SparkEngine:
    """A Spark session with files of its own below `spill`, both gone on close."""

    def __init__(self, settings: EngineSettings, cache: Path, spill: Path, say: Say) -> None:
        """Raises MissingPart without Spark or Java, Unavailable when jars or the JVM cannot be had."""
        with ExitStack() as stack:
            self._spark = stack.enter_context(spark_session(settings, cache, spill, say))
            spill.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=f"sparkfiles-{os.getpid()}-", dir=spill)
            )
            self._folder = Path(folder).absolute()
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def clean(
        self, table: Table, branch: Branch, files: Sequence[Path], before: int | None = None
    ) -> "SparkCleaned":
        """Clean the landed lines of `files`; raises DiskFull, or Fatal when a file cannot be read."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        with _explained():
            return SparkCleaned(self._spark, folder, table, branch, files, before)

    def answers(
        self, tables: Mapping[Table, Source], versions: Mapping[Table, Branch] = {}
    ) -> dict[str, Answer]:
        """Name of analysis -> its rows, ints as int and medians as float, in the order of its SQL.

        Of the tables in `versions` only the newest row of each `ind` counts.
        """
        with _explained():
            read = {table: self._table(table, source) for table, source in tables.items()}
            read |= {table: frames.newest_versions(read[table], branch) for table, branch in versions.items()}
            read = {table: frame.cache() for table, frame in read.items()}
            found = frames.answers(self._spark, read)
            answered = {name: frame.toArrow().to_pylist() for name, frame in found.items()}
            for frame in read.values():
                frame.unpersist()
            return answered

    def _table(self, table: Table, source: Source) -> "DataFrame":
        if isinstance(source, ds.Dataset):
            folder = tempfile.mkdtemp(dir=self._folder)
            ds.write_dataset(source, folder, format="parquet")
            source = [folder]
        if not source:
            return frames.empty_table(self._spark, table, "batch")
        return self._spark.read.parquet(*(unglobbed(path) for path in source))


class SparkCleaned:
    """One cleaning: its rows stay in files of the engine until it is closed."""

    def __init__(
        self,
        spark: "SparkSession",
        folder: Path,
        table: Table,
        branch: Branch,
        files: Sequence[Path],
        before: int | None,
    ) -> None:
        self._folder = folder
        self._table: Table = table
        self._branch: Branch = branch
        lines = frames.read_lines(spark, map(str, files)) if files else _no_lines(spark)
        marked = self._kept(frames.clean(spark, lines, table, branch).where(is_before(before)), "marked")
        self.read, self.good, self.changes = frames.counted(marked, table)
        self.drift = counted(
            text for batch in self._good([RESCUED]) for text in batch[RESCUED].to_pylist() if text is not None
        )
        self._kept(frames.newest(marked, table, branch), "newest")
        self.quarantined = self._quarantined(marked)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def rows(self) -> pa.RecordBatchReader:
        """The clean rows, one per `ind`."""
        return self._scanned("newest", clean_schema(self._table, self._branch).names, None)

    @property
    def versions(self) -> pa.RecordBatchReader:
        """Every good row, read as `rows` are."""
        return self._good(clean_schema(self._table, self._branch).names)

    def _good(self, columns: list[str]) -> pa.RecordBatchReader:
        return self._scanned("marked", columns, ds.field("_reason").is_null())

    def _scanned(
        self, name: str, columns: list[str], condition: ds.Expression | None
    ) -> pa.RecordBatchReader:
        marked = clean_schema(self._table, self._branch).append(pa.field("_reason", pa.string()))
        stored = ds.dataset(self._folder / name, marked, format="parquet")
        found = stored.scanner(columns=columns, filter=condition)
        return pa.RecordBatchReader.from_batches(found.projected_schema, found.to_batches())

    def _kept(self, frame: "DataFrame", name: str) -> "DataFrame":
        """The frame, computed once into files."""
        path = str(self._folder / name)
        frame.write.parquet(path)
        return frame.sparkSession.read.schema(frame.schema).parquet(unglobbed(path))

    def _quarantined(self, marked: "DataFrame") -> pa.Table:
        schema = quarantine_schema(self._branch)
        if self.read == self.good:
            return schema.empty_table()
        bad = frames.quarantined(marked.sparkSession, marked, self._table, self._branch)
        return bad.toArrow().select(schema.names).cast(schema)


def _no_lines(spark: "SparkSession") -> "DataFrame":
    return spark.createDataFrame([], f"{VALUE} string, {FILE} string")


@contextmanager
def _explained() -> Iterator[None]:
    """Spark's errors as ours."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError, pa.ArrowException) as error:
        said = str(error)
        if is_disk_full(error):
            raise DiskFull(
                "the engine cannot spill: the disk is full", "free some room, run it again"
            ) from error
        if "OutOfMemoryError" in said:
            raise Fatal("Spark ran out of memory", "raise PINPIPE_ENGINE__SPARK_MEMORY") from error
        raise Fatal(f"the engine failed: {said[:_SHOWN_CHARACTERS]}") from error
