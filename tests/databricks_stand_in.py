"""What a notebook of Databricks finds there and nowhere else, for notebooks that tests run on this machine.

`run_notebook(path, spark, widgets)` runs the file `path` as Databricks would: cell by cell in one namespace,
with `spark`, `dbutils` and `display` in it, and returns that namespace, so that a test can look at what the
notebook left. `widgets` are the values that a job would hand over; what the notebook declares as a default
holds for the others, and a widget that it does not declare is refused, as there. `display` keeps what it was
given (`namespace["display"].shown`); `dbutils.notebook.exit(value)` ends the run and `value` is kept under
`namespace["dbutils"].notebook.left`. Of `dbutils.secrets` and `dbutils.fs` a test gives what it needs:
`Dbutils(widgets, secrets={("scope", "key"): "…"})`; anything else of `dbutils` is not there.

By hand: `python -m tests.databricks_stand_in databricks/kinesis_streams.py trigger="5 seconds"` runs a
notebook in a Spark session of its own and prints what it shows.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FIRST_LINE = "# Databricks notebook source"
_CELLS = re.compile(r"^# COMMAND ----------\s*$", re.MULTILINE)


class NotebookExit(Exception):
    """`dbutils.notebook.exit` was called."""


class Widgets:
    """Text widgets and dropdowns: the values of the job, else the notebook's defaults."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._given = dict(values)
        self._declared: dict[str, str] = {}

    def text(self, name: str, defaultValue: str, label: str | None = None) -> None:  # noqa: N803 - Databricks' name
        assert label is None or isinstance(label, str)
        self._declared[name] = defaultValue

    def dropdown(
        self,
        name: str,
        defaultValue: str,  # noqa: N803 - Databricks' name
        choices: list[str],
        label: str | None = None,
    ) -> None:
        assert defaultValue in choices
        self.text(name, defaultValue, label)

    def get(self, name: str) -> str:
        assert name in self._declared, f"the notebook has no widget '{name}'"
        return self._given.get(name, self._declared[name])

    def undeclared(self) -> set[str]:
        """Values that the job handed over and the notebook never asked for."""
        return self._given.keys() - self._declared.keys()


class Secrets:
    """Secrets by scope and key."""

    def __init__(self, values: Mapping[tuple[str, str], str]) -> None:
        self._values = dict(values)

    def get(self, scope: str, key: str) -> str:
        return self._values[scope, key]


class Notebook:
    """How a notebook ends before its last cell."""

    def __init__(self) -> None:
        self.left: str | None = None

    def exit(self, value: str) -> None:
        self.left = value
        raise NotebookExit(value)


class Dbutils:
    """`dbutils`, as far as notebooks here use it."""

    def __init__(
        self,
        widgets: Mapping[str, str] | None = None,
        secrets: Mapping[tuple[str, str], str] | None = None,
        fs: Any = None,
    ) -> None:
        self.fs = fs
        self.widgets = Widgets(widgets or {})
        self.secrets = Secrets(secrets or {})
        self.notebook = Notebook()


class Display:
    """`display`: keeps what it was given."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def __call__(self, *values: Any) -> None:
        self.shown += values


def cells(source: str) -> list[str]:
    """The cells of a notebook in source form; those of other languages (`# MAGIC`) are comments already."""
    first, _, rest = source.partition("\n")
    assert first == FIRST_LINE, f"a notebook begins with '{FIRST_LINE}'"
    return _CELLS.split(rest)


def run_notebook(
    path: Path, spark: Any, widgets: Mapping[str, str] | None = None, dbutils: Dbutils | None = None
) -> dict[str, Any]:
    """Run a notebook to its end or to its `exit`; its namespace."""
    tools = dbutils or Dbutils(widgets)
    namespace: dict[str, Any] = {
        "__name__": "__main__",
        "spark": spark,
        "dbutils": tools,
        "display": Display(),
        "displayHTML": Display(),
    }
    try:
        for number, cell in enumerate(cells(path.read_text(encoding="utf-8")), 1):
            exec(compile(cell, f"{path.name}, cell {number}", "exec"), namespace)
    except NotebookExit:
        pass
    assert not tools.widgets.undeclared(), f"the notebook has no widgets {tools.widgets.undeclared()}"
    return namespace


def main(path: str, *widgets: str) -> None:
    """Run one notebook; each widget is `name=value`."""
    from pinterest_pipeline.config import load_settings
    from pinterest_pipeline.engines.spark_session import spark_session

    settings = load_settings()
    values = dict(widget.split("=", 1) for widget in widgets)
    with spark_session(settings.engine, settings.cache, settings.data / "spill", print) as spark:
        for frame in run_notebook(Path(path), spark, values)["display"].shown:
            frame.show(truncate=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
