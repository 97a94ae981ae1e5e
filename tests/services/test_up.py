"""Any process of `pinpipe up` may be killed at any moment: nothing is lost, nothing is counted twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.command import environment, pinpipe
from tests.oracle import answers as oracle_answers

pytestmark = pytest.mark.services

POSTS = 600
SEED = 20_261_124


class Pipeline:
    """A `pinpipe up` in a folder of its own, and commands run beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment()
        self.environment |= {"PINPIPE_GATEWAY__PORT": "0", "PINPIPE_SINK__FLUSH_SECONDS": "0.3"}
        self.up: subprocess.Popen[bytes] | None = None
        self.parts = 4

    def use_s3(self) -> None:
        """Keep the objects in an S3 server of one's own, one more process."""
        self.environment["PINPIPE_OBJECTS__URL"] = "pinpipe:s3"
        self.parts = 5

    def use_kafka(self, properties: dict[str, str]) -> None:
        """Keep topics in a Kafka node of one's own, one more process."""
        self.environment |= {
            "PINPIPE_LOG__HOME": "kafka",
            "PINPIPE_KAFKA__PORT": "0",
            "PINPIPE_KAFKA__PROPERTIES": json.dumps(properties),
        }
        self.parts = 5

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pinterest_pipeline", *arguments]

    def start(self) -> dict[str, Any]:
        """Start and wait until every room runs; returns the state."""
        with (self.folder / "up.log").open("ab") as log:
            self.up = subprocess.Popen(self.command("up"), cwd=self.folder, env=self.environment, stderr=log)
        state: dict[str, Any] = self.until(self.state, "the rooms to run")
        return state

    def state(self) -> dict[str, Any] | None:
        assert self.up is not None
        assert self.up.poll() is None, (self.folder / "up.log").read_text()
        path = self.folder / "pinpipe-data" / "up.json"
        state: dict[str, Any] | None = json.loads(path.read_bytes()) if path.exists() else None
        return state if state and state["pid"] == self.up.pid and len(state["rooms"]) == self.parts else None

    def until(self, ask: Callable[[], Any], what: str, seconds: float = 90) -> Any:
        """Ask until the answer is true; fail when it takes too long."""
        deadline = time.monotonic() + seconds
        while not (answer := ask()):
            assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
            time.sleep(0.05)
        return answer

    def run(self, *arguments: str) -> str:
        done = pinpipe(self.folder, *arguments, settings=self.environment)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def is_drained(self) -> bool:
        lags = json.loads(self.run("status", "--json"))["lags"]
        return len(lags) == 15 and all(lag["end"] == lag["loaded"] for lag in lags)

    def stop(self) -> None:
        if self.up is not None and self.up.poll() is None:
            self.up.terminate()
            self.up.wait(60)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.stop()


def fill(pipeline: Pipeline, url: str) -> dict[str, Any]:
    """Fill the source and return the answers that an oracle gives for it."""
    from pinterest_pipeline.posts.generator import generate
    from pinterest_pipeline.records.codec import wire_row

    credentials = f"URL: sqlite:///posts.sqlite\nBATCH_API_URL: {url}\nSTREAMING_API_URL: {url}\n"
    (pipeline.folder / "db_creds.yaml").write_text(credentials)
    posts = [{table: wire_row(row) for table, row in post.items()} for post in generate(POSTS)]  # type: ignore[arg-type]
    (pipeline.folder / "posts.jsonl").write_text("".join(json.dumps(post) + "\n" for post in posts))
    pipeline.run("fill", "--posts", "posts.jsonl")
    answers: dict[str, Any] = oracle_answers(posts)
    return answers


def send(pipeline: Pipeline, branch: str) -> subprocess.Popen[bytes]:
    command = pipeline.command("send", branch, "--every-post", "--batch", "5", "--rate", "200")
    return subprocess.Popen(
        command,
        cwd=pipeline.folder,
        env=pipeline.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill(pipeline: Pipeline, victim: str) -> bool:
    """Kill a room, or the supervisor itself; False when it is just being started again."""
    state = pipeline.state()
    try:
        if state:
            os.kill(state["pid"] if victim == "up" else state["rooms"][victim], signal.SIGKILL)
    except ProcessLookupError:
        return False
    if state and victim == "up" and pipeline.up is not None:
        pipeline.up.wait(30)
    return state is not None


def is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("victim", "workers"),
    [
        ("gateway", 1),
        ("gateway", 2),
        ("sink", 1),
        ("stream", 1),
        ("load", 1),
        ("up", 1),
        ("up", 2),
        ("s3", 1),
    ],
)
def test_a_killed_process_costs_nothing(pipeline: Pipeline, victim: str, workers: int) -> None:
    chance = random.Random(f"{SEED} {victim}")
    pipeline.environment["PINPIPE_GATEWAY__WORKERS"] = str(workers)
    if victim == "s3":
        pipeline.use_s3()
    state = pipeline.start()
    expected = fill(pipeline, state["gateway"])
    emulators = [send(pipeline, branch) for branch in ("batch", "stream")]
    kills = 0
    while any(emulator.poll() is None for emulator in emulators):
        time.sleep(chance.uniform(0.2, 0.9))
        if kills < 4 and kill(pipeline, victim):
            kills += 1
            if victim == "up":
                pipeline.environment["PINPIPE_GATEWAY__PORT"] = state["gateway"].rpartition(":")[2]
                pipeline.start()
                # Senders have a minute's patience: no longer than one start may keep them waiting.
                pipeline.until(lambda: is_healthy(state["gateway"]), "the gateway to answer")
    assert kills > 0
    assert [emulator.returncode for emulator in emulators] == [0, 0]
    pipeline.until(pipeline.is_drained, "everything to land")
    for branch in ("batch", "stream"):
        assert json.loads(pipeline.run("analyse", "--branch", branch, "--json")) == expected
    account = json.loads(pipeline.run("verify", "--json"))
    assert account["balanced"], account["problems"]
    for branch in ("batch", "stream"):
        for table in ("pin", "geo", "user"):
            counts = account[branch][table]
            assert counts["acknowledged"] == counts["sent"] == POSTS
            assert counts["clean"] == counts["landed"] == POSTS
            assert counts["without_receipt"] == 0


def test_a_killed_sink_on_kafka_does_not_wait_for_its_session_to_end(pipeline: Pipeline) -> None:
    pipeline.use_kafka({"session.timeout.ms": "290000"})
    state = pipeline.start()
    fill(pipeline, state["gateway"])
    emulator = send(pipeline, "batch")
    kills = 0
    while emulator.poll() is None:
        time.sleep(0.9)
        kills += kills < 2 and kill(pipeline, "sink")
    assert emulator.returncode == 0
    assert kills > 0
    pipeline.until(pipeline.is_drained, "everything to land")
    account = json.loads(pipeline.run("verify", "--json"))
    assert account["balanced"], account["problems"]
    assert [account["batch"][table]["landed"] for table in ("pin", "geo", "user")] == [POSTS] * 3


def test_a_port_in_use_is_named(pipeline: Pipeline) -> None:
    port = pipeline.start()["gateway"].rpartition(":")[2]
    other = pipeline.environment | {"PINPIPE_GATEWAY__PORT": port, "PINPIPE_DATA": "other"}
    done = pinpipe(pipeline.folder, "up", settings=other)
    assert done.returncode == 5
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_up_in_the_same_folder_is_refused(pipeline: Pipeline) -> None:
    pipeline.start()
    done = pinpipe(pipeline.folder, "up", settings=pipeline.environment)
    assert done.returncode == 5
    assert "another 'up' works in" in done.stderr
