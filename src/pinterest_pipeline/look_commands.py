"""`pinpipe status`, `doctor` and `settings`: what is, what is missing, what can be set."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape

from pinterest_pipeline.config import explained, load_settings
from pinterest_pipeline.errors import PipelineError
from pinterest_pipeline.terminal import out

if TYPE_CHECKING:
    from pinterest_pipeline.pipeline import Lag
    from pinterest_pipeline.streaming import Standing
    from pinterest_pipeline.workspace import Workspace

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def status(as_json: AsJson = False) -> None:
    """Show which rooms run and how far each topic and stream has come.

    Example: pinpipe status --json
    """
    from pinterest_pipeline.local import read_state
    from pinterest_pipeline.terminal import show_lags, show_standings
    from pinterest_pipeline.workspace import Workspace

    settings = load_settings()
    state = read_state(settings.data)
    if state and not as_json:  # said first: a log that is away takes its time
        rooms = ", ".join(f"{name} ({pid})" for name, pid in state.rooms.items())
        out.say(f"up: {state.gateway}; {rooms}")
    elif not as_json:
        out.print("not up; start it: pinpipe up")
    found, fresh, problem = _known(Workspace(settings))
    if as_json:
        streams = [asdict(one) for one in fresh]
        shown = {"up": state, "lags": [asdict(lag) for lag in found], "streams": streams}
        _print_json(shown | ({"problem": str(problem)} if problem else {}))
    elif found:
        show_lags(found)
        show_standings(fresh)
    elif problem is None:
        out.print("no topics and no streams yet")
    if problem is not None:
        raise problem


def _known(workspace: "Workspace") -> "tuple[list[Lag], list[Standing], PipelineError | None]":
    """What the logs that answer tell, and why another one does not."""
    from pinterest_pipeline.pipeline import branch_lags
    from pinterest_pipeline.streaming import standings

    found: list[Lag] = []
    fresh: list[Standing] = []
    problem: PipelineError | None = None
    try:
        found += branch_lags(workspace, "batch")
    except PipelineError as error:
        problem = error
    try:
        found += branch_lags(workspace, "stream")
        fresh += standings(workspace)
    except PipelineError as error:
        problem = error
    return found, fresh, problem


def doctor(as_json: AsJson = False) -> None:
    """Check that this machine has what the settings ask for, and say how to get what is missing.

    Example: PINPIPE_LOG__HOME=kafka pinpipe doctor
    """
    from pinterest_pipeline.doctor import examine

    findings = examine(load_settings())
    if as_json:
        _print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "[green]✓[/]" if finding.is_well else "[yellow]✗[/]"
            out.print(f"{mark} {finding.name}: {escape(finding.found)}", soft_wrap=True)
            if finding.remedy:
                out.print(f"    {escape(finding.remedy)}", soft_wrap=True)
    if not all(finding.is_well for finding in findings):
        raise typer.Exit(1)


def settings(as_json: AsJson = False) -> None:
    """List every setting, its default and what it is for.

    Example: PINPIPE_GATEWAY__PORT=8083 pinpipe up
    """
    if as_json:
        names = ("name", "default", "meaning")
        _print_json([dict(zip(names, row, strict=True)) for row in explained()])
        return
    for variable, default, meaning in explained():
        out.print(
            f"[bold]{variable}[/] [dim](default {escape(default) or 'none'})[/]\n    {escape(meaning)}",
            soft_wrap=True,
        )
