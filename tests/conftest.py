"""Real parts that several suites share: one for the whole run, each test with names of its own in it."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from pinterest_pipeline.broker.node import Node
from pinterest_pipeline.config import EngineSettings, ObjectSettings, Settings
from pinterest_pipeline.errors import MissingPart
from pinterest_pipeline.s3server.address import object_settings
from pinterest_pipeline.s3server.server import S3Server
from tests.streams_gateway import CREDENTIALS, StreamsGateway, streams_gateway

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from pinterest_pipeline.engines.base import Engine
    from pinterest_pipeline.engines.duckdb import DuckDBEngine
    from pinterest_pipeline.engines.spark import SparkEngine

CACHE = Path(Settings.model_fields["cache"].default)

# Examples may take any time, as all tests: a machine may be slow, or busy with another worker's Spark.
hypothesis.settings.register_profile(
    "any machine",
    hypothesis.settings.get_profile(hypothesis.settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A Kafka node on loopback, at any free port."""
    node = Node(tmp_path_factory.mktemp("kafka"), CACHE)
    node.start(lambda _: None)
    yield node
    node.stop()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectSettings]:
    """An S3 server (SeaweedFS) with an empty bucket; what reaches it."""
    folder = tmp_path_factory.mktemp("s3")
    try:
        server = S3Server(folder)
    except MissingPart as error:
        pytest.skip(str(error))
    yield object_settings(folder, ObjectSettings())
    server.stop()


@pytest.fixture
def s3_prefix(s3: ObjectSettings) -> ObjectSettings:
    """The same server, with a prefix that no other test has."""
    return s3.model_copy(update={"url": f"{s3.url}/{secrets.token_hex(8)}"})


@pytest.fixture(scope="session")
def aws_credentials() -> Iterator[None]:
    """Two words in the environment, which is where AWS's usual chain looks first."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def streams_of_a_gateway(
    aws_credentials: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StreamsGateway]:
    """A gateway whose streams change their state within a twentieth of a second."""
    folder = tmp_path_factory.mktemp("streams")
    with streams_gateway(folder, PINPIPE_KINESIS__TRANSITION_SECONDS="0.05") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """A Spark session on this machine, with Delta: what asks for it is a test of real parts (`services`)."""
    from pinterest_pipeline.engines.spark_session import spark_session

    settings = EngineSettings(threads=2)
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            # A JVM for little data and few processors: it compiles and collects with little effort.
            patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
            session = spark_session(settings, CACHE, tmp_path_factory.mktemp("spark"), lambda _: None)
            entered = stack.enter_context(session)
        yield entered


@pytest.fixture(scope="session")
def duckdb_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator["DuckDBEngine"]:
    from pinterest_pipeline.engines.duckdb import DuckDBEngine

    with DuckDBEngine(EngineSettings(threads=2), tmp_path_factory.mktemp("spill")) as engine:
        yield engine


@pytest.fixture(scope="session")
def spark_engine(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkEngine"]:
    """The Spark engine, on the one session of all tests."""
    from pinterest_pipeline.engines.spark import SparkEngine

    with SparkEngine(EngineSettings(), CACHE, tmp_path_factory.mktemp("spill"), lambda _: None) as engine:
        yield engine


@pytest.fixture(
    scope="session", params=["duckdb_engine", pytest.param("spark_engine", marks=pytest.mark.services)]
)
def engine(request: pytest.FixtureRequest) -> "Engine":
    """Each engine: what is asked of one is asked of all."""
    found: Engine = request.getfixturevalue(request.param)
    return found
