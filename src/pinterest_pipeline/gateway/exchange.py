"""One operation as an application: its handler between what is checked before and what is noted after."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pinterest_pipeline.errors import (
    BadRecord,
    ConsumerExists,
    DiskFull,
    Fenced,
    Forbidden,
    IllegalState,
    KeyInFlight,
    KeyReused,
    LimitExceeded,
    PipelineError,
    Retryable,
    StreamInUse,
    Throttled,
    TopicExists,
    UnknownConsumer,
    UnknownGroup,
    UnknownPartition,
    UnknownTopic,
)
from pinterest_pipeline.eventlog.base import EventLog, Once, Receipt, Record, Refusal
from pinterest_pipeline.gateway import responses
from pinterest_pipeline.gateway.completions import completed
from pinterest_pipeline.gateway.error_codes import (
    CONSUMER_EXISTS,
    EXISTS,
    FORBIDDEN,
    ILLEGAL_STATE,
    INTERNAL,
    KEY_IN_FLIGHT,
    KEY_REUSED,
    LIMIT_EXCEEDED,
    MEDIA_TYPE,
    NOT_JSON,
    OF_CALLER,
    STREAM_IN_USE,
    THROTTLED,
    TOO_LARGE,
    UNAVAILABLE,
    UNKNOWN_CONSUMER,
    UNKNOWN_GROUP,
    UNKNOWN_PARTITION,
    UNKNOWN_TOPIC,
    UNREADABLE_RECORD,
    Fault,
    Kind,
)
from pinterest_pipeline.gateway.handover import HandedOver, head
from pinterest_pipeline.gateway.media import content_type
from pinterest_pipeline.gateway.operations import Api, Operation
from pinterest_pipeline.gateway.responses import Answer, Streamed

_logger: Final = logging.getLogger(__name__)


Guard = Callable[[Request, Operation], Awaitable[Fault | None]]
"""Looks at a request before its handler does; its fault is the answer."""


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """A request that was answered."""

    operation: Operation
    request: Request
    status: int
    records: int
    """Records that the answer acknowledges or holds."""
    bytes_in: int
    """Bytes of the body that were read."""
    bytes_out: int
    """Bytes of the answer's body."""
    seconds: float


Observer = Callable[[Exchange], None]
"""Notes an exchange after its answer is out."""


class Endpoint:
    """Answers the requests of one operation; nothing that its handler does ends without an answer."""

    def __init__(
        self, operation: Operation, guards: Sequence[Guard] = (), observers: Sequence[Observer] = ()
    ) -> None:
        self._operation = operation
        self._guards = guards
        self._observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        counted = _Counted(receive, send, has_body=scope["method"] != "HEAD")
        request = Request(scope, counted.receive)
        records = await self._answer(request, scope, counted)
        exchange = Exchange(
            self._operation,
            request,
            counted.status,
            records,
            counted.bytes_in,
            counted.bytes_out,
            time.perf_counter() - started,
        )
        for note in self._observers:
            note(exchange)

    async def _answer(self, request: Request, scope: Scope, counted: "_Counted") -> int:
        """Answer, and say how many records the answer acknowledges or holds."""
        outcome = await self._outcome(request)
        if isinstance(outcome, Streamed):
            return await _stream(outcome, counted.send)
        answer = answered(self._operation.api, outcome, request)
        if answer.fault is not None and answer.fault.kind in OF_CALLER and "refuse" in scope:
            scope["refuse"](answer.fault)
        await respond(answer)(scope, counted.receive, counted.send)
        return answer.records

    async def _outcome(self, request: Request) -> Answer | Streamed | Fault:
        try:
            for fault_in in self._guards:
                if (fault := await fault_in(request, self._operation)) is not None:
                    return fault
            return encoding_fault(request, self._operation) or await self._operation.handler(request)
        except Exception as error:  # whatever it is, the caller gets an answer, and the log says why
            return fault_of(error)


class _Counted:
    """The messages of an exchange, whose bytes are counted."""

    def __init__(self, receive: Receive, send: Send, *, has_body: bool) -> None:
        """`has_body` says whether the server sends the body of the answer: of HEAD it sends none."""
        self._receive = receive
        self._send = send
        self._has_body = has_body
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if "status" in message:
            self.status = message["status"]
        elif self._has_body:
            self.bytes_out += len(message.get("body", b""))
        await self._send(message)


