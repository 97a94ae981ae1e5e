"""Appends to a log and reads all of it again: shared by the tests of its homes."""

from collections.abc import Sequence

from pinterest_pipeline.eventlog.base import EventLog, Receipt, Record, Refusal, StoredRecord
from tests.contract.conftest import PIN

WAIT = 30


def append(log: EventLog, records: Sequence[Record], topic: str = PIN) -> list[Receipt | Refusal]:
    return log.append(topic, records).result(WAIT)


def receipts(log: EventLog, records: Sequence[Record], topic: str = PIN) -> list[Receipt]:
    found = append(log, records, topic)
    return [outcome for outcome in found if isinstance(outcome, Receipt)]


def everything(log: EventLog, topic: str = PIN) -> dict[int, list[StoredRecord]]:
    """All records by partition, read in small steps."""
    found: dict[int, list[StoredRecord]] = {}
    for partition, position in log.beginnings(topic).items():
        found[partition] = []
        while records := log.read(topic, partition, position, 7):
            found[partition] += records
            position = records[-1].offset + 1
    return found
