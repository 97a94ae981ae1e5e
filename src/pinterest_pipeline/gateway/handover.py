"""An answer of which somebody must know whether it got through: what it holds may have to be given again."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pinterest_pipeline.gateway.responses import Answer

_PART_BYTES: Final = 64 * 2**10


class HandedOver(Response):
    """Sends an answer in parts and then tells it whether the caller was there for all of them.

    A server drops what it sends to a caller that has gone, without a word. So the last part waits until the
    others are out and the caller is seen to be still there.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body, answer.status, dict(answer.headers), answer.media)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        complete = False
        try:
            complete = await self._sent(Request(scope, receive), send)
        finally:
            if self._answer.handed_over is not None:
                await self._answer.handed_over(complete)

    async def _sent(self, request: Request, send: Send) -> bool:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = self._answer.body
        last = max(0, len(body) - 1) // _PART_BYTES * _PART_BYTES
        for start in range(0, last, _PART_BYTES):
            part = body[start : start + _PART_BYTES]
            await send({"type": "http.response.body", "body": part, "more_body": True})
        if await request.is_disconnected():
            return False
        await send({"type": "http.response.body", "body": body[last:], "more_body": False})
        return True
