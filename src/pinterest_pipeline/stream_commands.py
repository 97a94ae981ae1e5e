"""`pinpipe stream`: the streams into their Delta tables."""

import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from pinterest_pipeline.config import load_settings
from pinterest_pipeline.terminal import err, show_told

if TYPE_CHECKING:
    from pinterest_pipeline.streaming import Told


def stream(
    until_empty: Annotated[
        bool, typer.Option("--until-empty", help="Stop when nothing is left to read.")
    ] = False,
    restart: Annotated[
        list[str] | None,
        typer.Option(help="Read a stream that was deleted and made anew from its beginning; its full name."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each report, and nothing else.")
    ] = False,
    exit_with_parent: Annotated[bool, typer.Option("--exit-with-parent", hidden=True)] = False,
) -> None:
    """Clean the streams into the stream branch's Delta tables in micro-batches, until Ctrl-C.

    Every ten seconds in which records came it says how many, and how far behind each table is.

    Example: pinpipe stream --until-empty
    """
    from pinterest_pipeline.local import stop_event
    from pinterest_pipeline.streaming import run_loader, stream_loader
    from pinterest_pipeline.workspace import Workspace

    settings = load_settings()
    stop = stop_event(exit_with_parent=exit_with_parent)
    with stream_loader(Workspace(settings)) as loader:
        for name in restart or []:
            is_new = loader.restart(name)
            err.print(f"{name}: {'goes on with the new stream' if is_new else 'nothing to restart'}")
        err.print("reading the streams; Ctrl-C stops")
        tell = _print_told if as_json else show_told
        run_loader(loader, settings.stream.poll_seconds, stop, tell, until_empty=until_empty)


def _print_told(told: "list[Told]") -> None:
    for one in told:
        counts = {"table": one.table, "read": one.loaded.read, "quarantined": one.loaded.quarantined}
        line = counts | msgspec.to_builtins(one.standing)
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()
