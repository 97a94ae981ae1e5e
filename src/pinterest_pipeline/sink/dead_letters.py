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
        records = [self._record(part, letter) for letter in letters]
        digest = hashlib.sha256()
        for letter in letters:
            digest.update(b"%d:%d:" % (letter.record.offset, letter.record.timestamp))
            digest.update(letter.record.value or b"")
        once = Once(f"dead-letters/{part[0]}/{part[1]}/{start}/{digest.hexdigest()[:16]}", digest.digest())
        if self._topic not in self._log.topics():
            with suppress(TopicExists):
                self._log.create(self._topic, 1, self._replication)
        try:
            outcomes = self._log.append(self._topic, records, once).result(_SECONDS)
        except (TimeoutError, KeyInFlight) as error:
            raise Unavailable(f"the dead-letter topic {self._topic} does not answer") from error
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
        if refused:
            raise _refusal(self._topic, refused[0])
        _log.warning("set aside", topic=part[0], partition=part[1], records=len(letters), to=self._topic)

    def _record(self, part: Part, letter: DeadLetter) -> Record:
        record = letter.record
        headers = record.headers + (self._headers(part, letter) if self._with_headers else ())
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


def _refusal(topic: str, refusal: Refusal) -> Unavailable | BadInput:
    problem = f"the dead-letter topic {topic} does not take a record: {refusal.reason}"
    if refusal.code in ("throttled", "not_acknowledged"):
        return Unavailable(problem)
    return BadInput(problem, "name another topic in errors.deadletterqueue.topic.name")
