"""One operation as an application: its handler between what is checked before and what is noted after."""

import asyncio
import logging
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pinterest_pipeline.errors import (
    DiskFull,
    Forbidden,
    KeyInFlight,
    KeyReused,
    PipelineError,
    Retryable,
    TopicExists,
    UnknownTopic,
)
from pinterest_pipeline.eventlog.base import EventLog, Once, Receipt, Record, Refusal
from pinterest_pipeline.gateway import responses
from pinterest_pipeline.gateway.error_codes import (
    EXISTS,
    FORBIDDEN,
    INTERNAL,
    KEY_IN_FLIGHT,
    KEY_REUSED,
    MEDIA_TYPE,
    NOT_JSON,
    TOO_LARGE,
    UNAVAILABLE,
    UNKNOWN_TOPIC,
    Fault,
    Kind,
)
from pinterest_pipeline.gateway.operations import Api, Operation
from pinterest_pipeline.gateway.responses import Answer

_logger: Final = logging.getLogger(__name__)


class Endpoint:
    """Answers the requests of one operation; nothing that its handler does ends without an answer."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._operation.handler(Request(scope, receive))
        except Exception as error:  # whatever it is, the caller gets an answer, and the log says why
            answer = fault_of(error)
        await respond(answered(self._operation.api, answer))(scope, receive, send)


def answered(api: Api, answer: Answer | Fault) -> Answer:
    """A fault as this part of the API writes it; any other answer as it is."""
    if isinstance(answer, Answer):
        return answer
    return responses.kinesis_fault(answer) if api == "kinesis" else responses.kafka_fault(answer)


def respond(answer: Answer) -> Response:
    return Response(answer.body, answer.status, dict(answer.headers), answer.media)


def media_fault(request: Request, taken: frozenset[str], hint: str) -> Fault | None:
    """What is wrong with the Content-Type; an absent one is the empty text."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media in taken:
        return None
    return Fault(MEDIA_TYPE, f"the Content-Type is '{media[:100]}', send {hint}")


async def read_body(request: Request, most: int) -> bytes | Fault:
    """The body, unless it is larger than `most` bytes; then the rest of it is not read."""
    too_large = Fault(TOO_LARGE, f"the body is larger than {most} bytes")
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
    return b"".join(chunks)


async def append(
    log: EventLog, name: str, records: list[Record] | Fault, once: Once | Fault | None
) -> list[Receipt | Refusal] | Fault:
    """Append records unless something about them is wrong; returns once they are durable."""
    if isinstance(records, Fault):
        return records
    if isinstance(once, Fault):
        return once
    return await asyncio.wrap_future(log.append(name, records, once))


_MEANING: Final[tuple[tuple[type[PipelineError], Kind], ...]] = (
    (UnknownTopic, UNKNOWN_TOPIC),
    (TopicExists, EXISTS),
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
