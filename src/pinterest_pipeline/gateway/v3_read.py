"""Reading over REST v3, which Confluent's has not: records by their offset, with headers and timestamps.

Nothing is remembered between two requests: an answer says where the next one goes on, and asking again gives
the same records again.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pinterest_pipeline.eventlog.base import EventLog, Part, offset_of
from pinterest_pipeline.gateway.error_codes import MISSING_VALUE, Fault
from pinterest_pipeline.gateway.kafka_v3 import partition_of
from pinterest_pipeline.gateway.operations import Access, Operation, Parameter
from pinterest_pipeline.gateway.responses import Answer, kafka_v3
from pinterest_pipeline.gateway.v3_operations import (
    OF_PARTITION,
    ONE_PARTITION,
    OneCluster,
    numbered,
    operation,
)
from pinterest_pipeline.gateway.v3_records import Time, V3Stored, milliseconds, stored

_LAST_OFFSET: Final = 2**63 - 1
_MAX_RECORDS: Final = 10_000
_MAX_BYTES: Final = 10 * 2**20
_NUMBER: Final = re.compile("[0-9]{1,19}")

Offset = Annotated[int, Meta(ge=0, le=_LAST_OFFSET)]
MaxRecords = Annotated[int, Meta(ge=1, le=_MAX_RECORDS)]
MaxBytes = Annotated[int, Meta(ge=1, le=_MAX_BYTES)]


class Cursor(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where to read and how much."""

    offset: Offset | None = None
    timestamp: Time | None = None
    max_records: MaxRecords = 500
    max_bytes: MaxBytes = 2**20


msgspec.json.Decoder(Cursor)  # threads that convert to a type that is new to msgspec end the process


class V3Page(msgspec.Struct, kw_only=True):
    """Records of a partition, and the offset to go on from."""

    kind: str = "KafkaRecordList"
    metadata: "V3PageMetadata"
    data: list[V3Stored]
    next_offset: int
    beginning_offset: int
    end_offset: int


class V3PageMetadata(msgspec.Struct):
    """Where this page was found, and the next one."""

    self: str
    next: str


_TAKEN: Final[Mapping[str, str]] = {
    "offset": f"a whole number from 0 to {_LAST_OFFSET}",
    "timestamp": "a time in ISO 8601 with its zone, or in milliseconds since 1970",
    "max_records": f"a whole number from 1 to {_MAX_RECORDS}",
    "max_bytes": f"a whole number from 1 to {_MAX_BYTES}",
}
"""What each parameter of the query is."""

_PARAMETERS: Final = (
    Parameter("offset", "query", Offset, "The first offset to read; the oldest record when left out"),
    Parameter(
        "timestamp", "query", Time, "Instead of an offset: the first record that is not older than this"
    ),
    Parameter("max_records", "query", MaxRecords, "Most records of one answer; 500 when left out"),
    Parameter(
        "max_bytes",
        "query",
        MaxBytes,
        "No further record once keys and values have so many bytes; the first record always comes",
    ),
)


class V3Reader:
    """The operation over one log. Errors of the log are left to the endpoint."""

    def __init__(self, log: EventLog, cluster: OneCluster) -> None:
        self._log = log
        self._cluster = cluster

    def operations(self) -> list[Operation]:
        return [
            operation(
                "read_records",
                "GET",
                f"{ONE_PARTITION}/records",
                self._read,
                "Records of a partition from an offset or a time on (an addition to Confluent's)",
                Access("read", "topic", "topic_name"),
                {200: V3Page},
                (*OF_PARTITION, MISSING_VALUE),
                parameters=_PARAMETERS,
            )
        ]

    async def _read(self, request: Request) -> Answer | Fault:
        cursor = _cursor(request)
        if isinstance(cursor, Fault):
            return cursor
        return await run_in_threadpool(self._page, request, cursor)

    def _page(self, request: Request, cursor: Cursor) -> Answer | Fault:
        named = numbered(request)
        if isinstance(named, Fault):
            return named
        topic, number = named["topic_name"], named["partition_id"]
        wrong = self._cluster.fault(named["cluster_id"])
        known = wrong or partition_of(self._log.describe(topic), number)
        if isinstance(known, Fault):
            return known
        part = (topic, number)
        beginning = offset_of(part, self._log.beginnings(topic))
        offset = self._offset(cursor, part)
        offset = beginning if offset is None else offset
        if isinstance(offset, Fault):
            return offset
        records = self._log.read(topic, number, offset, cursor.max_records, cursor.max_bytes)
        following = records[-1].offset + 1 if records else offset
        here = self._cluster.here(request)
        page = V3Page(
            metadata=V3PageMetadata(*(f"{here}?{_query(cursor, at)}" for at in (offset, following))),
            data=[stored(record) for record in records],
            next_offset=following,
            beginning_offset=beginning,
            end_offset=offset_of(part, self._log.ends(topic)),
        )
        return kafka_v3(page, records=len(records))

    def _offset(self, cursor: Cursor, part: Part) -> int | Fault | None:
        if cursor.timestamp is None:
            return cursor.offset
        since = milliseconds(cursor.timestamp)
        if since is None or isinstance(since, Fault):
            return since
        return offset_of(part, self._log.offsets_at(part[0], since))


def _query(cursor: Cursor, offset: int) -> str:
    return f"offset={offset}&max_records={cursor.max_records}&max_bytes={cursor.max_bytes}"


def _cursor(request: Request) -> Cursor | Fault:
    """What the query asks for: each parameter once, and either an offset or a time."""
    given = request.query_params.multi_items()
    named = {name: int(text) if _NUMBER.fullmatch(text) else text for name, text in given}
    if len(given) > len(named):
        return Fault(MISSING_VALUE, "a parameter of the query comes twice")
    for name, value in named.items():
        if (wrong := _wrong(name, value)) is not None:
            return wrong
    cursor = msgspec.convert(named, Cursor)
    if None not in (cursor.offset, cursor.timestamp):
        return Fault(MISSING_VALUE, "the query has an offset and a timestamp, one of them is taken")
    return cursor


def _wrong(name: str, value: int | str) -> Fault | None:
    """What is wrong with one parameter of the query."""
    if name not in _TAKEN:
        return Fault(MISSING_VALUE, f"the query takes {', '.join(_TAKEN)}, not '{name[:100]}'")
    try:
        msgspec.convert({name: value}, Cursor)
    except msgspec.ValidationError:
        return Fault(MISSING_VALUE, f"{name} is {_TAKEN[name]}, not '{str(value)[:100]}'")
    return None
