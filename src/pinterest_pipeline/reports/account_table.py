"""The account of records as lines of a table, and what it says in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pinterest_pipeline.records.names import BRANCHES, TABLES

STAGES: Final = ("sent", "acknowledged", "refused", "unknown", "landed", "clean", "duplicate", "quarantined")
# Landed records that no emulator of this run sent, or whose answer was lost: told where there are any.
UNRECEIPTED: Final = "without_receipt"
# Records that have left their stream since they were loaded: told where there are any.
EXPIRED: Final = "expired"

Counts = Mapping[str, Any]  # a count for each stage; `problems` may hold what does not hold, in words


@dataclass(frozen=True, slots=True)
class Line:
    branch: str
    table: str
    figures: tuple[str, ...]  # in the order of `stages`
    gaps: tuple[str, ...]  # what does not add up, in words
    total: bool = False


def stages(account: Mapping[str, Any]) -> list[str]:
    """The counts the table shows: every stage, and the two special kinds where there are any."""
    every = [counts for branch in BRANCHES for counts in account.get(branch, {}).values()]
    unreceipted = [UNRECEIPTED] if any(counts.get(UNRECEIPTED) for counts in every) else []
    expired = [EXPIRED] if any(counts.get(EXPIRED) for counts in every) else []
    return [*STAGES[:4], *unreceipted, *STAGES[4:], *expired]


def lines(account: Mapping[str, Any]) -> list[Line]:
    """A line for each branch and table, and one for each branch's sum."""
    shown = stages(account)
    found = []
    for branch in (branch for branch in BRANCHES if account.get(branch)):
        tables: Mapping[str, Counts] = account[branch]
        found += [_line(branch, table, tables[table], shown) for table in TABLES if table in tables]
        found.append(_line(branch, "all", _sum(tables.values()), shown, total=True))
    return found


def problems(account: Mapping[str, Any], of_lines: Sequence[Line]) -> list[str]:
    """The account's own problems; where it names none, whatever its figures show."""
    stated = [str(problem) for problem in account.get("problems", ())]
    gaps = [f"{line.branch}, {line.table}: {gap}" for line in of_lines if not line.total for gap in line.gaps]
    unbalanced = [] if account.get("balanced", True) else ["The account of records does not balance."]
    return stated or gaps or unbalanced


def summary(account: Mapping[str, Any]) -> str:
    """One sentence on all records of the run; empty when nothing was counted."""
    total = _sum(counts for branch in BRANCHES for counts in account.get(branch, {}).values())
    if not total:
        return ""
    stages = [
        f"{total[stage]:,} {stage}" for stage in ("clean", "duplicate", "quarantined") if total.get(stage)
    ]
    kept = ", ".join(stages) or "none kept"
    return f"{total.get('sent', 0):,} records sent, {total.get('landed', 0):,} landed: {kept}."


def _line(branch: str, table: str, counts: Counts, shown: Sequence[str], total: bool = False) -> Line:
    figures = tuple(f"{counts[stage]:,}" if stage in counts else "–" for stage in shown)
    return Line(branch, table, figures, tuple(_gaps(counts) or counts.get("problems", ())), total)


def _sum(tables: Iterable[Counts]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in tables:
        for stage in counts.keys() & {*STAGES, UNRECEIPTED, EXPIRED}:
            total[stage] = total.get(stage, 0) + counts[stage]
    return total


def _gaps(counts: Counts) -> list[str]:
    if not counts.keys() >= set(STAGES):
        return []
    answered = counts["acknowledged"] + counts["refused"] + counts["unknown"]
    kept = counts["clean"] + counts["duplicate"] + counts["quarantined"]
    # A record whose answer was never read may have landed all the same.
    expected = counts["acknowledged"] + counts.get(UNRECEIPTED, counts["unknown"])
    checks = (
        (counts["sent"] - answered, "sent but neither acknowledged, refused nor unknown"),
        (counts["acknowledged"] - counts.get(EXPIRED, 0) - counts["landed"], "acknowledged but not landed"),
        (counts["landed"] - expected, "landed but never acknowledged"),
        (abs(counts["landed"] - kept), "landed but not clean, duplicate or quarantined once each"),
    )
    return [f"{count:,} {words}" for count, words in checks if count > 0]