async def _stream(answer: Streamed, send: Send) -> int:
    """Send the pieces as they come, and count their records; who reads the body has `receive` to itself."""
    records = 0
    await send(head(answer))
    await send({"type": "http.response.body", "body": b"", "more_body": True})  # the head goes out at once
    async with aclosing(answer.pieces) as pieces:
        async for piece, count in pieces:
            records += count
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    return records


_FAULTS: Final[dict[Api, Callable[[Fault], Answer]]] = {
    "kafka_v2": responses.kafka_fault,
    "kafka_v3": responses.kafka_v3_fault,
    "kinesis": responses.kinesis_fault,
    "service": responses.kafka_v3_fault,
}


def answered(api: Api, answer: Answer | Fault, request: Request) -> Answer:
    """A fault as this part of the API writes it; any other answer as it is."""
    if isinstance(answer, Answer):
        return answer
    if api == "kinesis_wire":
        return responses.kinesis_wire_fault(answer, content_type(request))
    return _FAULTS[api](answer)


def respond(answer: Answer) -> ASGIApp:
    """An answer as an application that gives it."""

    if answer.handed_over is not None:
        return HandedOver(answer, answer.handed_over)

    async def send_answer(_: Scope, __: Receive, send: Send) -> None:
        await send(head(answer))
        await send({"type": "http.response.body", "body": answer.body})

    return send_answer


def encoding_fault(request: Request, operation: Operation) -> Fault | None:
    """What is wrong with the Content-Encoding of a body that is read: a small one could be a large one."""
    if operation.body is None:
        return None
    for name, value in request.scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            shown = value[:100].decode("latin-1")
            return Fault(MEDIA_TYPE, f"the Content-Encoding is '{shown}', send the body as it is")
    return None


async def read_body(request: Request, most: int) -> bytes | Fault:
    """The body, unless it is larger than `most` bytes; then the rest of it is not read.

    A guard may have read it before the handler does.
    """
    too_large = Fault(TOO_LARGE, f"the body is larger than {most} bytes")
    known: bytes | None = request.scope.get("whole_body")  # set below
    if known is not None:
        return known if len(known) <= most else too_large
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        return too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                return too_large
            chunks.append(chunk)
    except ClientDisconnect:
        return Fault(NOT_JSON, "the body was cut off")
    body = request.scope["whole_body"] = b"".join(chunks)
    return body


async def append(
    log: EventLog, name: str, records: list[Record] | Fault, once: Once | Fault | None
) -> list[Receipt | Refusal] | Fault:
    """Append records unless something about them is wrong; returns once they are durable."""
    if isinstance(records, Fault):
        return records
    if isinstance(once, Fault):
        return once
    return await completed(log.append(name, records, once))


_MEANING: Final[tuple[tuple[type[PipelineError], Kind], ...]] = (
    (UnknownTopic, UNKNOWN_TOPIC),
    (UnknownGroup, UNKNOWN_GROUP),
    (UnknownPartition, UNKNOWN_PARTITION),
    (UnknownConsumer, UNKNOWN_CONSUMER),
    (ConsumerExists, CONSUMER_EXISTS),
    (IllegalState, ILLEGAL_STATE),
    (BadRecord, UNREADABLE_RECORD),
    (Fenced, ILLEGAL_STATE),
    (TopicExists, EXISTS),
    (StreamInUse, STREAM_IN_USE),
    (LimitExceeded, LIMIT_EXCEEDED),
    (Throttled, THROTTLED),
    (KeyReused, KEY_REUSED),
    (KeyInFlight, KEY_IN_FLIGHT),
    (Forbidden, FORBIDDEN),
    (DiskFull, UNAVAILABLE),
    (Retryable, UNAVAILABLE),
)


def fault_of(error: Exception) -> Fault:
    """What to tell the caller about an error; one that is ours is logged and not shown."""
    for type_, kind in _MEANING:
        if isinstance(error, type_):
            if kind is UNAVAILABLE:
                _logger.error("answering 503: %s", error)
            return Fault(kind, str(error))
    _logger.error("answering 500: %s", error, exc_info=error)
    return Fault(INTERNAL, "the gateway failed; its log says why")
