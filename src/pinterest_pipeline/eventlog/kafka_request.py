"""One append on its way through Kafka, and what it comes to."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from pinterest_pipeline.errors import PipelineError, Unavailable, UnknownTopic
from pinterest_pipeline.eventlog.base import Once, Receipt, Record, Refusal

if TYPE_CHECKING:
    from pinterest_pipeline.eventlog.kafka_topics import Topic

_RECORD_OVERHEAD: Final = 200
"""Bytes a waiting record takes beside its key and value, about."""

GONE: Final = Refusal("unknown_partition", "the partition is gone")
"""Said of a partition that the brokers deny although we knew it."""

Outcomes = list[Receipt | Refusal]


class Request:
    """An append; touched by the polling thread alone once it is sent."""

    __slots__ = (
        "future", "is_repeated", "known", "left", "once", "outcomes", "places", "records",
        "size", "topic",
    )  # fmt: skip

    def __init__(self, topic: str, records: Sequence[Record], once: Once | None = None) -> None:
        self.topic = topic
        self.records = records
        self.once = once
        self.size = _RECORD_OVERHEAD * len(records) + sum(
            [len(record.value or b"") + len(record.key or b"") for record in records]
        )
        self.places: Sequence[Any] = ()
        """The partition of each record, or the Refusal that says why it has none; () until then."""
        self.known: Topic | None = None
        """The topic as it was when they were chosen."""
        self.left = 0
        self.is_repeated = False
        self.outcomes: list[Any] = [None] * len(records)
        """One for each record; None until it is known."""
        self.future: Future[Outcomes] = Future()
        self.future.set_running_or_notify_cancel()  # what is on its way cannot be cancelled

    @property
    def may_repeat(self) -> bool:
        """Whether the topic is not what we took it for: nothing landed, and it was not looked up anew yet."""
        outcomes = self.outcomes
        is_gone = bool(outcomes) and all(outcome is GONE for outcome in outcomes)
        return is_gone and not self.is_repeated and self.once is None

    def failure(self, refused: PipelineError | None) -> PipelineError | None:
        """Why a request of which nothing landed failed as a whole; `refused` is a refused login."""
        outcomes = self.outcomes
        if not outcomes or type(outcomes[0]) is Receipt:
            return None
        if all(outcome is GONE for outcome in outcomes):
            return UnknownTopic(self.topic)
        if not all(type(outcome) is Refusal and outcome.code == "not_acknowledged" for outcome in outcomes):
            return None
        return refused or Unavailable(
            f"Kafka acknowledged nothing: {outcomes[0].reason}", "they may have landed; see the brokers"
        )
