"""The receipts journal: one file for each run of an emulator, written as the answers come.

A line reaches the operating system in one write before the emulator goes on, so a killed emulator leaves at
most one torn line at the end. How lines look and are counted: `records.receipts`.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType

import msgspec

from pinterest_pipeline.errors import BadInput, DiskFull, Fatal, is_disk_full
from pinterest_pipeline.records.names import TABLES, Branch, Table
from pinterest_pipeline.records.receipts import (
    Account,
    AnswerLine,
    Outcome,
    RequestLine,
    Tally,
    read_accounts,
)

_encoder = msgspec.json.Encoder()


class Journal:
    """The journal of one run; counts what it writes. Raises DiskFull, or Fatal when it cannot be written."""

    def __init__(self, folder: Path, branch: Branch) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        self.path = folder / f"{branch}-{stamp}-{os.getpid()}.jsonl"
        self._tally = Tally()
        self._numbers = count(1)
        self._written = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError as error:
            raise self._failure(error) from error

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def request(self, table: Table, ind: list[int]) -> int:
        """Note what is about to be sent; returns the request's number."""
        line = RequestLine(next(self._numbers), table, ind)
        self._write(line)
        self._tally.requested(line)
        return line.request

    def answer(self, request: int, outcomes: Sequence[Outcome], tries: int, resent: int) -> None:
        """Note what became of each record of a request, in the order of its `ind`."""
        line = AnswerLine(request, list(outcomes), tries, resent)
        self._write(line)
        self._tally.answered(line)

    def accounts(self) -> dict[Table, Account]:
        """What was sent so far; a request that is under way counts as unknown."""
        return self._tally.accounts()

    def _write(self, line: RequestLine | AnswerLine) -> None:
        whole = rest = _encoder.encode(line) + b"\n"
        try:
            while rest := rest[os.write(self._file, rest) :]:
                pass  # a nearly full disk takes a part of the line and refuses the rest
        except OSError as error:
            with suppress(OSError):  # the lines of other requests may find room yet, behind none that is torn
                os.ftruncate(self._file, self._written)
            raise self._failure(error) from error
        self._written += len(whole)

    def _failure(self, error: OSError) -> Fatal:
        if is_disk_full(error):
            return DiskFull(
                f"no room left for the receipts in {self.path}", "free some space, then send again"
            )
        return Fatal(f"the receipts cannot be written to {self.path}: {error.strerror}")


def accounts(journals: Iterable[Path]) -> dict[Table, Account]:
    """All that these journals say was sent, by table; raises BadInput with the file it cannot read."""
    totals = dict.fromkeys(TABLES, Account())
    for path in journals:
        with path.open("rb") as lines:
            try:
                found = read_accounts(lines)
            except BadInput as error:
                raise BadInput(
                    f"{path}: {error.problem}",
                    "move the file away: what it tells of then counts as landed without a receipt",
                ) from None
        totals = {table: totals[table] + found[table] for table in TABLES}
    return totals
