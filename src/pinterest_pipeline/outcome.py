"""What a pipeline came to: the answers of both branches, the account of records, and whether all agrees."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pinterest_pipeline.analyses.catalog import load
from pinterest_pipeline.cleaning.drift import SAYS
from pinterest_pipeline.cleaning.rules import RULES
from pinterest_pipeline.errors import Fatal
from pinterest_pipeline.landing import sink_problems
from pinterest_pipeline.ledger.account import TableAccount
from pinterest_pipeline.pipeline import answers, changes, table_account
from pinterest_pipeline.records.names import BRANCHES, TABLES, Branch
from pinterest_pipeline.reports.csv_files import write_csvs
from pinterest_pipeline.reports.page import render
from pinterest_pipeline.workspace import Workspace

_SAMPLE = 20  # quarantined rows of a branch that a report shows

Answers = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Outcome:
    """Answers by branch and name, accounts by branch and table, changes by branch, table and rule."""

    answers: dict[Branch, Answers]
    accounts: dict[Branch, dict[str, TableAccount]]
    changes: dict[Branch, dict[str, dict[str, int]]]
    quarantined: dict[Branch, list[dict[str, Any]]]
    problems: list[str]
    branches: tuple[Branch, ...]
    """The branches that were asked for."""

    def account(self) -> dict[str, Any]:
        """The account of records as JSON has it."""
        tables: dict[str, Any] = {
            branch: {table: asdict(account) for table, account in accounts.items()}
            for branch, accounts in self.accounts.items()
        }
        return {**tables, "balanced": not self.problems, "problems": self.problems}


def outcome(workspace: Workspace, branches: tuple[Branch, ...] = BRANCHES) -> Outcome:
    """Answer and account for the branches; two branches that were sent the same posts must agree."""
    accounts = {
        branch: {str(table): table_account(workspace, branch, table) for table in TABLES}
        for branch in branches
    }
    with workspace.engine() as engine:
        found = {branch: answers(workspace, engine, branch) for branch in branches}
    problems = [text for tables in accounts.values() for table in tables.values() for text in table.problems]
    problems += unloaded(workspace, branches)
    if "batch" in branches:
        problems += sink_problems(workspace)
    return Outcome(
        answers=found,
        accounts=accounts,
        changes={branch: changes(workspace, branch) for branch in branches},
        quarantined={branch: workspace.quarantine(branch).head(_SAMPLE) for branch in branches},
        problems=problems,
        branches=branches,
    )


def unloaded(workspace: Workspace, branches: tuple[Branch, ...]) -> list[str]:
    """Branches that are not among `branches`, though records were sent down them."""
    commands = {"batch": "pinpipe load", "stream": "pinpipe stream"}
    return [
        f"{branch}: records were sent, but its tables are not there; run '{commands[branch]}'"
        for branch in BRANCHES
        if branch not in branches and any(workspace.receipts.glob(f"{branch}-*.jsonl"))
    ]


def disagreements(result: Outcome) -> list[str]:
    """Where the branches do not give the same answer, or a record that was acknowledged is missing."""
    if len(result.branches) < 2:
        return []
    first, second = (result.answers[branch] for branch in result.branches)
    wrong = [
        f"{analysis.name}: the branches answer differently"
        for analysis in load()
        if first[analysis.name] != second[analysis.name]
    ]
    for branch, tables in result.accounts.items():
        for table, account in tables.items():
            if account.acknowledged + account.without_receipt != account.landed:
                wrong.append(
                    f"{branch} {table}: {account.acknowledged} acknowledged, {account.landed} landed"
                )
    return wrong


def compared(result: Outcome) -> Outcome:
    """The outcome of branches that were sent the same posts: where they disagree is one of its problems."""
    return replace(result, problems=[*result.problems, *disagreements(result)])


def loaded_branches(workspace: Workspace) -> tuple[Branch, ...]:
    """The branches whose three tables are there; raises Fatal when there is none."""
    found = tuple(branch for branch in BRANCHES if workspace.has_tables(branch))
    if not found:
        raise Fatal(f"no tables are in {workspace.root} yet", "run 'pinpipe load' or 'pinpipe stream' first")
    return found


def write_report(workspace: Workspace, result: Outcome) -> Path:
    """Write the HTML report and the answers as CSV; returns the report's path."""
    workspace.reports.mkdir(parents=True, exist_ok=True)
    for branch in result.branches:
        write_csvs(result.answers[branch], workspace.reports / branch)
    page = render(
        answers={str(branch): answers for branch, answers in result.answers.items()},
        account=result.account(),
        changes={str(branch): counts for branch, counts in result.changes.items()},
        quarantine={str(branch): rows for branch, rows in result.quarantined.items()},
        questions=load(),
        ran_at=datetime.now(UTC),
        rules=SAYS | {rule.id: rule.says for rule in RULES},
    )
    path = workspace.reports / "report.html"
    path.write_text(page, encoding="utf-8")
    return path.resolve()
