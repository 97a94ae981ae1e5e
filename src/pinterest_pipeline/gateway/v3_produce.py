"""REST v3: records into a topic, as a stream or as a batch."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import chain
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.base import EventLog, Receipt, Refusal
from pinterest_pipeline.gateway import error_codes, requests
from pinterest_pipeline.gateway.error_codes import INVALID_BATCH, INVALID_NAME, REFUSED, Fault
from pinterest_pipeline.gateway.exchange import append, read_body
from pinterest_pipeline.gateway.media import content_fault, content_type
from pinterest_pipeline.gateway.operations import IDEMPOTENCY_KEY, TRACEPARENT, Access, Body, Operation
from pinterest_pipeline.gateway.repeats import echoed, once, trace_headers
from pinterest_pipeline.gateway.responses import JSON_MEDIA, Answer, Streamed, kafka_v3, kafka_v3_error
from pinterest_pipeline.gateway.v3_operations import MEDIA, OF_TOPIC, ONE_TOPIC, OneCluster, operation
from pinterest_pipeline.gateway.v3_records import (
    Sendable,
    V3BatchEntry,
    V3Placed,
    V3Receipt,
    V3Record,
    from_request,
    receipt,
)
from pinterest_pipeline.gateway.v3_stream import Outcomes, RecordStream

MAX_ENTRIES: Final = 10
_AT_ONCE: Final = 1_000
"""Lines that are held back until it is known whether a record landed, and answered in one piece."""


class V3Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Records to be appended together, each with an id of its own."""

    entries: Annotated[list[V3BatchEntry], Meta(extra_json_schema={"minItems": 1, "maxItems": MAX_ENTRIES})]


class V3Success(V3Placed, kw_only=True):
    """Where the record of an entry was appended."""

    id: str


class V3Failure(msgspec.Struct):
    """Why the record of an entry was not appended."""

    id: str
    error_code: int
    message: str


class V3BatchAnswer(msgspec.Struct):
    """What became of each entry: it is in one of the two lists."""

    successes: list[V3Success]
    failures: list[V3Failure]


_encoder: Final = msgspec.json.Encoder()
_batch: Final = msgspec.json.Decoder(V3Batch)
_FAULTS: Final = (*error_codes.OF_BODY, *error_codes.OF_KEY, *OF_TOPIC, INVALID_NAME)


class V3Produce:
    """The operations over one log. Errors of the log are left to the endpoint."""

    def __init__(self, settings: GatewaySettings, log: EventLog, cluster: OneCluster) -> None:
        self._settings = settings
        self._log = log
        self._cluster = cluster

    def operations(self) -> list[Operation]:
        write, headers = Access("write", "topic", "topic_name"), (IDEMPOTENCY_KEY, TRACEPARENT)
        return [
            operation(
                "produce",
                "POST",
                f"{ONE_TOPIC}/records",
                self._stream,
                "Append the records of a stream of JSON objects; one receipt for each, once it is durable",
                write,
                {200: V3Receipt},
                (*_FAULTS, *REFUSED.values()),
                Body(V3Record, (JSON_MEDIA,)),
                headers,
            ),
            operation(
                "produce_batch",
                "POST",
                f"{ONE_TOPIC}/records:batch",
                self._batch,
                f"Append up to {MAX_ENTRIES} records; answers once they are durable",
                write,
                {207: V3BatchAnswer},
                (*_FAULTS, INVALID_BATCH),
                Body(V3Batch, (JSON_MEDIA,)),
                headers,
            ),
        ]

    async def _wrong(self, request: Request) -> Fault | None:
        """What is wrong with a request before its body is read."""
        named = request.path_params
        return (
            content_fault(content_type(request), MEDIA)
            or requests.topic_fault(named["topic_name"])
            or await self._cluster.fault_soon(named["cluster_id"])
        )

    async def _stream(self, request: Request) -> Answer | Streamed | Fault:
        key = await self._wrong(request) or once(request, b"")
        if isinstance(key, Fault):
            return key
        named, most = request.path_params, self._settings.max_body_bytes
        cluster, topic = named["cluster_id"], named["topic_name"]
        stream = RecordStream(request, self._log, cluster, topic, key, most).outcomes()
        if "transfer-encoding" in request.headers:
            return echoed(request, Streamed(_lines((), stream), JSON_MEDIA))
        return echoed(request, await _answered(stream))

    async def _batch(self, request: Request) -> Answer | Fault:
        body = await self._wrong(request) or await read_body(request, self._settings.max_body_bytes)
        if isinstance(body, Fault):
            return body
        entries = _entries(body)
        if isinstance(entries, Fault):
            return entries
        named, trace = request.path_params, trace_headers(request)
        cluster, topic = named["cluster_id"], named["topic_name"]
        found = [from_request(entry, trace) for entry in entries]
        records = [one.record for one in found if isinstance(one, Sendable)]
        outcomes = await append(self._log, topic, records, once(request, body))
        if isinstance(outcomes, Fault):
            return outcomes
        answer = _batch_answer(cluster, topic, entries, found, outcomes)
        return echoed(request, kafka_v3(answer, 207, records=len(answer.successes)))


