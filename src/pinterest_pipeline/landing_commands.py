"""`pinpipe sink` and `pinpipe compact`: land, land again, merge."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pinterest_pipeline.config import load_settings
from pinterest_pipeline.records.moments import milliseconds
from pinterest_pipeline.terminal import out

Config = Annotated[Path | None, typer.Option(help="Properties file of a Confluent S3 sink, read unchanged.")]
FromOffset = Annotated[int | None, typer.Option(min=0, help="First offset of each partition.")]
ToOffset = Annotated[int | None, typer.Option(min=0, help="Offset to stop before.")]
FromTime = Annotated[datetime | None, typer.Option(help="First time (UTC).")]
ToTime = Annotated[datetime | None, typer.Option(help="Time to stop before (UTC).")]


def sink(
    config: Config = None,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Land a span again below --prefix, and end.")
    ] = False,
    prefix: Annotated[str | None, typer.Option(help="First folder of a backfill's objects.")] = None,
    from_offset: FromOffset = None,
    to_offset: ToOffset = None,
    from_time: FromTime = None,
    to_time: ToTime = None,
    as_connector: Annotated[
        bool, typer.Option("--as-connector", help="Print the same sink for MSK Connect, and end.")
    ] = False,
    exit_with_parent: Annotated[bool, typer.Option("--exit-with-parent", hidden=True)] = False,
) -> None:
    """Write the topics as objects, until Ctrl-C. Several sinks share the partitions.

    Example: pinpipe sink --config connector.properties,
    or: pinpipe sink --backfill --from-time 2026-01-01 --prefix again
    """
    from pinterest_pipeline.landing import connector_description, run_backfill, run_sink
    from pinterest_pipeline.local import stop_event
    from pinterest_pipeline.sink.span import Span
    from pinterest_pipeline.workspace import Workspace

    _check_options(backfill=backfill, prefix=prefix, bounds=(from_offset, to_offset, from_time, to_time))
    settings = load_settings()
    if as_connector:
        sys.stdout.write(json.dumps(connector_description(settings), indent=2) + "\n")
    elif prefix is not None:
        span = Span(from_offset, to_offset, _milliseconds(from_time), _milliseconds(to_time))
        done = run_backfill(Workspace(settings), config, prefix, span)
        out.say(f"{sum(done.values()):,} offsets of {len(done)} partitions are below {prefix}")
    else:
        run_sink(Workspace(settings), stop_event(exit_with_parent=exit_with_parent), config)


def _check_options(*, backfill: bool, prefix: str | None, bounds: tuple[int | datetime | None, ...]) -> None:
    """A span belongs to a backfill: a sink that was meant to land one would land all."""
    if backfill and prefix is None:
        raise typer.BadParameter("--backfill needs --prefix")
    if not backfill and any(given is not None for given in (prefix, *bounds)):
        raise typer.BadParameter("--prefix, --from-… and --to-… go with --backfill")


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else milliseconds(moment)


def replay(
    config: Config = None,
    topic: Annotated[str | None, typer.Option(help="Only those that came from this topic.")] = None,
    from_offset: FromOffset = None,
    to_offset: ToOffset = None,
    from_time: FromTime = None,
    to_time: ToTime = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Send a sink's dead letters to their topics again, as they were; each once, however often it is run.

    The span is one of the dead-letter topic.

    Example: pinpipe replay --config connector.properties --from-time 2026-01-01
    """
    from pinterest_pipeline.landing import run_replay
    from pinterest_pipeline.sink.span import Span
    from pinterest_pipeline.workspace import Workspace

    span = Span(from_offset, to_offset, _milliseconds(from_time), _milliseconds(to_time))
    done = run_replay(Workspace(load_settings()), config, topic, span)
    if as_json:
        sys.stdout.write(json.dumps({"replayed": done}) + "\n")
        return
    for name, count in done.items():
        out.print(f"{count:,} dead letters went to {name} again")
    if not done:
        out.print("no dead letters to send again")


def compact(
    megabytes: Annotated[int, typer.Option(min=1, max=2048, help="Size of a merged object.")] = 128,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Merge small objects that are loaded into large ones below compacted/; no record is lost or doubled.

    Example: pinpipe compact --megabytes 256
    """
    from pinterest_pipeline.landing import run_compaction
    from pinterest_pipeline.workspace import Workspace

    done = run_compaction(Workspace(load_settings()), megabytes * 2**20)
    merged = sum(one.merged for one in done.values())
    written = sum(one.written for one in done.values())
    if as_json:
        sys.stdout.write(json.dumps({"merged": merged, "written": written}) + "\n")
    else:
        out.print(f"{merged:,} small objects are now in {written:,} large ones")
