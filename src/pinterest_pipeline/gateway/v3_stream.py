"""A stream of records into a topic, and its receipts out: each as soon as its record is durable.

What one piece of a chunk of the body holds is appended together, and between two pieces others have their
turn: a chunk may hold tens of thousands of objects. Records that wait for their receipts, and receipts
that the client has not taken, are bounded: at the bound no more of the body is read.
"""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from starlette.requests import ClientDisconnect, Request

from pinterest_pipeline.eventlog.base import EventLog, Once, Receipt, Refusal
from pinterest_pipeline.gateway.completions import completed
from pinterest_pipeline.gateway.error_codes import MISSING_VALUE, NOT_JSON, REFUSED, TOO_LARGE, Fault
from pinterest_pipeline.gateway.exchange import fault_of
from pinterest_pipeline.gateway.json_stream import ObjectStream
from pinterest_pipeline.gateway.limits import FULL, Hold
from pinterest_pipeline.gateway.repeats import nth, trace_headers
from pinterest_pipeline.gateway.v3_records import Sendable, V3Receipt, receipt, sendable

_RECORD_COST: Final = 500
"""Bytes that a record under way takes beside its own, about."""

_PIECE_BYTES: Final = 2**15
_PIECE_RECORDS: Final = 500

Outcomes = list[V3Receipt | Fault]


class Window:
    """Bounds what is under way: who takes more than there is waits until some is given back."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0
        self._given = asyncio.Event()

    async def take(self, size: int) -> None:
        while self.taken and self.taken + size > self._most:
            self._given.clear()
            await self._given.wait()
        self.taken += size

    def give(self, size: int) -> None:
        self.taken -= size
        self._given.set()


class _Sent:
    """Records that were submitted together, or one that is wrong."""

    def __init__(
        self,
        records: list[Sendable],
        size: int,
        future: "Future[list[Receipt | Refusal]] | None" = None,
        fault: Fault | None = None,
    ) -> None:
        self.records = records
        self.size = size
        self.future = future
        self.fault = fault


class RecordStream:
    """One request that appends to a topic; no object is read beyond `max_bytes`, nor more be under way."""

    def __init__(
        self, request: Request, log: EventLog, cluster: str, topic: str, once: Once | None, max_bytes: int
    ) -> None:
        # A body whose length was announced has its room already, for as long as it is read.
        self._hold: Hold | None = None if "content-length" in request.headers else request.scope.get("hold")
        self._request = request
        self._log = log
        self._cluster = cluster
        self._topic = topic
        self._once = once
        self._max_bytes = max_bytes
        self._trace = trace_headers(request)
        self._window = Window(max_bytes)
        self._sent: asyncio.Queue[_Sent | None] = asyncio.Queue()  # bounded by the window
        self._number = 0

    async def outcomes(self) -> AsyncGenerator[Outcomes, None]:
        """What became of each record, in order, some at a time. Closing it ends the reading."""
        reading = asyncio.create_task(self._read())
        try:
            while (sent := await self._sent.get()) is not None:
                yield await self._outcomes(sent)
                self._window.give(sent.size)
                await asyncio.sleep(0)  # thousands may be there, and nothing else waits before all are sent
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    async def _outcomes(self, sent: _Sent) -> Outcomes:
        if sent.future is None:
            return [sent.fault] if sent.fault else []
        try:
            outcomes = await completed(sent.future)
        except Exception as error:  # of the log: it is what became of each of the records
            return [fault_of(error)] * len(sent.records)
        return [
            Fault(REFUSED[outcome.code], outcome.reason)
            if isinstance(outcome, Refusal)
            else receipt(self._cluster, self._topic, record, outcome)
            for record, outcome in zip(sent.records, outcomes, strict=True)
        ]

    async def _read(self) -> None:
        try:
            fault = await self._all()
        except ClientDisconnect:
            fault = Fault(NOT_JSON, "the body was cut off")
        except Exception as error:  # the client gets an answer to it like to any other
            fault = fault_of(error)
        if fault is not None:
            self._sent.put_nowait(_Sent([], 0, fault=fault))
        self._sent.put_nowait(None)

    async def _all(self) -> Fault | None:
        """Submit all that the body holds; what ends it before its end."""
        objects = ObjectStream()
        async for chunk in self._request.stream():
            for start in range(0, len(chunk), _PIECE_BYTES):
                await self._submit_all(objects.feed(chunk[start : start + _PIECE_BYTES]))
            if objects.broken:
                return Fault(NOT_JSON, f"record {self._number} is no JSON object; nothing after it is read")
            if objects.held > self._max_bytes:
                return Fault(TOO_LARGE, f"record {self._number} is larger than {self._max_bytes} bytes")
            if self._hold is not None and not self._hold.resize(objects.held + self._window.taken):
                return FULL
        if objects.held:
            return Fault(NOT_JSON, f"the body ends within record {self._number}")
        return None if self._number else Fault(MISSING_VALUE, "the body holds no record")

    async def _submit_all(self, objects: list[bytes]) -> None:
        """In requests of the log for many of them; with a key, each is one that may come again."""
        together = _PIECE_RECORDS if self._once is None else 1
        for start in range(0, len(objects), together):
            await self._submit(objects[start : start + together])
            if len(objects) > _PIECE_RECORDS:
                await asyncio.sleep(0)

    async def _submit(self, objects: list[bytes]) -> None:
        """Append the good ones of these together; a wrong one stands where it stood."""
        good: list[Sendable] = []
        size = 0
        for body in objects:
            found = sendable(body, self._trace)
            if isinstance(found, Fault):
                await self._append(good, size, objects)
                good, size = [], 0
                await self._window.take(_RECORD_COST)
                self._sent.put_nowait(_Sent([], _RECORD_COST, fault=found))
            else:
                good.append(found)
                size += _RECORD_COST + len(body)
        await self._append(good, size, objects)
        self._number += len(objects)

    async def _append(self, good: list[Sendable], size: int, objects: list[bytes]) -> None:
        if not good:
            return
        await self._window.take(size)
        once = self._once and nth(self._once, self._number, objects[0])
        future = self._log.append(self._topic, [one.record for one in good], once)
        self._sent.put_nowait(_Sent(good, size, future))