def _entries(body: bytes) -> list[V3BatchEntry] | Fault:
    if requests.has_more(body, MAX_ENTRIES, "entries"):
        return Fault(INVALID_BATCH, f"the batch has more than {MAX_ENTRIES} entries")
    asked = requests.decoded(_batch, body)
    if isinstance(asked, Fault):
        return asked
    if not asked.entries:
        return Fault(INVALID_BATCH, "the batch has no entries")
    if len({entry.id for entry in asked.entries}) < len(asked.entries):
        return Fault(INVALID_BATCH, "two entries have the same id")
    return asked.entries


def _batch_answer(
    cluster: str,
    topic: str,
    entries: Sequence[V3BatchEntry],
    found: Sequence[Sendable | Fault],
    outcomes: Sequence[Receipt | Refusal],
) -> V3BatchAnswer:
    answer = V3BatchAnswer([], [])
    following = iter(outcomes)
    for entry, one in zip(entries, found, strict=True):
        outcome = one if isinstance(one, Fault) else next(following)
        if isinstance(outcome, Refusal):
            outcome = Fault(REFUSED[outcome.code], outcome.reason)
        if isinstance(outcome, Fault):
            error = kafka_v3_error(outcome)
            answer.failures.append(V3Failure(entry.id, error.error_code, error.message))
        elif isinstance(one, Sendable):
            placed = receipt(cluster, topic, one, outcome)
            answer.successes.append(_success(entry.id, placed))
    return answer


def _success(id: str, placed: V3Receipt) -> V3Success:  # noqa: A002
    return V3Success(
        id=id,
        cluster_id=placed.cluster_id,
        topic_name=placed.topic_name,
        partition_id=placed.partition_id,
        offset=placed.offset,
        timestamp=placed.timestamp,
        key=placed.key,
        value=placed.value,
    )


class _Alike:
    """Failures of one kind, from the first record on; of those beyond 1,000 only their number is kept."""

    def __init__(self) -> None:
        self.first: list[Fault] = []
        self.more = 0

    def take(self, outcomes: Outcomes) -> bool:
        """Take these too, unless one of them landed or failed for another reason."""
        faults = [outcome for outcome in outcomes if isinstance(outcome, Fault)]
        if len(faults) < len(outcomes) or len({fault.kind for fault in (*self.first[:1], *faults)}) > 1:
            return False
        room = _AT_ONCE - len(self.first)
        self.first += faults[:room]
        self.more += len(faults[room:])
        return True

    def pieces(self) -> Iterator[Sequence[Fault]]:
        """All of them, some at a time; those of which nothing was kept say what their kind is."""
        yield self.first
        for start in range(0, self.more, _AT_ONCE):
            kind = self.first[0].kind
            yield [Fault(kind, kind.when)] * min(_AT_ONCE, self.more - start)


async def _answered(stream: AsyncGenerator[Outcomes, None]) -> Answer | Streamed | Fault:
    """The fault that all records met alike, however many they are; else what became of each of them."""
    alike = _Alike()
    found: Outcomes = []
    async for outcomes in stream:
        if found or not alike.take(outcomes):
            found += outcomes
        if found and len(alike.first) + len(found) > _AT_ONCE:
            return Streamed(_lines(chain(alike.pieces(), [found]), stream), JSON_MEDIA)
    if not found:
        return alike.first[0]
    written, records = _written([*alike.first, *found])
    return Answer(written, JSON_MEDIA, records=records)


async def _lines(
    first: Iterable[Sequence[V3Receipt | Fault]], stream: AsyncGenerator[Outcomes, None]
) -> AsyncGenerator[tuple[bytes, int], None]:
    """What became of each record, a line for each; closing this closes the stream."""
    async with aclosing(stream):
        for outcomes in first:
            yield _written(outcomes)
        async for outcomes in stream:
            yield _written(outcomes)


def _written(outcomes: Sequence[V3Receipt | Fault]) -> tuple[bytes, int]:
    """A line for each, and how many of them are receipts."""
    lines = [kafka_v3_error(outcome) if isinstance(outcome, Fault) else outcome for outcome in outcomes]
    return _encoder.encode_lines(lines), sum(isinstance(line, V3Receipt) for line in lines)
