"""Without a connection to Databricks the DAG runs the pipeline's own commands, for real."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.airflow.conftest import OLDEST_AND_NEWEST
from tests.airflow.environment import Driver
from tests.airflow.jobs_api import JobsApi, JobsServer
from tests.command import pinpipe

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

ON_THE_MACHINE = {
    "where": "success", "run_job": "skipped",
    "load": "success", "analyse": "success", "report": "success", "verify": "success",
}  # fmt: skip


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder whose posts have landed, and are not loaded yet."""
    folder = tmp_path_factory.mktemp("landed")
    done = pinpipe(folder, "demo", "--json", "--count", "40")
    assert done.returncode == 0, done.stderr
    [data] = (folder / "pinpipe-data").iterdir()
    shutil.rmtree(data / "tables/batch")
    shutil.rmtree(data / "reports")
    return data


@pytest.fixture
def folder(landed: Path, tmp_path: Path) -> Path:
    """A project's folder with such a working folder in it."""
    shutil.copytree(landed, tmp_path / "pinpipe-data")
    return tmp_path


@pytest.fixture
def variables(folder: Path, server: JobsServer) -> dict[str, str]:
    return {
        "AIRFLOW_VAR_PINPIPE_COMMAND": f"{sys.executable} -m pinterest_pipeline",
        "AIRFLOW_VAR_PINPIPE_FOLDER": str(folder),
        # What Airflow itself puts there when it makes its examples of connections.
        "AIRFLOW_CONN_DATABRICKS_DEFAULT": '{"conn_type": "databricks", "host": "localhost"}',
        "AIRFLOW_CONN_PINPIPE_ALERTS": json.dumps({"conn_type": "http", "password": f"{server.url}/alerts"}),
    }


def files(folder: Path) -> list[Path]:
    return sorted((folder / "pinpipe-data/tables").rglob("*.*"))


def test_the_commands_run_in_order_and_a_second_run_changes_nothing(
    dag: Driver, folder: Path, variables: dict[str, str], jobs: JobsApi
) -> None:
    first = dag.run(variables)
    assert (first["state"], first["tasks"]) == ("success", ON_THE_MACHINE), first["said"][-4_000:]
    assert "most popular in each age group" in first["said"]
    assert (folder / "pinpipe-data/reports/report.html").exists()
    loaded = files(folder)
    assert any("tables/batch/pin/" in str(path) for path in loaded)
    assert json.loads(pinpipe(folder, "verify", "--json").stdout)["balanced"]

    assert dag.run(variables)["tasks"] == ON_THE_MACHINE
    assert files(folder) == loaded
    assert jobs.alerts == []


@OLDEST_AND_NEWEST
def test_a_run_may_make_everything_anew_and_answer_as_of_a_past_date(
    dag: Driver, folder: Path, variables: dict[str, str]
) -> None:
    result = dag.run(variables, asked={"full_refresh": True, "until": "2020-01-31"})
    assert (result["state"], result["tasks"]) == ("success", ON_THE_MACHINE), result["said"][-4_000:]
    assert "most popular in each age group" in result["said"]
    assert "18-24" not in result["said"]  # before the first record there is no answer
    assert json.loads(pinpipe(folder, "verify", "--json").stdout)["balanced"]


@OLDEST_AND_NEWEST
def test_figures_that_do_not_agree_fail_the_run_and_alert(
    dag: Driver, folder: Path, variables: dict[str, str], jobs: JobsApi
) -> None:
    objects = sorted((folder / "pinpipe-data/objects").rglob("*.pin+*"))
    objects[0].unlink()
    result = dag.run(variables)
    assert result["state"] == "failed"
    assert (result["tasks"]["report"], result["tasks"]["verify"]) == ("success", "failed")
    assert result["tries"]["verify"] == 4
    [alert] = jobs.alerts
    assert alert["text"].startswith("124df56aef51_dag: verify failed")
    assert "verify ended with 1" in alert["text"]


@OLDEST_AND_NEWEST
def test_what_no_retry_mends_fails_at_once(
    dag: Driver, folder: Path, variables: dict[str, str], jobs: JobsApi
) -> None:
    wrong = dag.run(variables | {"PINPIPE_LOG__HOME": "nowhere"})
    assert (wrong["tasks"]["load"], wrong["tries"]["load"]) == ("failed", 1)
    missing = dag.run(variables | {"AIRFLOW_VAR_PINPIPE_COMMAND": "/no/such/pinpipe"})
    assert (missing["tasks"]["load"], missing["tries"]["load"]) == ("failed", 1)
    assert "load ended with 2" in jobs.alerts[0]["text"]
    assert "Correct the Variable pinpipe_command" in jobs.alerts[1]["text"]


@pytest.mark.parametrize("dag", ["2.11.0"], indirect=True)
def test_a_part_that_does_not_answer_is_asked_again(
    dag: Driver, folder: Path, variables: dict[str, str]
) -> None:
    command = folder / "pinpipe"
    command.write_text('#!/bin/sh\n[ -e asked ] && exit 0\ntouch asked\necho "$AIRFLOW_HOME"\nexit 3\n')
    command.chmod(0o755)
    result = dag.run(variables | {"AIRFLOW_VAR_PINPIPE_COMMAND": str(command)})
    assert (result["state"], result["tries"]["load"]) == ("success", 2)
