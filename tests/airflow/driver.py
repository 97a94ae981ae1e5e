"""Runs inside an Airflow environment, without the project: each line of its input is a DAG run to make.

A line is JSON: `environment` to set, the `date` of the run (null for a run by hand that has none), if a
trigger waits for the job, and the parameters that are `asked` of it. The answer is a line of JSON after a
marker: the state of the run, how each task ended and how often it was tried.
"""

import importlib.util
import inspect
import json
import os
import sys
import warnings
from datetime import datetime
from types import ModuleType
from typing import Any

import airflow.providers.databricks.operators.databricks
import airflow.providers.smtp.notifications.smtp  # noqa: F401  # what a provider warns of is not the DAG's
from airflow.utils.session import create_session

MARKER = "\x1eanswer "


def load(path: str) -> tuple[ModuleType, list[str]]:
    """The module of a DAG file, and the warnings of its import."""
    spec = importlib.util.spec_from_file_location("the_dag", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["the_dag"] = module
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        spec.loader.exec_module(module)
    return module, [f"{one.category.__name__}: {one.message}" for one in caught]


def structure(dag: Any, caught: list[str]) -> dict[str, Any]:
    return {
        "warnings": caught,
        "dag_id": dag.dag_id,
        "order": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        "retries": sorted({task.retries for task in dag.tasks}),
        "back_off": sorted({float(task.retry_exponential_backoff) for task in dag.tasks}),
        "longest_delay": sorted({task.max_retry_delay.total_seconds() for task in dag.tasks}),
        "time_out": sorted({task.execution_timeout.total_seconds() for task in dag.tasks}),
        "alerts": all(task.on_failure_callback for task in dag.tasks),
        "late": bool(getattr(dag, "deadline", None) or getattr(dag, "sla_miss_callback", None)),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "schedule": dag.timetable.__dict__.get("_expression", getattr(dag.timetable, "expression", "")),
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
    }


def run(dag: Any, order: dict[str, Any]) -> dict[str, Any]:
    job = dag.get_task("run_job")
    job.deferrable = order.get("deferrable", False)
    job.polling_period_seconds = 1
    when = datetime.fromisoformat(order["date"]) if order["date"] else None
    name = "logical_date" if "logical_date" in inspect.signature(dag.test).parameters else "execution_date"
    dag_run = dag.test(run_conf=order["asked"], **{name: when})
    with create_session() as session:
        tasks = dag_run.get_task_instances(session=session)
        return {
            "state": dag_run.state,
            "tasks": {ti.task_id: ti.state for ti in tasks},
            "tries": {ti.task_id: ti.try_number for ti in tasks},
        }


def main() -> None:
    module, caught = load(sys.argv[1])
    print(MARKER + json.dumps(structure(module.dag, caught)), flush=True)  # noqa: T201
    module.dag.deadline = None  # `dag.test()` of Airflow 3.3.2 breaks off where a DAG with one succeeds
    for line in sys.stdin:
        order = json.loads(line)
        os.environ.update(order["environment"])
        print(MARKER + json.dumps(run(module.dag, order)), flush=True)  # noqa: T201
        if order["asked"]:  # `dag.test()` leaves in the DAG what was asked of one run
            module, _ = load(sys.argv[1])
            module.dag.deadline = None
        for name in order["environment"]:
            del os.environ[name]


if __name__ == "__main__":
    main()
