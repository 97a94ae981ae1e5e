"""`pinpipe`: one command for each room, and a few that run them together.

Exit codes: 0 done · 1 figures disagree · 2 a setting or an argument is wrong · 3 a part does not answer ·
4 an input cannot be read · 5 a port or a folder is in use · 6 the disk is full · 7 a login was refused ·
130 interrupted.
"""

import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer
from rich.markup import escape
from typer.core import TyperGroup

from pinterest_pipeline import (
    key_commands,
    landing_commands,
    load_commands,
    look_commands,
    server_commands,
    stream_commands,
)
from pinterest_pipeline.config import load_settings, remember
from pinterest_pipeline.errors import BadInput, Disagreement, DiskFull, PipelineError, is_disk_full
from pinterest_pipeline.records.names import Branch
from pinterest_pipeline.terminal import configure_log, err, is_reader_gone, out, show_error

_ORDER = (
    "demo", "up", "fill", "send", "keys", "gateway", "kafka", "sink", "replay", "s3", "compact", "load",
    "stream", "analyse", "report", "status", "verify", "doctor", "settings",
)  # fmt: skip


class InOrder(TyperGroup):
    """Lists the commands by what a reader wants first, whatever file they are in."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=_ORDER.index)


app = typer.Typer(
    name="pinpipe",
    cls=InOrder,
    help="Posts flow in, are kept, cleaned and counted.\n\n"
    "Start with [bold]pinpipe demo[/]: it runs everything once on this machine and ends.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

WHOLE = "The whole pipeline"
ROOMS = "One room each, in the order of the flow"
LOOK = "Look and prove"

app.add_typer(key_commands.app, name="keys", rich_help_panel=ROOMS)
for command in (
    landing_commands.sink,
    landing_commands.replay,
    landing_commands.compact,
    server_commands.kafka,
    server_commands.s3,
    load_commands.load,
    load_commands.analyse,
    stream_commands.stream,
):
    app.command(rich_help_panel=ROOMS)(command)
for look in (look_commands.status, look_commands.doctor, look_commands.settings):
    app.command(rich_help_panel=LOOK)(look)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
PostsFile = Annotated[
    Path | None,
    typer.Option("--posts", help="A file of posts (JSON lines, may be .gz) instead of generated ones."),
]
OnKafka = Annotated[
    bool, typer.Option("--kafka", help="Keep the topics in a Kafka node that is started for it.")
]
OnS3 = Annotated[
    bool, typer.Option("--s3", help="Keep the objects in an S3 server (SeaweedFS) that is started for it.")
]
OnSpark = Annotated[bool, typer.Option("--spark", help="Clean and answer with Spark instead of DuckDB.")]
ExitWithParent = Annotated[bool, typer.Option("--exit-with-parent", hidden=True)]


def emulate(branch: Branch) -> None:
    """What the original's two scripts do: `pinpipe send` down one branch."""
    main(["send", branch, *sys.argv[1:]])


def main(arguments: list[str] | None = None) -> None:
    """Run a command; an error of ours is one clear message and an exit code, never a traceback."""
    configure_log()
    try:
        app(arguments)
    except PipelineError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as end:
        if end.code == 1 and is_reader_gone():  # click takes that for a failure
            sys.exit(141)
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename and not is_disk_full(error):
            _fail(BadInput(f"{error.filename}: {error.strerror}", "see 'pinpipe doctor'"))
        if not is_disk_full(error):
            raise
        _fail(DiskFull(f"the disk is full: {error}", "free some space and start again; nothing is lost"))


def _fail(error: PipelineError) -> None:
    show_error(error)
    sys.exit(error.exit_code)


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


@app.command(rich_help_panel=WHOLE)
def demo(
    posts: PostsFile = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Posts to send down each branch; 1,000 generated ones, or all of a file."),
    ] = None,
    on_kafka: OnKafka = False,
    on_s3: OnS3 = False,
    on_spark: OnSpark = False,
    as_json: AsJson = False,
) -> None:
    """Run everything once: fill, send, land, clean, answer, prove, stop.

    Example: pinpipe demo --posts posts.jsonl.gz --count 88
    """
    from pinterest_pipeline import demo as demonstration
    from pinterest_pipeline.local import chosen_settings
    from pinterest_pipeline.outcome import compared
    from pinterest_pipeline.terminal import steps

    with steps() as progress:
        settings = load_settings(**({"engine": {"name": "spark"}} if on_spark else {}))
        chosen = chosen_settings(settings, on_kafka=on_kafka, on_s3=on_s3)
        result = demonstration.run(chosen, posts, count, progress)
    shown = compared(result.outcome)
    if as_json:
        _print_json({"answers": shown.answers, "account": shown.account()})
    else:
        _show_outcome(shown)
    report_path = _write_report(result.workspace, result.outcome)
    if not as_json:
        out.say(f"\nThe report: {report_path}")
    if shown.problems:
        raise Disagreement(_summary(shown.problems, as_json))


