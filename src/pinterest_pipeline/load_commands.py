"""`pinpipe load` and `pinpipe analyse`: objects into the batch branch's tables, tables into answers."""

import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from pinterest_pipeline.config import Settings, load_settings
from pinterest_pipeline.records.moments import milliseconds
from pinterest_pipeline.records.names import Branch, Table
from pinterest_pipeline.terminal import err, show_answer, show_drift, steps

if TYPE_CHECKING:
    from pinterest_pipeline.pipeline import Loaded

EngineOption = Annotated[
    str | None,
    typer.Option("--engine", help="duckdb or spark; PINPIPE_ENGINE__NAME if not given.", metavar="ENGINE"),
]


def load(
    every: Annotated[
        float | None, typer.Option(min=0.1, help="Load again every so many seconds, until Ctrl-C.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Make the tables from all objects anew, and end.")
    ] = False,
    engine_name: EngineOption = None,
    exit_with_parent: Annotated[bool, typer.Option("--exit-with-parent", hidden=True)] = False,
) -> None:
    """Clean new objects into the batch branch's Delta tables; running it twice changes nothing.

    After a rule has changed, --full-refresh takes in all of them once more.

    Example: pinpipe load --every 60
    """
    from pinterest_pipeline.local import stop_event
    from pinterest_pipeline.pipeline import load_batch
    from pinterest_pipeline.rebuilding import full_refresh
    from pinterest_pipeline.workspace import Workspace

    if refresh and every is not None:
        raise typer.BadParameter("--full-refresh is done once: leave out --every")
    workspace = Workspace(_settings(engine_name))
    stop = stop_event(exit_with_parent=exit_with_parent)
    with workspace.engine() as engine:
        with steps() as progress:
            loaded = (full_refresh if refresh else load_batch)(workspace, engine, progress)
        _show_loaded(loaded)
        while every is not None and not stop.wait(every):
            _show_loaded(load_batch(workspace, engine))


def _settings(engine: str | None) -> Settings:
    """The settings, with another engine if one is named."""
    return load_settings(**({"engine": {"name": engine}} if engine else {}))


def _show_loaded(loaded: "Mapping[Table, Loaded]") -> None:
    for table, result in loaded.items():
        if result.read:
            err.print(f"{table}: {result.read:,} read, {result.quarantined:,} quarantined")
            show_drift(table, result.drift)


def analyse(
    branch: Annotated[Branch, typer.Option(help="batch or stream.", metavar="BRANCH")] = "batch",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    csv: Annotated[
        Path | None, typer.Option(help="Also write one CSV file for each answer into this folder.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Answer as of this time (UTC), from the objects.")
    ] = None,
    engine_name: EngineOption = None,
) -> None:
    """Answer the eight questions.

    Example: pinpipe analyse --until 2026-01-31 --json
    """
    from pinterest_pipeline.analyses.catalog import load as catalog
    from pinterest_pipeline.pipeline import answers
    from pinterest_pipeline.rebuilding import past_answers
    from pinterest_pipeline.reports.csv_files import write_csvs
    from pinterest_pipeline.workspace import Workspace

    if until is not None and branch != "batch":
        raise typer.BadParameter("--until needs the batch branch: streams keep their records for a time only")
    workspace = Workspace(_settings(engine_name))
    with workspace.engine() as engine:
        if until is None:
            found = answers(workspace, engine, branch)
        else:
            with steps() as progress:
                found = past_answers(workspace, engine, milliseconds(until), progress)
    if csv:
        write_csvs(found, csv)
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    for analysis in catalog():
        show_answer(analysis, found[analysis.name])
