"""What became of every record that was sent: the lines of a receipts journal, and how they are counted.

A journal has two lines for a request. The first is written before the first try, the second once it is over:

    {"request":1,"table":"pin","ind":[7528,2863]}
    {"request":1,"outcomes":[{"partition":0,"offset":23},{"refused":"413 …"}],"tries":2,"resent":1}

The n-th outcome belongs to the n-th `ind`. A request without its second line may have landed or not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.records.names import TABLES, Table


class Outcome(msgspec.Struct, omit_defaults=True, frozen=True):
    """Where a record was appended (partition and offset, or shard and sequence), or why that is not so."""

    partition: int | None = None
    offset: int | None = None
    shard: str | None = None
    sequence: str | None = None
    refused: str | None = None
    """It did not land, and why."""
    unknown: str | None = None
    """Nobody knows whether it landed, and why."""


class RequestLine(msgspec.Struct):
    """What a request carries, by the keys of its records."""

    request: int
    table: Table
    ind: list[int]


class AnswerLine(msgspec.Struct):
    """What became of a request's records, after how many tries, and how many records were sent again."""

    request: int
    outcomes: list[Outcome]
    tries: int
    resent: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """Counts of records: sent = acknowledged + refused + unknown; a record sent again is sent once."""

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    unknown: int = 0
    resent: int = 0

    @property
    def total(self) -> int:
        """What `sent` must be."""
        return self.acknowledged + self.refused + self.unknown

    def __add__(self, other: "Account") -> "Account":
        return Account(
            self.sent + other.sent,
            self.acknowledged + other.acknowledged,
            self.refused + other.refused,
            self.unknown + other.unknown,
            self.resent + other.resent,
        )


class Tally:
    """Counts requests and their answers as they come; holds only the requests that are still open."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[Table, int]] = {}
        self._closed: dict[Table, Account] = dict.fromkeys(TABLES, Account())

    def requested(self, line: RequestLine) -> None:
        self._open[line.request] = (line.table, len(line.ind))

    def answered(self, line: AnswerLine) -> None:
        """Count an answer; raises BadInput when it fits no open request."""
        table, sent = self._open.pop(line.request, (None, 0))
        if table is None or sent != len(line.outcomes):
            raise BadInput(f"the answer of request {line.request} fits no request of its journal")
        refused = sum(outcome.refused is not None for outcome in line.outcomes)
        unknown = sum(outcome.unknown is not None for outcome in line.outcomes)
        self._closed[table] += Account(sent, sent - refused - unknown, refused, unknown, line.resent)

    def accounts(self) -> dict[Table, Account]:
        """The counts of each table so far; a record without its answer is unknown."""
        accounts = dict(self._closed)
        for table, sent in self._open.values():
            accounts[table] += Account(sent=sent, unknown=sent)
        return accounts


_requests: Final = msgspec.json.Decoder(RequestLine)
_answers: Final = msgspec.json.Decoder(AnswerLine)


def read_accounts(lines: Iterable[bytes]) -> dict[Table, Account]:
    """Count the lines of one journal, each with its line end; every table is a key of the result.

    A last line without its line end was cut off when its writer died, and is left out.
    Raises BadInput with the number of a line that cannot be read.
    """
    tally = Tally()
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n"):
            break
        try:
            _count(tally, line)
        except (msgspec.DecodeError, UnicodeDecodeError, BadInput) as error:
            raise BadInput(f"line {number} of the receipts cannot be read: {error}") from None
    return tally.accounts()


def _count(tally: Tally, line: bytes) -> None:
    if b'"outcomes":' in line:  # a request line holds nothing but numbers and a table's name
        tally.answered(_answers.decode(line))
    else:
        tally.requested(_requests.decode(line))
