"""Environments with Airflow in them, one for each version; made once by uv and kept in the cache."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.command import environment
from tests.conftest import CACHE

HERE = Path(__file__).parent
DAG = HERE.parents[1] / "dags/124df56aef51_dag.py"
VERSIONS = ("2.11.0", "3.0.6", "3.3.2")
NEWEST_PYTHON = {"2.11.0": (3, 12), "3.0.6": (3, 12), "3.3.2": (3, 14)}
MARKER = "\x1eanswer "

Answer = dict[str, Any]


@dataclass(frozen=True)
class Airflow:
    """One version, ready to run: its programs, and an empty metadata database to copy."""

    version: str
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "venv/bin/python"

    @property
    def program(self) -> Path:
        return self.folder / "venv/bin/airflow"

    @property
    def database(self) -> Path:
        return self.folder / "home/airflow.db"

    def settings(self, home: Path) -> dict[str, str]:
        """The variables of a process of this Airflow at home in a folder, its database too."""
        home.mkdir(parents=True, exist_ok=True)
        if self.database.exists() and not (home / "airflow.db").exists():
            shutil.copy(self.database, home)
        inherited = environment()
        return inherited | {
            "PATH": f"{self.program.parent}:{inherited['PATH']}",  # Airflow starts itself by its name
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAG.parent),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "0",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY": "True",
        }


def airflow(version: str) -> Airflow:
    """Make the environment if it is not there; without one the test is skipped, and in CI it fails."""
    requirements = HERE / f"requirements-{version}.txt"
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE.expanduser() / "airflow" / f"{version}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    found = Airflow(version, folder)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            try:
                _make(found, requirements)
            except subprocess.CalledProcessError as error:
                _give_up(f"no environment for Airflow {version}: {error.stderr[-2_000:]}")
            (folder / "made").touch()
    return found


def _make(wanted: Airflow, requirements: Path) -> None:
    uv = [sys.executable, "-m", "uv"]
    newest = NEWEST_PYTHON[wanted.version]
    python = sys.executable if sys.version_info[:2] <= newest else f">=3.10,<{newest[0]}.{newest[1] + 1}"
    venv = ["venv", "--quiet", "--clear", "--no-python-downloads", "--python", python]
    install = ["pip", "install", "--quiet", "--no-deps", "--python", str(wanted.python)]
    commands = [
        [*uv, *venv, str(wanted.folder / "venv")],
        [*uv, *install, "--requirements", str(requirements)],
        [str(wanted.program), "db", "migrate"],
    ]
    for command in commands:
        subprocess.run(
            command, check=True, capture_output=True, text=True, env=wanted.settings(wanted.folder / "home")
        )


def _give_up(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Driver:
    """A process inside an Airflow environment that makes DAG runs by `dag.test()`, one after the other."""

    def __init__(self, home: Airflow, folder: Path, variables: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [home.python, HERE / "driver.py", DAG],
            env=home.settings(folder) | variables,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.version = home.version
        self.day = datetime(2026, 3, 1, tzinfo=UTC)
        self.structure, self.said = self._answer()

    def run(
        self,
        variables: dict[str, str],
        *,
        dated: bool = True,
        deferrable: bool = False,
        asked: dict[str, Any] | None = None,
    ) -> Answer:
        """Make the DAG run of a day that had none; what its tasks came to, and what was `said`."""
        assert self._process.stdin is not None
        self.day += timedelta(days=1)
        date = self.day.isoformat() if dated else None
        order = {"environment": variables, "date": date, "deferrable": deferrable, "asked": asked}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer, said = self._answer()
        return answer | {"said": said}

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> tuple[Answer, str]:
        assert self._process.stdout is not None
        said: list[str] = []
        for line in self._process.stdout:
            if line.startswith(MARKER):
                answer: Answer = json.loads(line.removeprefix(MARKER))
                return answer, "".join(said)
            said.append(line)
        pytest.fail(f"the driver of Airflow ended with {self._process.wait()}:\n{''.join(said)[-4_000:]}")


@contextmanager
def driver(version: str, folder: Path, variables: dict[str, str]) -> Iterator[Driver]:
    process = Driver(airflow(version), folder, variables)
    try:
        yield process
    finally:
        process.close()
