"""The DAG under each version of Airflow: what it is, and what it asks of Databricks."""

import json
import re
from collections import deque
from datetime import timedelta

import pytest

from tests.airflow.conftest import OLDEST_AND_NEWEST, Login
from tests.airflow.environment import Answer, Driver
from tests.airflow.jobs_api import JobsApi, JobsServer
from tests.airflow.mail import MailServer

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

ON_DATABRICKS = {
    "where": "success", "run_job": "success",
    "load": "skipped", "analyse": "skipped", "report": "skipped", "verify": "skipped",
}  # fmt: skip


@pytest.fixture
def variables(dag: Driver, server: JobsServer, databricks: Login) -> dict[str, str]:
    """A connection to Databricks, and one to a place for alerts."""
    alerts = f'{{"conn_type": "http", "password": "{server.url}/alerts"}}'
    return {"AIRFLOW_CONN_DATABRICKS_DEFAULT": databricks(dag.version), "AIRFLOW_CONN_PINPIPE_ALERTS": alerts}


def tried(result: Answer) -> tuple[str, int]:
    """How the task `run_job` ended, and how often it was tried."""
    return result["tasks"]["run_job"], result["tries"]["run_job"]


def test_the_dag_is_the_same_under_every_version_and_warns_of_nothing(dag: Driver) -> None:
    found = dag.structure
    assert found["warnings"] == []
    assert found["dag_id"] == "124df56aef51_dag"
    assert found["order"] == {
        "where": ["load", "run_job"], "run_job": [],
        "load": ["analyse"], "analyse": ["report"], "report": ["verify"], "verify": [],
    }  # fmt: skip
    assert (found["catchup"], found["max_active_runs"]) == (False, 1)
    assert (found["schedule"], found["tags"]) == ("0 0 * * *", ["batch", "pinterest"])
    assert (found["retries"], found["longest_delay"], found["time_out"]) == ([3], [1_800], [7_200])
    assert found["back_off"] == [2.0 if dag.version.startswith("3.3") else 1.0]
    assert found["alerts"]
    assert found["late"] == (dag.version != "3.0.6")
    assert "docs/how-to/airflow.md" in found["doc"]


def test_a_run_starts_the_job_once_and_tells_it_the_day(
    dag: Driver, jobs: JobsApi, variables: dict[str, str]
) -> None:
    jobs.looks = 4
    result = dag.run(variables)
    assert (result["state"], result["tasks"]) == ("success", ON_DATABRICKS)
    [(token, run)] = jobs.runs.items()
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert run.request["job_id"] == 4711
    told = run.request["job_parameters"]
    assert told["data_interval_start"] == (dag.day - timedelta(days=1)).isoformat()
    assert told["data_interval_end"] == dag.day.isoformat()
    assert told["airflow_run_id"].startswith("manual__")
    assert (told["full_refresh"], told["until"]) == ("no", "")
    assert jobs.logins > 0


def test_a_run_for_a_past_date_or_of_everything_tells_the_job_so(
    dag: Driver, jobs: JobsApi, variables: dict[str, str]
) -> None:
    asked = {"full_refresh": True, "until": "2026-01-31"}
    assert dag.run(variables, asked=asked)["tasks"] == ON_DATABRICKS
    [run] = jobs.runs.values()
    told = run.request["job_parameters"]
    assert (told["full_refresh"], told["until"]) == ("yes", "2026-01-31")


@OLDEST_AND_NEWEST
def test_an_answer_that_is_lost_and_errors_that_pass_start_no_second_run(
    dag: Driver, jobs: JobsApi, variables: dict[str, str]
) -> None:
    jobs.faults = {"run-now": deque(["cut", 429]), "runs/get": deque([500])}
    result = dag.run(variables)
    assert tried(result) == ("success", 1)
    assert len(jobs.runs) == 1
    assert sum(call.endswith("run-now") for call in jobs.calls) == 3


def test_a_try_that_gives_up_leaves_its_run_to_the_next_try(
    dag: Driver, jobs: JobsApi, variables: dict[str, str]
) -> None:
    jobs.faults = {"run-now": deque(["cut"] * 3)}
    result = dag.run(variables)
    assert tried(result) == ("success", 2)
    assert len(jobs.runs) == 1


