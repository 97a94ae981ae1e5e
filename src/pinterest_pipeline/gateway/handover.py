"""How an answer goes out; and one of which somebody must know whether it got through."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from pinterest_pipeline.gateway.responses import Answer, Streamed

_PART_BYTES: Final = 64 * 2**10
_NO_CONTENT: Final = 204


def head(answer: Answer | Streamed) -> Message:
    """The first message of an answer; nobody knows the length of one that is streamed."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if answer.status != _NO_CONTENT:
        headers.append((b"content-type", answer.media.encode("latin-1")))
        if isinstance(answer, Answer):
            headers.append((b"content-length", b"%d" % len(answer.body)))
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


class HandedOver:
    """Sends an answer in parts and then tells whether the caller was there for all of them.

    A server drops what it sends to a caller that has gone, without a word. So the last part waits until the
    others are out and the caller is seen to be still there.
    """

    def __init__(self, answer: Answer, tell: Callable[[bool], Awaitable[None]]) -> None:
        self._answer = answer
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        complete = False
        try:
            complete = await self._sent(Request(scope, receive), send)
        finally:
            await self._tell(complete)

    async def _sent(self, request: Request, send: Send) -> bool:
        await send(head(self._answer))
        body = self._answer.body
        last = max(0, len(body) - 1) // _PART_BYTES * _PART_BYTES
        for start in range(0, last, _PART_BYTES):
            part = body[start : start + _PART_BYTES]
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if await request.is_disconnected():
            return False
        await send({"type": "http.response.body", "body": body[last:], "more_body": False})
        return True
