"""`pinpipe kafka` and the pipeline on it, as a person runs them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.broker.node import Node, node_address, node_is_ready
from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.eventlog.kafka import KafkaEventLog
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from tests.command import environment, pinpipe
from tests.conftest import CACHE

pytestmark = pytest.mark.services

STREAM = "streaming-124df56aef51-pin"


class Started:
    """`pinpipe kafka` in a folder, at any free port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def node(self) -> Path:
        return self.folder / "pinpipe-data" / "kafka"

    def start(self) -> None:
        command = [sys.executable, "-m", "pinterest_pipeline", "kafka"]
        with (self.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment() | {"PINPIPE_KAFKA__PORT": "0"}, stderr=said
            )
        self.until(lambda: node_is_ready(self.node) and self.answers())

    def until(self, reached: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 90
        while not reached():
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "said").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def answers(self) -> bool:
        return f"Kafka answers on {node_address(self.node)}" in (self.folder / "said").read_text()

    def jvm(self) -> int:
        return int(json.loads((self.node / "node.json").read_bytes())["pid"])

    def log(self) -> KafkaEventLog:
        address = node_address(self.node)
        assert address is not None
        return KafkaEventLog(address, KafkaSettings(), kafka_partition, 4_096, self.folder / "intents.sqlite")

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    node = Started(tmp_path)
    node.start()
    yield node
    if node.process is not None and node.process.poll() is None:
        node.stop()


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists() and bool(Path(f"/proc/{pid}/cmdline").read_bytes())


def test_a_node_keeps_its_data_and_its_port(started: Started) -> None:
    log = started.log()
    log.create("pin", 2)
    log.append("pin", [Record(b"%d" % number) for number in range(100)]).result(30)
    before = log.describe("pin")
    log.close()
    address, jvm = node_address(started.node), started.jvm()
    assert started.stop() == 0
    assert not is_alive(jvm)
    assert not node_is_ready(started.node)
    started.start()
    assert node_address(started.node) == address
    log = started.log()
    assert log.describe("pin") == before
    assert sum(log.ends("pin").values()) == 100
    log.close()


def test_a_node_whose_parent_was_killed_is_taken_over(started: Started) -> None:
    assert started.process is not None
    jvm = started.jvm()
    started.process.kill()
    started.process.wait(30)
    assert is_alive(jvm)
    (started.folder / "said").write_text("")
    started.start()
    assert not is_alive(jvm)
    assert started.jvm() != jvm


def test_a_node_that_dies_says_its_last_words(started: Started) -> None:
    assert started.process is not None
    os.kill(started.jvm(), signal.SIGKILL)
    assert started.process.wait(60) == 3
    said = (started.folder / "said").read_text()
    assert "Kafka died with -9" in said
    assert "server.log" in said
    assert "Traceback" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a server listen where a port is kept")
def test_the_port_that_was_chosen_is_nobody_elses_before_the_node_listens(tmp_path: Path) -> None:
    node = Node(tmp_path / "kafka", CACHE)
    with socket.socket() as other:

        def take(said: str) -> None:
            if said.startswith("starting"):
                with suppress(OSError):
                    other.bind(("127.0.0.1", node.port))
                    other.listen()

        node.start(take)
        try:
            with closing(
                KafkaEventLog(node.address, KafkaSettings(), kafka_partition, 4_096, tmp_path / "i")
            ) as log:
                assert log.topics() == []
        finally:
            node.stop()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = pinpipe(tmp_path, "kafka", settings={"PINPIPE_KAFKA__PORT": port})
    assert done.returncode == 5
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_kafka_cannot_use_is_named(tmp_path: Path) -> None:
    log = tmp_path / "pinpipe-data" / "kafka" / "log"
    log.parent.mkdir(parents=True)
    log.write_text("a file where a folder should be")
    done = pinpipe(tmp_path, "kafka", settings={"PINPIPE_KAFKA__PORT": "0"})
    assert done.returncode == 1
    assert "Kafka cannot use" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_node_is_one_clear_message(tmp_path: Path) -> None:
    settings = {"PINPIPE_LOG__HOME": "kafka", "PINPIPE_KAFKA__PORT": "0"}
    done = pinpipe(tmp_path, "status", settings=settings)
    assert done.returncode == 3
    assert "pinpipe kafka" in done.stderr


def test_while_no_node_answers_the_status_says_what_is_known_and_whom_it_asked(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = {"PINPIPE_LOG__HOME": "kafka", "PINPIPE_KAFKA__BOOTSTRAP_SERVERS": address}
        streams = SqliteStreamLog(tmp_path / "pinpipe-data" / "streams.sqlite", 4_096)
        streams.create(STREAM, 1)
        streams.close()
        done = pinpipe(tmp_path, "status", "--json", settings=settings)
    printed = json.loads(done.stdout)
    assert done.returncode == 3
    assert f"Kafka at {address} does not answer" in printed["problem"]
    assert f"error: Kafka at {address} does not answer" in done.stderr
    assert [lag["source"] for lag in printed["lags"]] == [STREAM]


def test_the_whole_demo_on_kafka(tmp_path: Path) -> None:
    done = pinpipe(tmp_path, "demo", "--kafka", "--json", "--count", "300")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["account"]["balanced"], printed["account"]["problems"]
    assert printed["answers"]["batch"] == printed["answers"]["stream"]
    for table in ("pin", "geo", "user"):
        account = printed["account"]["batch"][table]
        assert account["sent"] == account["acknowledged"] == account["landed"] == 300
    (folder,) = (tmp_path / "pinpipe-data").iterdir()
    assert (folder / "kafka" / "node.json").exists()
    assert not (folder / "topics.sqlite").exists()
    assert not is_alive(int(json.loads((folder / "kafka" / "node.json").read_bytes())["pid"]))
