"""The daily batch run: order and schedule only; docs/how-to/airflow.md says how to set it up.

With a connection to Databricks it starts the job there, once, and waits for it. Without one it runs
`pinpipe load`, `analyse`, `report` and `verify` on the machine. Runs under Airflow 2.11, 3.0 and 3.3.
"""

from __future__ import annotations

import hashlib
import html
import json
import logging
import os
import shlex
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from airflow.providers.databricks.hooks.databricks import DatabricksHook
from airflow.providers.databricks.operators.databricks import XCOM_RUN_PAGE_URL_KEY, DatabricksRunNowOperator
from airflow.providers.smtp.notifications.smtp import SmtpNotifier

try:  # Airflow 3.3
    from airflow.sdk import (
        DAG,
        BaseOperator,
        CronDataIntervalTimetable,
        DeadlineAlert,
        DeadlineReference,
        Param,
        SyncCallback,
        task,
    )
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException

    HAS_DEADLINES = True
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException
    from airflow.timetables.interval import CronDataIntervalTimetable

    HAS_DEADLINES = False
    try:  # Airflow 3.0
        from airflow.sdk import DAG, BaseOperator, Param, task

        HAS_SLAS = False
    except ImportError:  # Airflow 2.11
        from airflow import DAG
        from airflow.decorators import task
        from airflow.models import BaseOperator, Param

        HAS_SLAS = True

try:
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
except ImportError:
    from airflow.hooks.subprocess import SubprocessHook

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

DAG_ID = Path(__file__).stem
DATABRICKS = "databricks_default"
ALERTS = "pinpipe_alerts"
JOB = "pinterest_batch"
PROJECT = Path(__file__).resolve().parents[1]

PERMANENT_CODES = frozenset({2, 4, 6, 7})
"""Exit codes of `pinpipe` that no retry mends: settings, inputs, a full disk, a refused login."""
PERMANENT_STATUSES = frozenset({400, 401, 403, 404})
"""What Databricks answers to a request that it will never take."""
DONE_WITHIN = timedelta(hours=6)
"""A run that takes longer is reported as late."""


