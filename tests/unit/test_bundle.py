"""The Databricks bundle says what its notebooks, its wheel and Databricks' own classes have."""

import ast
import re
from pathlib import Path

import pytest

from tests import bundle
from tests.bundle import ROOT, Tree, checked, configuration, first_arguments, of_kind, references, texts

TARGETS = ["dev", "prod"]
JOBS = sorted(of_kind("dev", "jobs"))
PIPELINES = sorted(of_kind("dev", "pipelines"))
DAG = ROOT.parent / "dags" / "124df56aef51_dag.py"
FOR_PEOPLE = {"airflow_run_id", "data_interval_start", "data_interval_end"}
TOLD_BY_AIRFLOW = FOR_PEOPLE | {"full_refresh", "until"}


def test_there_is_a_target_to_try_in_and_one_to_rely_on() -> None:
    assert sorted(configuration().targets) == TARGETS
    dev, prod = (configuration().targets[name] for name in TARGETS)
    assert (dev.mode, dev.default, dev.presets.trigger_pause_status) == ("development", True, "PAUSED")
    assert (prod.mode, prod.default, prod.presets.trigger_pause_status) == ("production", False, "UNPAUSED")
    assert prod.workspace is not None
    assert prod.workspace.root_path.startswith("/Workspace/Users/${var.service_principal}/")
    assert prod.run_as is not None
    assert prod.run_as.service_principal_name == "${var.service_principal}"
    assert [permission.level for permission in prod.permissions] == ["CAN_MANAGE", "CAN_RUN", "CAN_VIEW"]


@pytest.mark.parametrize("target", TARGETS)
def test_every_resource_is_one_that_databricks_knows(target: str) -> None:
    for kind, found in bundle.resources(target).items():
        for fields in found.values():
            checked(kind, fields)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"max_concurent_runs": 1}, "Unexpected field 'max_concurent_runs'"),
        ({"schedule": {"quartz_cron_expression": "0 0 3 * * ?"}}, "timezone_id"),
        ({"queue": {"enabled": "maybe"}}, "maybe"),
        ({"continuous": {"pause_status": "ASLEEP"}}, "ASLEEP"),
    ],
)
def test_a_slip_in_a_resource_is_found(change: Tree, complaint: str) -> None:
    with pytest.raises((ValueError, TypeError), match=complaint):
        checked("jobs", of_kind("dev", "jobs")["batch"] | change)


def test_every_reference_leads_somewhere_and_every_variable_is_used() -> None:
    used = references()
    variables = {f"var.{name}" for name in configuration().variables}
    assert {name for name in used if name.startswith("var.")} == variables
    others = {name for name in used - variables if not name.startswith("resources.")}
    assert others <= bundle.GIVEN
    for name in used - variables - others:
        _, kind, key, field = name.split(".")
        assert field == "id" or field in of_kind("dev", kind)[key], name


def test_a_variable_without_a_default_has_a_value_in_development_alone() -> None:
    asked = {name for name, variable in configuration().variables.items() if variable.default is None}
    assert set(configuration().targets["dev"].variables) == asked
    assert configuration().targets["prod"].variables == {"stream_status": "UNPAUSED"}


def test_nothing_is_bound_to_one_workspace_or_to_one_person() -> None:
    for target in TARGETS:
        for text in texts(bundle.resources(target)):
            assert not re.search(r"https?://|/Workspace/Shared|[0-9a-f]{8}-[0-9a-f]{4}-|^[0-9]{6,}$", text)
            assert not re.search(r"AKIA|password|dbfs:|/mnt/", text, re.IGNORECASE)
    written = "".join(file.read_text(encoding="utf-8") for file in bundle.included())
    keys = re.findall(r"^\s*-?\s*(\w+):", written, re.MULTILINE)
    assert not {"existing_cluster_id", "cluster_id", "warehouse_id", "job_id", "budget_policy_id"} & {*keys}


@pytest.mark.parametrize("job", JOBS)
def test_a_job_runs_one_at_a_time_and_says_when_it_fails(job: str) -> None:
    fields = of_kind("prod", "jobs")[job]
    assert fields["max_concurrent_runs"] == 1
    assert fields["email_notifications"]["on_failure"] == ["${var.alert_email}"]
    assert fields["health"]["rules"]


