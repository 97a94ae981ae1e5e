"""A gateway of several processes: they share a socket, the log and their figures; any may be killed."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pinterest_pipeline.config import Settings
from pinterest_pipeline.workspace import Workspace
from tests.command import environment, task_state

pytestmark = pytest.mark.services

SECONDS = 60
TOPIC = "124df56aef51.pin"
JSON = {"Content-Type": "application/vnd.kafka.json.v2+json"}
KILLS = 15


class Gateway:
    """`pinpipe gateway --workers 2` in a folder."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.process = process
        self.url = url
        self.said: list[str] = []
        """Lines after the first, which names the address."""

    def workers(self) -> list[int]:
        """Process ids of the workers that live."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if is_alive(int(child))]

    def produce(self, value: object, key: str) -> httpx.Response:
        """Send until there is an answer that is final."""
        deadline = time.monotonic() + SECONDS
        while True:
            assert time.monotonic() < deadline
            try:
                answer = httpx.post(
                    f"{self.url}/topics/{TOPIC}",
                    json={"records": [{"value": value}]},
                    headers=JSON | {"Idempotency-Key": key},
                    timeout=SECONDS,
                )
            except httpx.TransportError:
                continue
            if answer.status_code not in (409, 503):
                return answer

    def requests(self) -> float:
        text = httpx.get(f"{self.url}/metrics", timeout=SECONDS).text
        return sum(map(float, re.findall(r"^pinpipe_gateway_requests_total\{.*\} (.+)$", text, re.MULTILINE)))


def is_alive(pid: int) -> bool:
    return task_state(Path(f"/proc/{pid}")) not in ("", "Z")


def until(holds: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (answer := holds()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)
    return answer


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Gateway]:
    command = [sys.executable, "-m", "pinterest_pipeline", "gateway", "--workers", "2"]
    surroundings = environment() | {"PINPIPE_GATEWAY__PORT": "0"} | settings
    with subprocess.Popen(
        command, cwd=folder, env=surroundings, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        gateway = Gateway(process, "http://" + line.split()[-1])
        drain = threading.Thread(target=gateway.said.extend, args=(process.stderr,), daemon=True)
        drain.start()
        try:
            yield gateway
        finally:
            process.terminate()
            process.wait(SECONDS)
            drain.join(SECONDS)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path) as started:
        until(lambda: len(started.workers()) == 2, "both workers")
        started.produce(0, "first")
        yield started


def stored(folder: Path) -> dict[tuple[int, int], bytes | None]:
    """The value of each record of the topic, by partition and offset."""
    log = Workspace(Settings(data=folder / "pinpipe-data")).topics_log()
    found = {
        (record.partition, record.offset): record.value
        for partition in log.ends(TOPIC)
        for record in log.read(TOPIC, partition, 0, 100_000)
    }
    log.close()
    return found


def test_all_workers_share_the_figures(gateway: Gateway) -> None:
    before = gateway.requests()
    for number in range(50):
        with httpx.Client(base_url=gateway.url) as client:  # a connection each, for whichever worker takes it
            assert client.get("/health").status_code == 200, number
    assert gateway.requests() == before + 51


def test_one_key_is_one_append_whichever_worker_it_reaches(gateway: Gateway, tmp_path: Path) -> None:
    for number in range(30):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(gateway.produce, [number] * 8, [f"key-{number}"] * 8))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
    values = sorted(int(value or b"-1") for value in stored(tmp_path).values())
    assert values == sorted([0, *range(30)])


def test_a_worker_that_is_killed_at_any_moment_costs_nothing(gateway: Gateway, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    acknowledged: dict[int, tuple[int, int]] = {}
    stop = threading.Event()

    def send(start: int) -> None:
        number = start
        while not stop.is_set():
            (offset,) = gateway.produce(number, f"sent-{number}").json()["offsets"]
            acknowledged[number] = (offset["partition"], offset["offset"])
            number += 4

    with ThreadPoolExecutor(4) as pool:
        senders = [pool.submit(send, start) for start in range(1, 5)]
        for _ in range(KILLS):
            pause = chance.uniform(0.0, 1.5)
            stop.wait(pause)  # not for something to happen: the moment of the kill is what is drawn
            os.kill(until(gateway.workers, "a worker")[0], signal.SIGKILL)
        stop.set()
        for sender in senders:
            sender.result(SECONDS)
    found = stored(tmp_path)
    found.pop(next(place for place, value in found.items() if value == b"0"))
    assert {place: b"%d" % number for number, place in acknowledged.items()} == found, f"seed {seed}"
    until(lambda: len(gateway.workers()) == 2, "both workers again")


def test_a_stop_ends_every_worker(gateway: Gateway) -> None:
    workers = gateway.workers()
    gateway.process.terminate()
    assert gateway.process.wait(SECONDS) == 0
    assert not any(is_alive(pid) for pid in workers)


def test_workers_that_are_stopped_say_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as started:
        started.produce(0, "first")
    assert started.process.returncode == 0
    assert started.said == []


def test_workers_end_when_their_parent_is_killed(gateway: Gateway) -> None:
    workers = gateway.workers()
    gateway.process.kill()
    gateway.process.wait(SECONDS)
    until(lambda: not any(is_alive(pid) for pid in workers), "the workers to end")


def test_a_wrong_setting_ends_all_of_them(tmp_path: Path) -> None:
    with running(tmp_path, PINPIPE_GATEWAY__ACCESS_LOG="missing/access.log") as started:
        assert started.process.wait(SECONDS) == 2