@app.command(rich_help_panel=WHOLE)
def up(on_kafka: OnKafka = False, on_s3: OnS3 = False) -> None:
    """Start every room on this machine and keep it running until Ctrl-C.

    With --kafka or --s3 the folder keeps that choice, for other commands and for the next time.

    Example: pinpipe up --kafka --s3
    """
    from pinterest_pipeline.gateway.access import lacks_key
    from pinterest_pipeline.local import Supervisor, chosen_settings, fetch_parts, stop_event
    from pinterest_pipeline.serving import NO_KEY
    from pinterest_pipeline.workspace import Workspace

    settings = chosen_settings(load_settings(), on_kafka=on_kafka, on_s3=on_s3)
    fetch_parts(settings, err.say)
    stop = stop_event()
    with Workspace(settings).only_one("up"):
        if on_kafka or on_s3:
            remember(settings)
        supervisor = Supervisor(settings)
        try:
            url = supervisor.start()
            out.say(f"The gateway listens on {url}; its routes: {url}/docs")
            out.say(f"Logs are in {settings.data / 'logs'}; Ctrl-C stops all.")
            if lacks_key(settings.gateway, urlsplit(url).hostname or "", settings.data):
                err.print(f"[yellow]warning:[/] {escape(NO_KEY)}", soft_wrap=True)
            supervisor.run(stop)
        finally:
            supervisor.stop()


@app.command(rich_help_panel=ROOMS)
def fill(
    posts: PostsFile = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="How many posts; 11,154 generated ones, or all of a file.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the generated posts.")] = 100,
    replace: Annotated[bool, typer.Option("--replace", help="Replace posts that are there.")] = False,
) -> None:
    """Fill the source database of db_creds.yaml with posts.

    Example: pinpipe fill --count 100000
    """
    from pinterest_pipeline.filling import fill as fill_database

    fill_database(load_settings(), posts, count, seed, replace=replace)


@app.command(rich_help_panel=ROOMS)
def send(
    branch: Annotated[Branch, typer.Argument(help="batch (Kafka) or stream (Kinesis).")],
    count: Annotated[int, typer.Option(min=1, help="Posts to send in the original's order.")] = 1_000,
    every_post: Annotated[bool, typer.Option("--every-post", help="Send every post once instead.")] = False,
    rate: Annotated[
        float | None, typer.Option(help="Posts a second; as fast as it goes if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the original's order.")] = 100,
    last_row: Annotated[
        int | None, typer.Option(help="Last row to draw from; 11,000 as the original if not given.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Requests under way at once.")] = 4,
    batch: Annotated[int, typer.Option(min=1, help="Records of a request; the original sends 1.")] = 1,
) -> None:
    """Send posts from the source database through the API, and account for each.

    Example: pinpipe send batch --count 500 --batch 100
    """
    from pinterest_pipeline.sending import Plan
    from pinterest_pipeline.sending import send as send_posts

    settings = load_settings()
    plan = Plan(count=None if every_post else count, seed=seed, last_row=last_row)
    send_posts(settings, branch, plan, rate=rate, workers=workers, batch=batch)


@app.command(rich_help_panel=ROOMS)
def gateway(
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes; PINPIPE_GATEWAY__WORKERS if not given.")
    ] = None,
    fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    exit_with_parent: ExitWithParent = False,
) -> None:
    """Take posts over HTTP and append them to the event log; answer when they are durable.

    Example: pinpipe gateway --workers 4
    """
    from pinterest_pipeline.serving import run_gateway

    run_gateway(load_settings(), workers, fd, exit_with_parent=exit_with_parent)


@app.command(rich_help_panel=ROOMS)
def report() -> None:
    """Write the answers, the cleaning counts and the account of records as one HTML file.

    Example: PINPIPE_DATA=pinpipe-data pinpipe report
    """
    from pinterest_pipeline.outcome import loaded_branches, outcome
    from pinterest_pipeline.workspace import Workspace

    workspace = Workspace(load_settings())
    out.say(str(_write_report(workspace, outcome(workspace, loaded_branches(workspace)))))


@app.command(rich_help_panel=LOOK)
def verify(as_json: AsJson = False) -> None:
    """Recompute the account of every record from the data itself; exit 1 when it does not hold.

    Example: pinpipe verify --json
    """
    from pinterest_pipeline.outcome import loaded_branches, outcome
    from pinterest_pipeline.terminal import show_accounts
    from pinterest_pipeline.workspace import Workspace

    workspace = Workspace(load_settings())
    result = outcome(workspace, loaded_branches(workspace))
    if as_json:
        _print_json(result.account())
    else:
        show_accounts(result.accounts, result.problems)
    if result.problems:
        raise Disagreement(_summary(result.problems, as_json))


def _summary(problems: list[str], as_json: bool) -> str:
    """Problems that a person has just read are not said twice."""
    return "; ".join(problems) if as_json else f"{len(problems)} figures do not agree, see above"


def _show_outcome(result: Any) -> None:
    from pinterest_pipeline.analyses.catalog import load as catalog
    from pinterest_pipeline.terminal import show_accounts, show_answer, show_changes

    branch = result.branches[0]
    for analysis in catalog():
        show_answer(analysis, result.answers[branch][analysis.name])
    show_changes(result.changes)
    show_accounts(result.accounts, result.problems)


def _write_report(workspace: Any, result: Any) -> Path:
    from pinterest_pipeline.outcome import write_report

    path: Path = write_report(workspace, result)
    return path
