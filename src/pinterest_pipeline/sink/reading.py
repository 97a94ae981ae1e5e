"""What the log has for a sink, asked outside of the group: topics, and ranges of them."""

import re

from pinterest_pipeline.eventlog.base import EventLog, Part, StoredRecord
from pinterest_pipeline.sink.rules import Rules

_READ_RECORDS = 10_000


def matching(log: EventLog, rules: Rules) -> list[str]:
    """The topics of the rules: those named, or those that are there and match the pattern whole."""
    if not rules.pattern:
        return list(rules.topics)
    wanted = re.compile(rules.pattern)
    return [topic for topic in log.topics() if wanted.fullmatch(topic)]


def present(log: EventLog, rules: Rules) -> tuple[list[str], list[str]]:
    """The topics of the rules that the log has, and those that it lacks."""
    existing = set(log.topics())
    found: tuple[list[str], list[str]] = [], []
    for topic in matching(log, rules):
        found[topic not in existing].append(topic)
    return found


def read_range(log: EventLog, part: Part, start: int, end: int) -> list[StoredRecord]:
    """The records from `start` up to and without `end`, as many as the log still has."""
    topic, partition = part
    found: list[StoredRecord] = []
    position = start
    while position < end:
        batch = log.read(topic, partition, position, min(_READ_RECORDS, end - position))
        if not batch:
            break
        found += [record for record in batch if record.offset < end]
        position = batch[-1].offset + 1
    return found
