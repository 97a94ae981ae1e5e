"""GET records of a consumer instance: what follows, waited for, and moved past only once it was handed over.

An instance stands where its last complete answer ended. What an answer held before its gateway was killed, or
when its caller had gone, comes again; what a caller lost without our seeing it comes again for the
Idempotency-Key of that request.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import PipelineError
from pinterest_pipeline.eventlog.base import EventLog, Part
from pinterest_pipeline.gateway import media
from pinterest_pipeline.gateway.consumer_file import Instance, Kept, Range
from pinterest_pipeline.gateway.consumer_instances import Consumers
from pinterest_pipeline.gateway.consumer_reads import MAX_BYTES, Reading
from pinterest_pipeline.gateway.consumer_requests import entered, settings_body
from pinterest_pipeline.gateway.consumer_shapes import query_number
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.consumer_turns import Turn
from pinterest_pipeline.gateway.consumer_waiting import STOPPING, Waiting
from pinterest_pipeline.gateway.error_codes import FORMAT_MISMATCH, WRONG_METHOD, Fault
from pinterest_pipeline.gateway.repeats import echoed, once
from pinterest_pipeline.gateway.responses import KAFKA_MEDIA, Answer

_OF_FORMAT: Final = {"json": media.JSON, "binary": media.BINARY}
_logger: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Asked:
    """What a request asks for; `until` is in seconds of the event loop, set with the first look.

    `ends` is where partitions ended before the look that comes next.
    """

    key: str | None
    timeout_ms: int | None
    max_bytes: int
    stopping: asyncio.Event
    until: float | None = None
    ends: Mapping[Part, int] = field(default_factory=dict)


class ConsumerRecords:
    """The handler over the instances of a store."""

    def __init__(
        self, settings: GatewaySettings, log: EventLog, store: ConsumerStore, consumers: Consumers
    ) -> None:
        self._settings = settings
        self._store = store
        self._consumers = consumers
        self._waiting = Waiting(log, store)

    async def __call__(self, request: Request) -> Answer | Fault:
        if request.method != "GET":  # HEAD gets no body, and must not move past what the body would hold
            return Fault(WRONG_METHOD, f"{request.method} reads no records, send GET", (("allow", "GET"),))
        body = await settings_body(request, self._settings)  # read, so that a caller who goes is noticed
        asked = body if isinstance(body, Fault) else _asked(request)
        if isinstance(asked, Fault):
            return asked
        while True:
            instance, turn = await entered(self._store, request)
            answered = False
            try:
                answer = await self._look(request, instance, turn, asked)
                answered = isinstance(answer, Answer)
            finally:
                if not answered:  # an answer ends the turn itself, once it was handed over
                    turn.end()
            if not isinstance(answer, dict):
                return answer
            assert asked.until is not None
            seconds = asked.until - asyncio.get_running_loop().time()
            asked.ends = await self._waiting.wait(instance, answer, seconds, asked.stopping)

    async def _look(
        self, request: Request, instance: Instance, turn: Turn, asked: _Asked
    ) -> Answer | Fault | dict[Part, int]:
        """The answer, or the positions to wait at for more."""
        kind = _media(request, instance)
        if isinstance(kind, Fault):
            return kind
        now = asyncio.get_running_loop().time()
        first = asked.until is None
        if asked.until is None:
            asked.until = now + self._wait_seconds(instance, asked)
        before = instance.answer
        if first and before is not None and before.key == asked.key:
            same = await run_in_threadpool(self._consumers.same_records, instance, before)
            return await self._answer(request, instance, turn, same, kind)
        reading, positions = await run_in_threadpool(self._next, instance, asked, first)
        may_wait = now < asked.until and not asked.stopping.is_set()
        if may_wait and reading.size < asked.max_bytes and not _enough(instance, reading):
            return positions
        if asked.key is not None and reading.ranges:
            await run_in_threadpool(self._store.promise, instance, Kept(asked.key, reading.ranges))
        return await self._answer(request, instance, turn, reading, kind)

    def _next(self, instance: Instance, asked: _Asked, first: bool) -> tuple[Reading, dict[Part, int]]:
        """What follows, and the positions to wait at for more.

        The last offsets before an end may have no record. What was not found there is not waited for.
        """
        if first:
            self._consumers.keep(instance)
        reading, holdings = self._consumers.next_records(instance, asked.max_bytes)
        positions = {(holding.topic, holding.partition): holding.position or 0 for holding in holdings}
        positions = {part: max(position, asked.ends.get(part, 0)) for part, position in positions.items()}
        positions |= {(range_.topic, range_.partition): range_.next for range_ in reading.ranges}
        return reading, positions

    def _wait_seconds(self, instance: Instance, asked: _Asked) -> float:
        wait_ms = instance.settings.wait_ms if asked.timeout_ms is None else asked.timeout_ms
        longest = min(self._settings.consumer_max_wait_seconds, self._store.timeout_seconds / 2)
        return min(wait_ms / 1_000, longest)

    async def _answer(
        self, request: Request, instance: Instance, turn: Turn, reading: Reading, kind: str
    ) -> Answer | Fault:
        body = await run_in_threadpool(lambda: reading.body)

        async def handed_over(complete: bool) -> None:
            try:
                if complete:
                    await run_in_threadpool(self._moved, instance, reading.ranges)
            finally:
                turn.end()

        answer = Answer(body, kind, records=len(reading.records), handed_over=handed_over)
        return echoed(request, answer) if reading.ranges else answer

    def _moved(self, instance: Instance, ranges: list[Range]) -> None:
        try:
            self._store.delivered(instance, ranges)
        except PipelineError:  # the answer is out
            _logger.exception("records of '%s' will come again", instance.name)


def _asked(request: Request) -> _Asked | Fault:
    timeout_ms = query_number("timeout", request.query_params.get("timeout"))
    if isinstance(timeout_ms, Fault):
        return timeout_ms
    max_bytes = query_number("max_bytes", request.query_params.get("max_bytes"))
    if isinstance(max_bytes, Fault):
        return max_bytes
    repeat = once(request, b"")
    if isinstance(repeat, Fault):
        return repeat
    key = None if repeat is None else repeat.key
    stopping = request.scope.get("state", {}).get(STOPPING) or asyncio.Event()
    return _Asked(key, timeout_ms, min(max_bytes or MAX_BYTES, MAX_BYTES), stopping)


def _media(request: Request, instance: Instance) -> str | Fault:
    """The media type of the records; the instance's format decides it, and the caller must take it."""
    own = _OF_FORMAT[instance.settings.format]
    kind = media.accepted(request, (own, KAFKA_MEDIA, media.PLAIN_JSON))
    if isinstance(kind, str):
        return kind
    return Fault(FORMAT_MISMATCH, f"the instance's format is {instance.settings.format}: send Accept: {own}")


def _enough(instance: Instance, reading: Reading) -> bool:
    """Whether the answer need not wait for more; a record without key and value counts as one byte."""
    size = max(reading.size, len(reading.records))
    return size > 0 and size >= instance.settings.min_bytes
