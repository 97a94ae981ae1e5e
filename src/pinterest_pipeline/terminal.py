"""What a person sees in a terminal: tables, progress, a clear word about an error."""

import errno
import select
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from pinterest_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pinterest_pipeline.analyses.catalog import Analysis
    from pinterest_pipeline.ledger.account import TableAccount
    from pinterest_pipeline.pipeline import Lag
    from pinterest_pipeline.streaming import Standing, Told

_ROWS_SHOWN = 10


_STEERING = [code for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"]
_VISIBLE = dict.fromkeys(_STEERING, "\ufffd")
"""What steers a terminal, out of a text that anybody may have sent."""


class _Console(Console):
    def say(self, text: str) -> None:
        """A line as it is: in any other one brackets are marks of style, as they may be in a path."""
        self.print(text, soft_wrap=True, markup=False)

    def on_broken_pipe(self) -> None:
        """As any other write: rich would end the process here as if a command had failed."""
        raise BrokenPipeError(errno.EPIPE, "nobody reads standard output")


out = _Console(highlight=False, emoji=False)
err = _Console(stderr=True, highlight=False, emoji=False)


def configure_log() -> None:
    """Log lines go to standard error, in colour only where a person looks."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def is_reader_gone() -> bool:
    """Whether standard output is a pipe that nobody reads any more."""
    output = select.poll()
    output.register(1, 0)  # what is wrong is told without being asked for
    return any(told & select.POLLERR for _, told in output.poll(0))


def show_error(error: PipelineError) -> None:
    err.print(f"[bold red]error:[/] {escape(error.problem)}", soft_wrap=True)
    if error.remedy:
        err.print(f"       {escape(error.remedy)}", soft_wrap=True)


class _Rate(ProgressColumn):
    def render(self, task: Any) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


@contextmanager
def steps() -> Iterator[Any]:
    """A callback (step, done, total) that shows one line with a bar for each step."""
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        _Rate(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def show(step: str, done: int, total: int | None) -> None:
            if step not in tasks:
                for task in tasks.values():
                    progress.stop_task(task)
                tasks[step] = progress.add_task(step, total=total)
                if not err.is_terminal:
                    err.say(f"{step} ...")
            progress.update(tasks[step], completed=done, total=total)

        yield show


def show_answer(analysis: "Analysis", rows: Sequence[Mapping[str, Any]]) -> None:
    """One answer as a table of its first rows."""
    out.print(f"\n[bold]{analysis.number}. {escape(analysis.question)}[/]", soft_wrap=True)
    if not rows:
        out.print("   no rows")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name, value in rows[0].items():
        table.add_column(name, justify="left" if isinstance(value, str) else "right", header_style="dim")
    for row in rows[:_ROWS_SHOWN]:
        table.add_row(*(_cell(value) for value in row.values()))
    out.print(table)
    if len(rows) > _ROWS_SHOWN:
        out.print(f"[dim]… {len(rows) - _ROWS_SHOWN} more rows[/]")


def _cell(value: Any) -> str | Text:
    if isinstance(value, int) and value >= 10_000:
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}".removesuffix(".0")
    return "" if value is None else Text(str(value).translate(_VISIBLE))


_ACCOUNT_ROWS = (
    "sent", "acknowledged", "refused", "unknown", "landed", "clean", "duplicate", "quarantined",
)  # fmt: skip


def show_accounts(accounts: "Mapping[Any, Mapping[str, TableAccount]]", problems: Sequence[str]) -> None:
    """The account of records, and what does not hold."""
    out.print("\n[bold]The account of records[/]")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for branch, tables in accounts.items():
        for name in tables:
            table.add_column(f"{branch}\n{name}", justify="right", header_style="dim")
    every = [account for tables in accounts.values() for account in tables.values()]
    foreign = any(account.without_receipt for account in every)
    expired = any(account.expired for account in every)
    more = [name for name, is_there in (("without_receipt", foreign), ("expired", expired)) if is_there]
    for column in (*_ACCOUNT_ROWS, *more):
        table.add_row(column, *(f"{getattr(account, column):,}" for account in every))
    out.print(table)
    for problem in problems:
        out.print(f"[bold red]✗[/] {escape(problem)}")
    if not problems:
        out.print(
            "[green]✓[/] sent = acknowledged + refused + unknown\n"
            "[green]✓[/] each acknowledged record landed where its receipt says\n"
            "[green]✓[/] landed = clean + duplicate + quarantined, each record exactly once"
        )


def show_changes(changes: Mapping[Any, Mapping[str, Mapping[str, int]]]) -> None:
    """How many values each cleaning rule changed."""
    out.print("\n[bold]Values changed by each cleaning rule[/]")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("rule", header_style="dim")
    for branch in changes:
        table.add_column(str(branch), justify="right", header_style="dim")
    rules = {rule for tables in changes.values() for counts in tables.values() for rule in counts}
    for rule in sorted(rules):
        counts = (sum(tables[name].get(rule, 0) for name in tables) for tables in changes.values())
        table.add_row(rule, *(f"{count:,}" for count in counts))
    out.print(table)


def show_drift(table: str, drift: Mapping[str, int]) -> None:
    """Which fields of a table's records were not as expected, the most frequent first."""
    if not drift:
        return
    most = sorted(drift.items(), key=lambda item: -item[1])
    parts = [(*key.partition(" "), count) for key, count in most[:_ROWS_SHOWN]]
    named = ", ".join(f"{kind.replace('_', ' ')} {field} ({count:,})" for kind, _, field, count in parts)
    more = f" and {len(most) - _ROWS_SHOWN:,} more" if len(most) > _ROWS_SHOWN else ""
    shown = f"{escape(named)}{more}"
    err.print(f"{table}: fields not as expected, kept in _rescued_data: {shown}", soft_wrap=True)


def show_lags(lags: "Sequence[Lag]") -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("topic or stream", "part", "records", "landed", "in table", "lag"):
        table.add_column(name, justify="left" if name == "topic or stream" else "right", header_style="dim")
    for lag in lags:
        if lag.end is None or lag.loaded is None:
            seconds = (lag.behind_ms or 0) / 1000
            table.add_row(lag.source, f"{lag.part:,}", "", "", "", f"{seconds:,.1f} s")
        else:
            counts = (lag.part, lag.end, lag.landed or 0, lag.loaded, lag.end - lag.loaded)
            table.add_row(lag.source, *(f"{count:,}" for count in counts))
    out.print(table)


def show_told(told: "Sequence[Told]") -> None:
    """What a loader of streams has done since it last said so, a line for each stream with news."""
    for one in told:
        if one.loaded.read or one.standing.oldest_unread_seconds is not None:
            counts = f"{one.loaded.read:,} read, {one.loaded.quarantined:,} quarantined"
            behind = f"{_count(one.standing.behind)} behind"
            newest = _seconds(one.standing.newest_row_seconds)
            err.print(f"{one.table}: {counts}; {behind}, newest row {newest} old", soft_wrap=True)
            show_drift(one.table, one.loaded.drift)


def show_standings(standings: "Sequence[Standing]") -> None:
    """How fresh the table of each stream is."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("stream", "records behind", "newest row", "oldest unread"):
        table.add_column(name, justify="left" if name == "stream" else "right", header_style="dim")
    for one in standings:
        ages = (_seconds(one.newest_row_seconds), _seconds(one.oldest_unread_seconds))
        table.add_row(one.stream, _count(one.behind), *ages)
    out.print(table)


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _seconds(age: float | None) -> str:
    return "-" if age is None else f"{age:,.1f} s"
