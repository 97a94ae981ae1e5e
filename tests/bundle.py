"""The Databricks bundle as its command line reads it: files joined, targets laid over, references followed.

`databricks bundle validate` needs a workspace. What can be known without one is known here.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from databricks.bundles.core import Resource
from databricks.bundles.jobs import Job
from databricks.bundles.pipelines import Pipeline
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume
from pydantic import BaseModel, ConfigDict, RootModel

ROOT = Path(__file__).parents[1] / "databricks"
KINDS: dict[str, type[Resource]] = {
    "jobs": Job,
    "pipelines": Pipeline,
    "schemas": Schema,
    "volumes": Volume,
}
# What the command line knows by itself.
GIVEN = {"bundle.name", "bundle.target", "workspace.current_user.userName"}
REFERENCE = re.compile(r"\$\{([^}]+)\}")

Tree = dict[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Bundle(_Strict):
    name: str


class _Artifact(_Strict):
    type: Literal["whl"]
    path: str
    build: str
    dynamic_version: bool


class _Variable(_Strict):
    description: str
    default: str | None = None


class _Workspace(_Strict):
    root_path: str


class _Presets(_Strict):
    trigger_pause_status: Literal["PAUSED", "UNPAUSED"]


class _RunAs(_Strict):
    service_principal_name: str


class _Permission(_Strict):
    level: Literal["CAN_MANAGE", "CAN_RUN", "CAN_VIEW"]
    group_name: str | None = None
    service_principal_name: str | None = None


class _Target(_Strict):
    mode: Literal["development", "production"]
    default: bool = False
    workspace: _Workspace | None = None
    presets: _Presets
    variables: dict[str, str] = {}
    run_as: _RunAs | None = None
    permissions: list[_Permission] = []
    resources: dict[str, dict[str, Tree]] = {}


class Configuration(_Strict):
    """`databricks.yml`, with the keys that ours has: another one is a slip, or is added here."""

    bundle: _Bundle
    include: list[str]
    artifacts: dict[str, _Artifact]
    variables: dict[str, _Variable]
    targets: dict[str, _Target]


class _Included(RootModel[dict[Literal["resources"], dict[str, dict[str, Tree]]]]):
    pass


@cache
def configuration() -> Configuration:
    return Configuration.model_validate(_read(ROOT / "databricks.yml"))


def included() -> list[Path]:
    return sorted(file for pattern in configuration().include for file in ROOT.glob(pattern))


def resources(target: str) -> Tree:
    """Kind -> key -> the resource of a target, with the values of its variables where they have one."""
    merged: Tree = {}
    for file in included():
        merged = laid_over(merged, _Included.model_validate(_read(file)).root["resources"])
    chosen = configuration().targets[target]
    values = {
        f"var.{name}": chosen.variables.get(name, variable.default)
        for name, variable in configuration().variables.items()
    }
    replaced: Tree = _replaced(laid_over(merged, chosen.resources), values)
    return replaced


def of_kind(target: str, kind: str) -> Tree:
    found: Tree = resources(target)[kind]
    return found


def checked(kind: str, fields: Tree) -> Resource:
    """The resource as Databricks' own class; raises for a field that it lacks or a value that is none."""
    made: Resource = KINDS[kind].from_dict(fields)  # type: ignore[attr-defined]
    return made


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """Mappings are joined, everything else is replaced."""
    joined = dict(below)
    for key, value in above.items():
        under = joined.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            joined[key] = laid_over(under, value)
        else:
            joined[key] = value
    return joined


def references() -> set[str]:
    """Everything that a `${…}` of the bundle names."""
    files = [ROOT / "databricks.yml", *included()]
    return {name for file in files for name in REFERENCE.findall(file.read_text(encoding="utf-8"))}


def texts(tree: Any) -> Iterator[str]:
    """Every text in a tree, keys left out."""
    if isinstance(tree, str):
        yield tree
    for value in tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list) else ():
        yield from texts(value)


def first_arguments(file: Path, call: str) -> list[str]:
    """The first argument of each `call`, as `dbutils.widgets.text`, in a source file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [ast.literal_eval(node.args[0]) for node in calls if ast.unparse(node.func) == call]


def _replaced(tree: Any, values: Mapping[str, str | None]) -> Any:
    if isinstance(tree, Mapping):
        return {key: _replaced(value, values) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_replaced(value, values) for value in tree]
    if isinstance(tree, str):
        return REFERENCE.sub(lambda found: values.get(found[1]) or found[0], tree)
    return tree


def _read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))
