"""What both halves of the API share: bodies within their bounds, and what an error means to a caller."""

import logging
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pinterest_pipeline.errors import DiskFull, PipelineError, Retryable, TopicExists, UnknownTopic
from pinterest_pipeline.gateway.error_codes import (
    EXISTS,
    INTERNAL,
    MEDIA_TYPE,
    NOT_JSON,
    TOO_LARGE,
    UNAVAILABLE,
    UNKNOWN_TOPIC,
    Fault,
)
from pinterest_pipeline.gateway.responses import Answer

_logger: Final = logging.getLogger(__name__)


def respond(answer: Answer) -> Response:
    headers = None if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
    return Response(answer.body, answer.status, headers, answer.media)


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


def fault_of(error: Exception) -> Fault:
    """What to tell the caller about an error; one that is ours is logged and not shown."""
    if isinstance(error, UnknownTopic):
        return Fault(UNKNOWN_TOPIC, str(error))
    if isinstance(error, TopicExists):
        return Fault(EXISTS, str(error))
    if isinstance(error, DiskFull | Retryable):
        _logger.error("answering 503: %s", error)
        return Fault(UNAVAILABLE, str(error))
    if isinstance(error, PipelineError):
        _logger.error("answering 500: %s", error, exc_info=error)
    return Fault(INTERNAL, "the gateway failed; its log says why")
