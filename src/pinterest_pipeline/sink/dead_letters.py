"""Records that cannot be landed go to a topic of their own, whole, with the reason in their headers.

The headers are Kafka Connect's: https://cwiki.apache.org/confluence/display/KAFKA/KIP-298
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog

from pinterest_pipeline.errors import BadInput, KeyInFlight, TopicExists, Unavailable
from pinterest_pipeline.eventlog.base import EventLog, Headers, Once, Part, Record, Refusal
from pinterest_pipeline.sink.building import DeadLetter

CONTEXT: Final = "__connect.errors."
"""Beginning of the names of the headers that say why a record is here, and from where it came."""
_SECONDS: Final = 60.0
_Refused = tuple[DeadLetter, Refusal]
_log = structlog.get_logger("sink")


class DeadLetters:
    """The dead-letter topic of a sink; it is made when the first record comes. Safe in several threads."""

    def __init__(
        self, log: EventLog, topic: str, connector: str, replication: int | None, *, with_headers: bool
    ) -> None:
        self._log = log
        self._topic = topic
        self._connector = connector
        self._replication = replication
        self._with_headers = with_headers

    def send(self, part: Part, start: int, letters: Sequence[DeadLetter]) -> None:
        """Append the records set aside from one range; done again for the same range, it appends nothing.

        Raises Unavailable, and BadInput when the log refuses one for good.
        """
        if self._topic not in self._log.topics():
            with suppress(TopicExists):
                self._log.create(self._topic, 1, self._replication)
        once = _once(part, start, letters)
        refused = self._append(part, letters, once, with_headers=self._with_headers)
        if self._with_headers:
            refused = self._append_bare(part, refused, once)
        if refused:
            raise _refusal(self._topic, refused[0][1])
        _log.warning("set aside", topic=part[0], partition=part[1], records=len(letters), to=self._topic)

    def _append(
        self, part: Part, letters: Sequence[DeadLetter], once: Once, *, with_headers: bool
    ) -> list[_Refused]:
        """Append letters and return those that the log does not take."""
        records = [self._record(part, letter, with_headers=with_headers) for letter in letters]
        try:
            outcomes = self._log.append(self._topic, records, once).result(_SECONDS)
        except (TimeoutError, KeyInFlight) as error:
            raise Unavailable(f"the dead-letter topic {self._topic} does not answer") from error
        pairs = zip(letters, outcomes, strict=True)
        return [(letter, outcome) for letter, outcome in pairs if isinstance(outcome, Refusal)]

    def _append_bare(self, part: Part, refused: Sequence[_Refused], once: Once) -> list[_Refused]:
        """Without what the sink adds, a letter is no larger than its record was in the log."""
        large = [letter for letter, refusal in refused if refusal.code == "record_too_large"]
        others = [pair for pair in refused if pair[1].code != "record_too_large"]
        if not large:
            return others
        offsets = ", ".join(str(letter.record.offset) for letter in large)
        _log.warning("too large to carry their reason", topic=part[0], partition=part[1], offsets=offsets)
        return others + self._append(
            part, large, Once(f"{once.key}/bare", once.fingerprint), with_headers=False
        )

    def _record(self, part: Part, letter: DeadLetter, *, with_headers: bool) -> Record:
        record = letter.record
        headers = record.headers + (self._headers(part, letter) if with_headers else ())
        return Record(record.value, record.key, timestamp=record.timestamp, headers=headers)

    def _headers(self, part: Part, letter: DeadLetter) -> Headers:
        context = {
            "topic": part[0],
            "partition": part[1],
            "offset": letter.record.offset,
            "connector.name": self._connector,
            "task.id": 0,
            "stage": letter.problem.stage,
            "class.name": letter.problem.component,
            "exception.class.name": "org.apache.kafka.connect.errors.DataException",
            "exception.message": letter.problem.problem,
        }
        return tuple((CONTEXT + name, str(value).encode()) for name, value in context.items())


def _once(part: Part, start: int, letters: Sequence[DeadLetter]) -> Once:
    """One key for what is set aside of one range."""
    digest = hashlib.sha256()
    for letter in letters:
        digest.update(b"%d:%d:" % (letter.record.offset, letter.record.timestamp))
        digest.update(letter.record.value or b"")
    return Once(f"dead-letters/{part[0]}/{part[1]}/{start}/{digest.hexdigest()[:16]}", digest.digest())


def _refusal(topic: str, refusal: Refusal) -> Unavailable | BadInput:
    problem = f"the dead-letter topic {topic} does not take a record: {refusal.reason}"
    if refusal.code in ("throttled", "not_acknowledged"):
        return Unavailable(problem)
    return BadInput(problem, "name another topic in errors.deadletterqueue.topic.name")
