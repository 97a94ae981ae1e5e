"""Dead letters sent again, each once, to the topic that they came from.

What was sent is noted in the store, `replayed/<dead-letter topic>/<partition>/<first>-<end>.json`, after the
log acknowledged it. A crash between the two costs nothing: each is sent under an idempotency key of its own.
"""

import hashlib
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import accumulate
from typing import Final

import msgspec

from pinterest_pipeline.errors import BadInput, KeyInFlight, PipelineError, SettingError, Unavailable
from pinterest_pipeline.eventlog.base import EventLog, Once, Receipt, Record, Refusal, StoredRecord
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.sink.dead_letters import CONTEXT
from pinterest_pipeline.sink.rules import REPLAYED, Rules
from pinterest_pipeline.sink.span import Span, bounds

_READ_RECORDS: Final = 500
_SECONDS: Final = 60.0
_OURS: Final = (CONTEXT, "idempotency-key")
"""Beginnings of the names of headers that came with the way through the dead-letter topic."""


class Letter(msgspec.Struct, frozen=True):
    """A dead letter and where it goes."""

    record: StoredRecord
    topic: str
    partition: int | None


def replay(log: EventLog, store: ObjectStore, rules: Rules, span: Span, topic: str | None) -> dict[str, int]:
    """Send the dead letters of a span of the dead-letter topic again; how many went to each topic.

    `topic` takes only those that came from it. What an earlier run sent is not sent again. Raises
    SettingError when the rules name no dead-letter topic, BadInput for a letter that does not say where it
    came from or that its topic refuses, UnknownTopic, and Unavailable.
    """
    if rules.dead_letters is None:
        raise SettingError(
            "no dead-letter topic is named", "give a --config with errors.deadletterqueue.topic.name"
        )
    dead = rules.dead_letters.topic
    done: dict[str, int] = {}
    starts, ends = bounds(log, dead, span)
    for partition, end in ends.items():
        noted = _Noted(store, dead, partition)
        for records in _read(log, dead, partition, starts[partition], end):
            new = [record for record in records if record.offset not in noted]
            letters = [_letter(record, rules.topics) for record in new]
            letters = [letter for letter in letters if topic in (None, letter.topic)]
            sent, problem = _sent(log, dead, letters)
            noted.add(letter.record.offset for letter in sent)
            if problem is not None:
                raise problem
            for letter in sent:
                done[letter.topic] = done.get(letter.topic, 0) + 1
    return done


def _read(log: EventLog, topic: str, partition: int, start: int, end: int) -> Iterator[list[StoredRecord]]:
    while start < end:
        found = log.read(topic, partition, start, min(_READ_RECORDS, end - start))
        if not found:
            return
        yield [record for record in found if record.offset < end]
        start = found[-1].offset + 1


def _letter(record: StoredRecord, topics: Sequence[str]) -> Letter:
    """Where a record goes by what its headers say, or by the only topic that there is."""
    said = {name: value for name, value in record.headers if value is not None}
    topic, partition = said.get(f"{CONTEXT}topic"), said.get(f"{CONTEXT}partition")
    if topic is not None and partition is not None:
        return Letter(record, topic.decode(), int(partition))
    if len(topics) == 1:
        return Letter(record, topics[0], None)
    raise BadInput(
        f"the dead letter at offset {record.offset} does not say which topic it came from",
        "set errors.deadletterqueue.context.headers.enable=true, or land one topic alone",
    )


def _sent(log: EventLog, dead: str, letters: Sequence[Letter]) -> tuple[list[Letter], PipelineError | None]:
    """Send each under a key of its own and wait for all: those that went, and the first problem of the rest.

    What went is told even so, to be noted: its key is forgotten after a day.
    """
    begun = [(letter, _begun(log, dead, letter)) for letter in letters]
    deadline = time.monotonic() + _SECONDS
    sent: list[Letter] = []
    problem: PipelineError | None = None
    for letter, future in begun:
        try:
            _settle(letter, future, deadline - time.monotonic())
            sent.append(letter)
        except PipelineError as error:
            problem = problem or error
    return sent, problem


def _begun(log: EventLog, dead: str, letter: Letter) -> Future[list[Receipt | Refusal]]:
    found = letter.record
    headers = tuple(header for header in found.headers if not header[0].startswith(_OURS))
    record = Record(found.value, found.key, letter.partition, found.timestamp, headers)
    key = f"replay/{dead}/{found.partition}/{found.offset}"
    return log.append(letter.topic, [record], Once(key, hashlib.sha256(found.value or b"").digest()))


def _settle(letter: Letter, future: Future[list[Receipt | Refusal]], seconds: float) -> None:
    """Wait until the log has a letter; raises what keeps it from that."""
    try:
        (outcome,) = future.result(max(seconds, 0))
    except (TimeoutError, KeyInFlight) as error:
        raise Unavailable(f"the topic '{letter.topic}' does not answer", "start it again") from error
    if isinstance(outcome, Refusal):
        raise BadInput(
            f"'{letter.topic}' does not take the dead letter at offset {letter.record.offset}:"
            f" {outcome.reason}",
            "leave it out by --from-offset and --to-offset",
        )


class _Noted:
    """The offsets of a partition of the dead-letter topic that were sent again."""

    def __init__(self, store: ObjectStore, topic: str, partition: int) -> None:
        self._store = store
        self._folder = f"{REPLAYED}/{topic}/{partition}"
        names = (stored.key.rpartition("/")[2].removesuffix(".json") for stored in store.list(self._folder))
        spans = sorted(tuple(map(int, name.split("-"))) for name in names)
        self._firsts = [first for first, _ in spans]
        self._ends = list(accumulate((end for _, end in spans), max))
        """Of all spans up to each one the last end: spans of several runs may overlap."""

    def __contains__(self, offset: int) -> bool:
        begun = bisect_right(self._firsts, offset)
        return begun > 0 and offset < self._ends[begun - 1]

    def add(self, offsets: Iterable[int]) -> None:
        for first, end in _spans(offsets):
            self._store.put_if_absent(f"{self._folder}/{first:020d}-{end:020d}.json", b"{}\n")


def _spans(offsets: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Runs of offsets that follow each other, with their ends."""
    first = end = -1
    for offset in offsets:
        if offset != end:
            if first >= 0:
                yield first, end
            first = offset
        end = offset + 1
    if first >= 0:
        yield first, end
