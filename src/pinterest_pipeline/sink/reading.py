"""Ranges of the log, read outside of the group."""

from pinterest_pipeline.eventlog.base import EventLog, Part, StoredRecord

_READ_RECORDS = 10_000


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