def test_after_a_run_that_failed_the_next_try_starts_another(
    dag: Driver, jobs: JobsApi, variables: dict[str, str]
) -> None:
    """Older providers that defer take a run that failed before they look for a success."""
    jobs.results = deque(["FAILED", "SUCCESS"])
    result = dag.run(variables, deferrable=True)
    assert tried(result) == ("success", 2)
    assert [run.result for run in jobs.runs.values()] == ["FAILED", "SUCCESS"]
    assert jobs.alerts == []


@OLDEST_AND_NEWEST
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_job_that_always_fails_fails_the_run_and_says_so(
    dag: Driver, jobs: JobsApi, variables: dict[str, str], deferrable: bool
) -> None:
    jobs.results = deque(["FAILED"] * 9)
    jobs.looks = 4
    result = dag.run(variables, deferrable=deferrable)
    assert (result["state"], *tried(result)) == ("failed", "failed", 4)
    assert len(jobs.runs) == 4
    [alert] = jobs.alerts
    assert alert["text"].startswith("124df56aef51_dag: run_job failed in manual__")
    assert "FAILED" in alert["text"]


@OLDEST_AND_NEWEST
def test_a_run_that_takes_long_is_waited_for_by_a_trigger(
    dag: Driver, jobs: JobsApi, variables: dict[str, str]
) -> None:
    jobs.looks = 7
    result = dag.run(variables, deferrable=True)
    assert tried(result) == ("success", 1)
    assert len(jobs.runs) == 1
    assert "DatabricksExecutionTrigger" in jobs.callers


@pytest.mark.parametrize("dag", ["3.3.2"], indirect=True)
def test_a_run_by_hand_without_a_date_tells_the_job_no_day(
    dag: Driver, jobs: JobsApi, variables: dict[str, str]
) -> None:
    assert dag.run(variables, dated=False)["state"] == "success"
    [run] = jobs.runs.values()
    told = run.request["job_parameters"]
    assert (told["data_interval_start"], told["data_interval_end"]) == ("", "")


def test_what_no_retry_mends_fails_at_once(
    dag: Driver, jobs: JobsApi, variables: dict[str, str], databricks: Login
) -> None:
    wrong = variables | {"AIRFLOW_CONN_DATABRICKS_DEFAULT": databricks(dag.version, "another secret")}
    refused = dag.run(wrong)
    assert tried(refused) == ("failed", 1)
    unknown = dag.run(variables | {"AIRFLOW_VAR_PINPIPE_DATABRICKS_JOB": "another job"})
    assert tried(unknown) == ("failed", 1)
    elsewhere = dag.run(variables | {"AIRFLOW_VAR_PINPIPE_DATABRICKS_CONN_ID": "elsewhere"})
    assert elsewhere["tries"]["where"] == 1
    assert elsewhere["state"] == "failed"
    assert jobs.runs == {}
    texts = [alert["text"] for alert in jobs.alerts]
    assert [text.split()[1] for text in texts] == ["run_job", "run_job", "where"]
    if (
        dag.version != "3.0.6"
    ):  # there `dag.test()` leaves the reason out, and prints what it is about to mask
        assert "another secret" not in refused["said"]
        assert "Databricks refuses the request" in texts[0]
        assert "Databricks has no job named 'another job'" in texts[1]
        assert "there is no connection 'elsewhere', or it holds no login" in texts[2]


@OLDEST_AND_NEWEST
def test_an_alert_may_be_a_mail(dag: Driver, variables: dict[str, str], mail: MailServer) -> None:
    extra = {
        "disable_ssl": True,
        "disable_tls": True,
        "from_email": "airflow@example.org",
        "to": "us@example.org",
    }
    alerts = {"conn_type": "smtp", "host": "127.0.0.1", "port": mail.port, "extra": extra}
    chosen = {"AIRFLOW_VAR_PINPIPE_DATABRICKS_CONN_ID": "elsewhere"}
    result = dag.run(variables | chosen | {"AIRFLOW_CONN_PINPIPE_ALERTS": json.dumps(alerts)})
    assert result["state"] == "failed"
    [sent] = mail.sent
    assert "To: us@example.org" in sent
    assert "Subject: 124df56aef51_dag: where failed in" in sent
