"""The sink under every fault we know: each acknowledged record in exactly one object, which never changes."""

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from pinterest_pipeline.broker.node import Node
from pinterest_pipeline.config import ObjectSettings, load_settings, variables
from pinterest_pipeline.errors import Retryable, UnknownGroup
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.objects.store import open_store
from pinterest_pipeline.workspace import Workspace
from tests.faults import Fault, FaultProxy
from tests.services.sink_process import ForkedSink, Proof, Running, SinkProcess, until

pytestmark = pytest.mark.services

NAME = "faults"
GROUP = f"connect-{NAME}"
KILLS = int(os.environ.get("SINK_KILLS", "4"))
SEED = random.SystemRandom().randrange(2**32)
PROPERTIES = """\
name={name}
topics={topic}
flush.size=7
partitioner.class=io.confluent.connect.storage.partitioner.FieldPartitioner
partition.field.name=color
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=false
"""
# The shortest that a broker takes by its defaults.
SESSION = {"session.timeout.ms": SecretStr("6000"), "heartbeat.interval.ms": SecretStr("1000")}
POINTS = (
    "opened",
    "mid_write",
    "before_plan",
    "after_plan",
    "before_upload",
    "mid_upload",
    "after_upload",
    "before_commit",
    "after_commit",
)


class Stage:
    """A folder with a properties file, the processes in it, and the log and the store they use."""

    def __init__(
        self, folder: Path, objects: ObjectSettings | None = None, kafka: str = "", topic: str = "a.pin"
    ) -> None:
        self.folder = folder
        (folder / "sink.properties").write_text(PROPERTIES.format(name=NAME, topic=topic))
        settings = load_settings(data=folder / "data")
        log = settings.log.model_copy(update={"home": "kafka" if kafka else "sqlite", "session_seconds": 1.0})
        client = settings.kafka.model_copy(update={"bootstrap_servers": kafka, "properties": SESSION})
        sink = settings.sink.model_copy(update={"flush_seconds": 0.3, "poll_seconds": 0.02})
        self._settings = settings.model_copy(
            update={"log": log, "kafka": client, "sink": sink, "objects": objects or settings.objects}
        )
        self.log: EventLog = Workspace(self._settings).topics_log()
        self.log.create(topic, 2)
        store = open_store(self._settings.objects, self._settings.data / "objects")
        self.proof = Proof(self.log, store, topic, GROUP)
        self._started: list[Running] = []

    def start(self, crash_at: str = "") -> SinkProcess:
        found = dict(variables(self._settings))
        if crash_at:
            found["PINPIPE_CRASH_AT"] = crash_at
        sink = SinkProcess(self.folder, found, "--config", "sink.properties")
        self._started.append(sink)
        return sink

    def start_soon(self) -> ForkedSink:
        """With a seat in its group, as `pinpipe up` gives it one: a killed sink is followed at once."""
        kafka = self._settings.kafka
        own = {"group.instance.id": SecretStr("one")}
        kafka = kafka.model_copy(update={"properties": own | kafka.properties})
        found = dict(variables(self._settings.model_copy(update={"kafka": kafka})))
        sink = ForkedSink(self.folder, found, "--config", "sink.properties")
        self._started.append(sink)
        return sink

    def close(self) -> None:
        """Let nothing run on, however the test ended."""
        for sink in self._started:
            if sink.is_running():
                sink.send(signal.SIGKILL)
                sink.ends()
        self.log.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """The embedded log and a folder."""
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def cloud(tmp_path: Path, kafka_broker: Node, s3_prefix: ObjectSettings) -> Iterator[Stage]:
    """Kafka and S3."""
    topic = f"faults-{tmp_path.name}"
    stage = Stage(tmp_path, s3_prefix, kafka_broker.address, topic)
    yield stage
    stage.close()


def finish(stage: Stage, *sinks: Running) -> None:
    """Have everything landed and every sink ended well, then prove it."""
    until(stage.proof.is_done, sinks)
    for sink in sinks:
        assert sink.stop() == 0, sink.says()[-3_000:]
    stage.proof.holds()


def test_killed_at_every_step_it_loses_and_doubles_nothing(stage: Stage) -> None:
    for point in POINTS:
        stage.proof.send(20)
        assert stage.start(crash_at=point).ends() == -signal.SIGKILL, point
    finish(stage, stage.start())


