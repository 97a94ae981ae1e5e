"""A real scheduler of Airflow and what it needs beside it; their tasks may be killed."""

import os
import queue
import secrets
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.airflow.environment import Airflow
from tests.ports import kept_ports

_SECONDS = 300.0
_SETTINGS = {
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
}


class Scheduler:
    """A scheduler at work in a folder of its own."""

    def __init__(
        self, airflow: Airflow, folder: Path, variables: dict[str, str], ports: Sequence[int]
    ) -> None:
        self._airflow = airflow
        self._database = folder / "airflow.db"
        self._log = folder / "said"
        self._environment = airflow.settings(folder) | _SETTINGS | variables
        self._port, log_port = ports
        self._environment["AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT"] = str(log_port)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        if self._airflow.version.startswith("3."):  # a task speaks to a server, not to the database
            url = self._set_up_server()
            self._start("api-server")
            self._wait_until_it_answers(url)
            self._start("dag-processor")
        self._start("scheduler")

    def _start(self, part: str) -> None:
        command = [str(self._airflow.program), part]
        with self._log.open("ab") as log:
            started = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        self._processes.append(started)

    def _set_up_server(self) -> str:
        """Choose the address and the keys that all parts share; returns the address."""
        url = f"http://127.0.0.1:{self._port}"
        self._environment |= {
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__CORE__PARALLELISM": "1",
        }
        return url

    def _wait_until_it_answers(self, url: str) -> None:
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            self.pause()
            with suppress(httpx.TransportError):
                httpx.get(f"{url}/api/v2/version", timeout=10)
                return
        pytest.fail(f"the API server does not answer after {_SECONDS} s:\n{self.said()}")

    def kill_a_waiting_task(self, held: "queue.Queue[int]") -> None:
        """Kill the process whose connection is held by the server: the task that started a job run."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            with suppress(queue.Empty):
                os.kill(owner(held.get_nowait()), signal.SIGKILL)
                return
            self.pause()
        pytest.fail(f"no task has started a job run after {_SECONDS} s:\n{self.said()}")

    def wait_for_success(self) -> int:
        """Wait until the DAG run is done; how often its task `run_job` was tried."""
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            state, tries = self._found()
            if state == "success":
                return tries
            assert state != "failed", self.said()
            self.pause()
        pytest.fail(f"the DAG run is not done after {_SECONDS} s:\n{self.said()}")

    def pause(self) -> None:
        """Let all work a little; none may end by itself."""
        with suppress(subprocess.TimeoutExpired):
            self._processes[-1].wait(0.5)
        ended = [process for process in self._processes if process.poll() is not None]
        if ended:
            pytest.fail(f"{ended[0].args!r} ended with {ended[0].returncode}:\n{self.said()}")

    def clear(self, task: str) -> None:
        """What a person does who wants a task to be done once more."""
        command = [
            str(self._airflow.program),
            "tasks",
            "clear",
            "--yes",
            "--task-regex",
            task,
            "124df56aef51_dag",
        ]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-6_000:]

    def stop(self) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):  # it ended by itself, and a test said so
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _found(self) -> tuple[str, int]:
        query = (
            "SELECT dag_run.state, try_number FROM dag_run JOIN task_instance USING (dag_id, run_id)"
            " WHERE task_id = 'run_job'"
        )
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=30)) as database:
            found: tuple[str, int] = database.execute(query).fetchone()
            return found


@contextmanager
def scheduler(airflow: Airflow, folder: Path, variables: dict[str, str]) -> Iterator[Scheduler]:
    with kept_ports(2) as ports:
        process = Scheduler(airflow, folder, variables, ports)
        try:
            process.start()
            yield process
        finally:
            process.stop()


def owner(port: int) -> int:
    """The process that holds the client's end of a connection from a port of loopback."""
    local = f"0100007F:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    [inode] = [row[9] for row in rows if row[1] == local]
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if descriptor.readlink().name == f"socket:[{inode}]":
                return int(descriptor.parts[2])
        except OSError:
            continue  # a process that ended, or a descriptor that was closed, while we looked
    raise LookupError(f"nobody holds port {port}")
