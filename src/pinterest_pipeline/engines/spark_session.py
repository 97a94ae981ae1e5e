"""The Spark session: the one that is there (on Databricks), else one of our own on this machine."""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pinterest_pipeline.config import EngineSettings
from pinterest_pipeline.engines.spark_jars import delta_jars
from pinterest_pipeline.engines.spark_java import java_home, java_program
from pinterest_pipeline.errors import MissingPart, Unavailable
from pinterest_pipeline.parts import Say

if TYPE_CHECKING:
    from py4j.clientserver import ClientServer
    from pyspark.sql import SparkSession

_STOP_SECONDS: Final = 30.0
_SHOWN_CHARACTERS: Final = 2_000

# What is an error reaches Python as an exception; the log says it once more, and much that is none.
_LOG4J: Final = """rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""


@contextmanager
def spark_session(settings: EngineSettings, cache: Path, spill: Path, say: Say) -> Iterator["SparkSession"]:
    """The active session, which stays; else a new one on this machine, stopped with its JVM at the end.

    Jars come into `cache` once, with a word to `say`; what spills goes into a folder of its own below
    `spill`. Raises MissingPart without pyspark or Java, Unavailable when the JVM does not start.
    """
    _require_pyspark()
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        yield active
        return
    spill.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"spark-{os.getpid()}-", dir=spill)).absolute()
    try:
        with _local_session(settings, delta_jars(cache, say), scratch) as session:
            yield session
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def fetch_spark(cache: Path, say: Say) -> None:
    """Fetch now what a session of our own needs; raises MissingPart as `spark_parts` does."""
    spark_parts()
    delta_jars(cache, say)


def spark_parts() -> str:
    """Which Spark and which Java a session of our own takes; raises MissingPart where one lacks."""
    _require_pyspark()
    return f"Spark {importlib.metadata.version('pyspark')} on {java_program(os.environ)}"


def _require_pyspark() -> None:
    if importlib.util.find_spec("pyspark") is None:
        raise MissingPart("Spark is not installed", "spark")


@contextmanager
def _local_session(settings: EngineSettings, jars: Path, scratch: Path) -> Iterator["SparkSession"]:
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    (scratch / "log4j2.properties").write_text(_LOG4J, encoding="utf-8")
    conf = SparkConf(loadDefaults=False).setAll(list(_configuration(settings, jars, scratch).items()))
    variables = {
        "JAVA_HOME": str(java_home(java_program(os.environ), scratch)),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    with _environment(variables):
        gateway = _gateway(conf, scratch / "jvm.log")
        try:
            # Two steps, for the context alone lets us name the JVM it works with.
            context = SparkContext(conf=conf, gateway=gateway)
            session = SparkSession(context)
        except BaseException:
            _stop_jvm(gateway)
            raise
    try:
        yield session
    finally:
        session.stop()
        _stop_jvm(gateway)


def _configuration(settings: EngineSettings, jars: Path, scratch: Path) -> dict[str, str]:
    cores = settings.threads or os.cpu_count() or 1
    return {
        "spark.app.name": "pinpipe",
        "spark.master": f"local[{cores}]",
        "spark.driver.memory": settings.spark_memory,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraClassPath": str(jars / "*"),
        "spark.driver.extraJavaOptions": " ".join(
            f'"{option}"'
            for option in (
                f"-Dlog4j2.configurationFile={scratch / 'log4j2.properties'}",
                f"-Djava.io.tmpdir={scratch}",
                "-Duser.timezone=UTC",
            )
        ),
        "spark.local.dir": str(scratch),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        # Else an old form that pyarrow reads without a zone, and not at all in far years.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        # Both defaults are made for a cluster: hundreds of tasks for a few rows.
        "spark.sql.shuffle.partitions": str(max(cores, 2)),
        "spark.databricks.delta.snapshotPartitions": "2",
    }


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """pyspark takes these from the environment alone; it is as before when the JVM runs."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _gateway(conf: Any, log: Path) -> "ClientServer":
    """A JVM of our own; it ends by itself when this process does."""
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    with log.open("wb") as file:
        try:
            gateway: ClientServer = launch_gateway(conf, {"stdout": file, "stderr": file})
        except PySparkRuntimeError as error:
            said = log.read_text(encoding="utf-8", errors="replace")[-_SHOWN_CHARACTERS:].strip()
            raise Unavailable(
                f"Spark's JVM does not start: {said or error}", "see PINPIPE_ENGINE__SPARK_MEMORY, JAVA_HOME"
            ) from error
    return gateway


def _stop_jvm(gateway: "ClientServer") -> None:
    from pyspark import SparkContext

    SparkContext._gateway = None
    SparkContext._jvm = None
    gateway.shutdown()
    process = gateway.proc
    process.stdin.close()  # the JVM ends when it sees this
    process.wait(_STOP_SECONDS)