@pytest.mark.parametrize("home", ["stage", "cloud"])
def test_killed_at_any_moment_it_loses_and_doubles_nothing(home: str, request: pytest.FixtureRequest) -> None:
    """SINK_KILLS=200 kills it so often; most of them while it lands, some before it has begun."""
    stage: Stage = request.getfixturevalue(home)
    chance = random.Random(SEED)
    sys.stdout.write(f"seed {SEED}\n")
    for _ in range(KILLS):
        stage.proof.send(30)
        before, sink = stage.proof.plans(), stage.start_soon()
        if chance.random() < 0.8:
            until(partial(_has_planned, stage, before), [sink])
        time.sleep(chance.uniform(0, 0.5))  # not a wait: the moment of the kill
        sink.send(signal.SIGKILL)
        sink.ends()
    stage.proof.send(1)  # the last one has something to do, or it might be told to stop before it can listen
    finish(stage, stage.start_soon())


def _has_planned(stage: Stage, before: int) -> bool:
    return stage.proof.plans() > before


def test_a_frozen_sink_that_comes_back_writes_and_commits_nothing_of_its_own(cloud: Stage) -> None:
    frozen = cloud.start()
    cloud.proof.send(20)
    until(cloud.proof.is_done, [frozen])
    cloud.proof.send(5)
    frozen.send(signal.SIGSTOP)  # it may hold records that it read
    other = cloud.start()
    cloud.proof.send(20)
    until(cloud.proof.is_done, [other])
    cloud.proof.look()
    frozen.send(signal.SIGCONT)
    cloud.proof.send(20)
    finish(cloud, frozen, other)


def test_sinks_that_come_and_go_while_records_flow_land_each_once(cloud: Stage) -> None:
    running = [cloud.start()]
    for _ in range(3):
        cloud.proof.send(30)
        running.append(cloud.start())
        cloud.proof.send(30)
        if len(running) > 2:
            assert running.pop(0).stop() in (0, -signal.SIGTERM)  # it may not have begun yet
    until(partial(_are_in_their_group, cloud, len(running)), running)  # the last one may be about to begin
    finish(cloud, *running)


def _are_in_their_group(stage: Stage, members: int) -> bool:
    try:
        return len(stage.log.describe_group(GROUP).members) == members
    except (Retryable, UnknownGroup):
        return False


def test_a_bounced_broker_costs_nothing(cloud: Stage, kafka_broker: Node) -> None:
    sink = cloud.start()
    cloud.proof.send(30)
    until(cloud.proof.is_done, [sink])
    cloud.proof.send(5)
    kafka_broker.kill()
    kafka_broker.start(lambda _: None)
    cloud.proof.send(30)
    finish(cloud, sink)


def _has_met(proxy: FaultProxy, requests: int) -> bool:
    return len(proxy.requests) > requests


PASSING = [fault for fault in Fault if fault is not Fault.FORBIDDEN]


def test_a_store_that_fails_in_every_way_costs_nothing(
    tmp_path: Path, s3: ObjectSettings, s3_prefix: ObjectSettings
) -> None:
    with FaultProxy(s3.endpoint) as proxy, ExitStack() as stack:
        changes = {"endpoint": proxy.endpoint, "retry_seconds": 0.5, "timeout_seconds": 2.0}
        stage = Stage(tmp_path, s3_prefix.model_copy(update=changes))
        stack.callback(stage.close)
        direct = open_store(s3_prefix, tmp_path)
        stage.proof.store = direct  # who checks is not to meet the faults
        sink = stage.start()
        for fault in PASSING:
            for method in ("PUT", "GET"):
                proxy.fail(fault, method=method, times=2)
            stage.proof.send(15)
            until(partial(_has_met, proxy, len(proxy.requests) + 6), [sink])
            proxy.heal()
        finish(stage, sink)


def test_a_store_that_refuses_stops_the_sink_and_loses_nothing(
    tmp_path: Path, s3: ObjectSettings, s3_prefix: ObjectSettings
) -> None:
    with FaultProxy(s3.endpoint) as proxy, ExitStack() as stack:
        stage = Stage(tmp_path, s3_prefix.model_copy(update={"endpoint": proxy.endpoint}))
        stack.callback(stage.close)
        proxy.fail(Fault.FORBIDDEN, method="PUT", times=None)
        stage.proof.send(20)
        refused = stage.start()
        assert refused.ends() == 7, refused.says()[-3_000:]
        assert "Traceback" not in refused.says()
        proxy.heal()
        finish(stage, stage.start())
