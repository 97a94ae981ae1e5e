"""A part of a topic that a person asks for."""

from collections.abc import Mapping
from dataclasses import dataclass

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.eventlog.base import EventLog


@dataclass(frozen=True, slots=True)
class Span:
    """The records wanted: offsets within each partition, or times in ms since 1970; `to` is not in it.

    Raises BadInput for a span that ends before it begins.
    """

    from_offset: int | None = None
    to_offset: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def __post_init__(self) -> None:
        for what, first, stop in (
            ("offset", self.from_offset, self.to_offset),
            ("time", self.from_ms, self.to_ms),
        ):
            if first is not None and stop is not None and first >= stop:
                raise BadInput(
                    f"there is nothing from {what} {first} to {stop}",
                    f"give a --to-{what} after --from-{what}",
                )


def bounds(log: EventLog, topic: str, span: Span) -> tuple[Mapping[int, int], Mapping[int, int]]:
    """First offsets and ends of the partitions of a topic; raises UnknownTopic."""
    starts, ends = log.beginnings(topic), log.ends(topic)
    if span.from_ms is not None:
        starts = log.offsets_at(topic, span.from_ms)
    if span.to_ms is not None:
        ends = log.offsets_at(topic, span.to_ms)
    if span.from_offset is not None:
        least = span.from_offset
        starts = {number: max(start, least) for number, start in starts.items()}
    if span.to_offset is not None:
        most = span.to_offset
        ends = {number: min(end, most) for number, end in ends.items()}
    return starts, ends