def test_the_batch_job_runs_daily_again_when_it_failed_and_not_for_ever() -> None:
    fields = of_kind("prod", "jobs")["batch"]
    assert fields["schedule"] == {"quartz_cron_expression": "0 0 3 * * ?", "timezone_id": "UTC"}
    assert fields["queue"] == {"enabled": True}
    assert fields["timeout_seconds"] > 0
    assert all(task["max_retries"] > 0 for task in fields["tasks"])


def test_the_streaming_job_goes_on_and_on_in_production_alone() -> None:
    status = {target: of_kind(target, "jobs")["stream"]["continuous"]["pause_status"] for target in TARGETS}
    assert status == {"dev": "PAUSED", "prod": "UNPAUSED"}


@pytest.mark.parametrize("job", JOBS)
def test_what_a_job_passes_is_what_its_notebook_asks_for(job: str) -> None:
    fields = of_kind("dev", "jobs")[job]
    passed = [parameter["name"] for parameter in fields["parameters"]]
    for task in fields["tasks"]:
        notebook = beside(task["notebook_task"]["notebook_path"])
        assert notebook.read_text(encoding="utf-8").startswith("# Databricks notebook source\n")
        asked = first_arguments(notebook, "dbutils.widgets.text")
        assert sorted(asked) == sorted(set(passed) - FOR_PEOPLE)
        assert set(first_arguments(notebook, "dbutils.widgets.get")) <= set(asked)


def test_what_airflow_tells_a_job_is_a_parameter_of_it() -> None:
    told = next(
        node
        for node in ast.walk(ast.parse(DAG.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name == "job_parameters"
    )
    (names,) = (node.keys for node in ast.walk(told) if isinstance(node, ast.Dict))
    assert {name.value for name in names if isinstance(name, ast.Constant)} == TOLD_BY_AIRFLOW
    assert {one["name"] for one in of_kind("prod", "jobs")["batch"]["parameters"]} >= TOLD_BY_AIRFLOW


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_what_a_pipeline_is_configured_with_is_what_its_files_ask_for(pipeline: str) -> None:
    fields = of_kind("dev", "pipelines")[pipeline]
    assert beside(fields["root_path"]).is_dir()
    folders = [beside(one["glob"]["include"].removesuffix("/**")) for one in fields["libraries"]]
    asked = [
        name
        for folder in folders
        for file in sorted(folder.glob("**/*.py"))
        for name in first_arguments(file, "spark.conf.get")
    ]
    assert sorted(asked) == sorted(fields["configuration"])


def test_every_environment_is_used_and_holds_the_wheel_that_the_bundle_builds() -> None:
    (artifact,) = configuration().artifacts.values()
    assert (ROOT / artifact.path / "pyproject.toml").is_file()
    wheel = ["../dist/*.whl"]
    assert "--out-dir dist" in artifact.build
    for fields in of_kind("prod", "jobs").values():
        environments = {one["environment_key"]: one["spec"] for one in fields.get("environments", ())}
        clusters = {one["job_cluster_key"] for one in fields.get("job_clusters", ())}
        assert {task.get("environment_key") for task in fields["tasks"]} == set(
            environments
        ) or not environments
        assert {task.get("job_cluster_key") for task in fields["tasks"]} == clusters or not clusters
        assert all(spec["dependencies"] == wheel for spec in environments.values())
        if clusters:
            assert all(task["libraries"] == [{"whl": wheel[0]}] for task in fields["tasks"])
    for fields in of_kind("prod", "pipelines").values():
        assert fields["environment"]["dependencies"] == wheel


def test_every_python_file_of_the_bundle_is_run_by_it() -> None:
    run = {
        beside(task["notebook_task"]["notebook_path"])
        for fields in of_kind("dev", "jobs").values()
        for task in fields["tasks"]
    }
    for fields in of_kind("dev", "pipelines").values():
        for one in fields["libraries"]:
            run |= set(beside(one["glob"]["include"].removesuffix("/**")).glob("**/*.py"))
    assert run == set(ROOT.glob("**/*.py"))


def beside(path: str) -> Path:
    """A path that a file of `resources/` names."""
    return (ROOT / "resources" / path).resolve()