class RunJobOnce(DatabricksRunNowOperator):
    """Starts a Databricks job, one run for each try that failed, whatever dies in between.

    The idempotency token holds the DAG run, after which try the task was cleared, and how many job runs
    failed since. So a try after a killed worker finds the run that is under way or done; one after a failed
    run starts another.
    """

    template_fields = ("job", "until", "databricks_conn_id")

    def __init__(self, *, job: str, until: str, **kwargs: Any) -> None:
        """`job` is a name, or an id in digits; with `until` the job answers as of that time."""
        super().__init__(**kwargs)
        self.job = job
        self.until = until

    def execute(self, context: Mapping[str, Any]) -> None:
        """Wait for the job run of this try; raises AirflowFailException for what a retry cannot mend."""
        self.durable = False  # Airflow 3.3's own memory of the run would outlive a clearing of the task
        # Until the run has a page. Airflow 3.0 breaks off before the alert where a task's link leads nowhere.
        context["ti"].xcom_push(key=XCOM_RUN_PAGE_URL_KEY, value=f"https://{self.databricks.host}/jobs")
        try:
            self.json = self._request(context)
        except AirflowException as error:
            response = getattr(error.__context__, "response", None)
            if response is not None and response.status_code in PERMANENT_STATUSES:
                raise AirflowFailException(f"Databricks refuses the request: {error}") from error
            raise
        super().execute(context)
        # Older providers take a run that failed before they looked for one that succeeded.
        state = self.databricks.get_run_state(self.run_id)
        if not state.is_successful:
            raise AirflowException(f"the job run {self.run_id} failed: {state}")

    def _request(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Find or start the job run of this try; the same request again returns the same run."""
        ti = context["ti"]
        cleared_after = ti.max_tries - self.retries  # tries made before the task was last cleared
        asked = job_parameters(
            context["dag_run"], full_refresh=context["params"]["full_refresh"], until=self.until
        )
        request = {"job_id": self._job_id(), "job_parameters": asked}
        for failed_runs in range(max(ti.try_number - cleared_after, 1)):
            parts = (ti.dag_id, ti.task_id, ti.run_id, cleared_after, failed_runs)
            request["idempotency_token"] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
            run_id = self.databricks.run_now(request)
            state = self.databricks.get_run_state(run_id)
            log.info("job run %s, after %s failed ones: %s", run_id, failed_runs, state)
            if not state.is_terminal or state.is_successful:
                break
        return request

    def _job_id(self) -> int:
        if self.job.isdigit():
            return int(self.job)
        found: int | None = self.databricks.find_job_id_by_name(self.job)
        if found is None:
            raise AirflowFailException(
                f"Databricks has no job named '{self.job}' that this login may see. Deploy the bundle, "
                "or name another job by the Variable pinpipe_databricks_job"
            )
        return found

    @cached_property
    def databricks(self) -> DatabricksHook:
        return DatabricksHook(self.databricks_conn_id, caller=type(self).__name__)


class Pinpipe(BaseOperator):
    """Runs one command of `pinpipe` in the project's folder; its output becomes the task's log."""

    template_fields = ("arguments", "program", "folder")

    def __init__(self, *, arguments: tuple[str, ...], program: str, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arguments = arguments
        self.program = program
        self.folder = folder
        self.process: SubprocessHook | None = None

    def execute(self, context: Mapping[str, Any]) -> None:
        """Raises AirflowFailException for what a retry cannot mend, AirflowException for the rest."""
        arguments = [argument for argument in self.arguments if argument]
        installed = Path(self.folder) / ".venv/bin/pinpipe"
        program = shlex.split(self.program) or [str(installed) if installed.exists() else "pinpipe"]
        # Airflow's own settings may hold passwords; none of them is for pinpipe.
        environment = {name: value for name, value in os.environ.items() if "AIRFLOW" not in name}
        self.process = SubprocessHook()
        try:
            result = self.process.run_command([*program, *arguments], environment, cwd=self.folder)
        except OSError as error:
            raise AirflowFailException(
                f"{program[0]} does not run in {self.folder}: {error.strerror}. Correct the Variable "
                f"pinpipe_command or pinpipe_folder; to run on Databricks, add the connection {DATABRICKS}"
            ) from error
        if result.exit_code:
            said = f"{' '.join(arguments)} ended with {result.exit_code}: {result.output}"
            raise (AirflowFailException if result.exit_code in PERMANENT_CODES else AirflowException)(said)

    def on_kill(self) -> None:
        if self.process is not None:
            self.process.send_sigterm()


def job_parameters(dag_run: Any, *, full_refresh: bool, until: str) -> dict[str, str]:
    """What the job is told: the DAG run, what was asked of it, and its data interval if it has one."""
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    return {
        "full_refresh": "yes" if full_refresh else "no",
        "until": until,
        "airflow_run_id": dag_run.run_id,
        "data_interval_start": start.isoformat() if start else "",
        "data_interval_end": end.isoformat() if end else "",
    }


def connection(conn_id: str) -> Any | None:
    """A connection that somebody filled in; Airflow itself makes an empty databricks_default."""
    try:
        found = DatabricksHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None
    return found if found.password or found.extra_dejson else None


def tell(text: str) -> None:
    """Log an alert, and send it where the connection pinpipe_alerts leads: a webhook or a mail server."""
    log.error(text)
    target = connection(ALERTS)
    if target is None:
        return
    if target.conn_type == "smtp":
        page = f"<pre>{html.escape(text)}</pre>"
        people = {name: target.extra_dejson[name] for name in ("from_email", "to")}
        subject = text.splitlines()[0]
        SmtpNotifier(**people, subject=subject, html_content=page, smtp_conn_id=ALERTS).notify({})
    else:
        requests.post(target.password, json={"text": text}, timeout=10).raise_for_status()
    log.info("the alert was sent")


def on_failure(context: Mapping[str, Any]) -> None:
    ti = context["ti"]
    reason = context.get("exception") or "why is in its log, or its process died"
    tell(f"{ti.dag_id}: {ti.task_id} failed in {ti.run_id}\n{reason}\n{getattr(ti, 'log_url', None) or ''}")


def on_late(context: Mapping[str, Any]) -> None:
    """A deadline of Airflow 3."""
    tell(f"{DAG_ID}: {context['dag_run']['dag_run_id']} is not done after {DONE_WITHIN}")


def on_sla_miss(dag: Any, task_list: str, blocking_task_list: str, slas: Any, blocking_tis: Any) -> None:
    """A service level agreement of Airflow 2."""
    tell(f"{dag.dag_id}: not done after {DONE_WITHIN}: {task_list}")


def variable(name: str, default: str = "") -> str:
    """A template that reads a Variable when the task runs: parsing this file asks nobody for anything."""
    return f"{{{{ var.value.get('pinpipe_{name}', '') or '{default}' }}}}"


ASKED_TIME = (
    "(params.until or (data_interval_end.strftime('%Y-%m-%dT%H:%M:%S')"
    " if dag_run.run_type == 'backfill' and data_interval_end else ''))"
)
"""The time that a run answers as of; without one it answers as of now. A backfill is for its own day."""
CHOSEN = "{{ params.databricks_conn_id or var.value.get('pinpipe_databricks_conn_id', '') }}"

DEADLINE: dict[str, Any] = {}
SLA: dict[str, Any] = {}
if HAS_DEADLINES:
    late = SyncCallback(on_late)
    DEADLINE["deadline"] = DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, DONE_WITHIN, late)
elif HAS_SLAS:
    DEADLINE["sla_miss_callback"] = on_sla_miss
    SLA["sla"] = DONE_WITHIN

with DAG(
    DAG_ID,
    description="Cleans what is new, answers the eight questions, reports, and proves the account.",
    doc_md=__doc__,
    # '@daily' alone would have no data interval in Airflow 3: this is the same day under every version.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["pinterest", "batch"],
    params={"databricks_conn_id": "", "full_refresh": Param(False, type="boolean"), "until": ""},  # noqa: AIR311 - 2.11
    default_args={
        "retries": 3,  # the first comes after [core] default_task_retry_delay: five minutes
        "retry_exponential_backoff": 2.0 if HAS_DEADLINES else True,
        "max_retry_delay": timedelta(minutes=30),
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": on_failure,
    },
    **DEADLINE,
) as dag:

    @task.branch
    def where(conn_id: str) -> str:
        """Whether this run goes to Databricks; a connection that was chosen by name must be there."""
        if connection(conn_id or DATABRICKS):
            return "run_job"
        if conn_id:
            raise AirflowFailException(f"there is no connection '{conn_id}', or it holds no login")
        return "load"

    def pinpipe(*arguments: str, **kwargs: Any) -> Pinpipe:
        program, folder = variable("command"), variable("folder", str(PROJECT))
        return Pinpipe(task_id=arguments[0], arguments=arguments, program=program, folder=folder, **kwargs)

    start = where(CHOSEN)
    start >> RunJobOnce(
        task_id="run_job",
        job=variable("databricks_job", JOB),
        until=f"{{{{ {ASKED_TIME} }}}}",
        databricks_conn_id=CHOSEN.replace(" }}", f" or '{DATABRICKS}' }}}}"),
        **SLA,
    )
    load = pinpipe("load", "{{ '--full-refresh' if params.full_refresh else '' }}")
    until = f"{{{{ ('--until=' ~ {ASKED_TIME}) if {ASKED_TIME} else '' }}}}"
    analyse = pinpipe("analyse", until)
    start >> load >> analyse >> pinpipe("report") >> pinpipe("verify", **SLA)
