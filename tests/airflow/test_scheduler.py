"""A real scheduler whose task is killed after it started the job: Databricks sees one run."""

import ssl
from pathlib import Path

import pytest

from tests.airflow.conftest import Login
from tests.airflow.environment import airflow
from tests.airflow.jobs_api import JobsApi
from tests.airflow.processes import scheduler

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]


@pytest.mark.parametrize("version", ["2.11.0", "3.3.2"])
def test_a_task_that_is_killed_after_the_submit_starts_no_second_run(
    version: str,
    tmp_path: Path,
    jobs: JobsApi,
    databricks: Login,
    certificate: tuple[ssl.SSLContext, dict[str, str]],
) -> None:
    jobs.answering.clear()
    jobs.looks = 4  # so that nobody has to look a second time, half a minute after the first
    variables = certificate[1] | {"AIRFLOW_CONN_DATABRICKS_DEFAULT": databricks(version)}
    with scheduler(airflow(version), tmp_path, variables) as process:
        process.kill_a_waiting_task(jobs.held)
        assert len(jobs.runs) == 1
        jobs.answering.set()
        assert process.wait_for_success() > 1
        assert len(jobs.runs) == 1

        jobs.looks = 0
        process.clear("run_job")
        process.wait_for_success()
        assert len(jobs.runs) == 2
