"""The records of an answer, read from the log: the next ones, or those of an answer that was given before."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pinterest_pipeline.errors import BadRecord, IllegalState, UnknownTopic
from pinterest_pipeline.eventlog.base import READ_BYTES, EventLog, StoredRecord
from pinterest_pipeline.gateway.consumer_file import Holding, Kept, Range
from pinterest_pipeline.gateway.consumer_shapes import BinaryRecord, Format, JsonRecord

MAX_BYTES: Final = READ_BYTES
"""Most bytes of keys and values in one answer, unless its only record has more."""

_MAX_RECORDS: Final = 50_000
_NULL: Final = msgspec.Raw(b"null")
_json: Final = msgspec.json.Decoder(msgspec.Raw)


class Reading(msgspec.Struct):
    """The records of an answer, where they lie, and the bytes of their keys and values."""

    records: list[Any]
    ranges: list[Range]
    size: int = 0

    @property
    def body(self) -> bytes:
        return msgspec.json.encode(self.records)


def next_records(log: EventLog, holdings: Sequence[Holding], format_: Format, max_bytes: int) -> Reading:
    """What follows in the holdings, first in those that were read longest ago.

    The first record comes however large it is. Raises BadRecord for one that the format cannot show, once it
    is the first in its turn: what is before it comes first.
    """
    reading = Reading([], [])
    for holding in sorted(holdings, key=lambda holding: holding.moves):
        room = max_bytes - reading.size
        if room <= 0:
            break
        try:
            stored = log.read(holding.topic, holding.partition, holding.position or 0, _MAX_RECORDS, room)
        except UnknownTopic:
            if not holding.shared:
                raise
            continue  # the topic was deleted, and the share in it goes at the next request
        if not _add(reading, holding, stored, format_, room):
            break
    return reading


def _add(
    reading: Reading, holding: Holding, stored: Sequence[StoredRecord], format_: Format, room: int
) -> bool:
    """Add records as long as there is room; whether the next partition may follow."""
    count = 0
    for record in stored:
        size = len(record.key or b"") + len(record.value or b"")
        if size > room and reading.records:
            break
        try:
            shown = _shown(holding.topic, record, format_)
        except BadRecord:
            if not reading.records:
                raise
            break
        reading.records.append(shown)
        reading.size += size
        room -= size
        count += 1
    if count:
        reading.ranges.append(_range(holding, stored[count - 1].offset + 1, count))
    return count == len(stored)


def _range(holding: Holding, after: int, count: int) -> Range:
    first = holding.position or 0
    return Range(
        holding.id, holding.moves, holding.topic, holding.topic_id, holding.partition, first, after, count
    )


def same_records(log: EventLog, kept: Kept, format_: Format) -> Reading:
    """The records of an answer once more; raises IllegalState when they are not in the log any more."""
    reading = Reading([], kept.ranges)
    for range_ in kept.ranges:
        stored = _all(log, range_)
        if len(stored) != range_.count or log.describe(range_.topic).id != range_.topic_id:
            raise IllegalState(
                f"records of '{range_.topic}' that this Idempotency-Key was answered with are not in the log "
                "any more",
                "read on with another key",
            )
        reading.records += [_shown(range_.topic, record, format_) for record in stored]
    return reading


def _all(log: EventLog, range_: Range) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    position = range_.first
    while position < range_.next:
        stored = log.read(range_.topic, range_.partition, position, range_.count - len(found), READ_BYTES)
        found += [record for record in stored if record.offset < range_.next]
        if not stored or stored[-1].offset >= range_.next - 1:
            break
        position = stored[-1].offset + 1
    return found


def _shown(topic: str, record: StoredRecord, format_: Format) -> JsonRecord | BinaryRecord:
    if format_ == "binary":
        return BinaryRecord(topic, record.key, record.value, record.partition, record.offset)
    key = _NULL if record.key is None else _as_json(topic, record, "key", record.key)
    value = _NULL if record.value is None else _as_json(topic, record, "value", record.value)
    return JsonRecord(topic, key, value, record.partition, record.offset)


def _as_json(topic: str, record: StoredRecord, part: str, text: bytes) -> msgspec.Raw:
    """Text that is JSON in UTF-8, as it is; the decoder looks at its syntax only."""
    try:
        if not text.isascii():
            text.decode()
        return _json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        where = f'"topic":"{topic}","partition":{record.partition},"offset":'
        raise BadRecord(
            f"the {part} of the record at {{{where}{record.offset}}} is not JSON: {error}",
            "read it with an instance of format binary, or go past it: "
            f'POST .../positions {{"offsets":[{{{where}{record.offset + 1}}}]}}',
        ) from None
