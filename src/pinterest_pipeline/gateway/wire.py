"""Answers on their way to the transport, and what the parser has against a request."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import httptools
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from pinterest_pipeline.gateway import responses
from pinterest_pipeline.gateway.error_codes import BAD_REQUEST, Fault


class Joined:
    """A transport that sends the head of an answer with what comes next: one system call, one packet.

    `close` is called behind the last answer.
    """

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self._close = close
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._close()


def last_unless_asked(cycle: RequestResponseCycle, app: ASGIApp) -> ASGIApp:
    """The application of a client that waits to be asked for its body: unasked, it gets its last answer.

    Whether such a client sends its body behind an answer nobody knows; its next request would be read as one.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_last(message: Message) -> None:
            if cycle.waiting_for_100_continue and cycle.more_body:
                cycle.keep_alive = False
            await send(message)

        await app(scope, receive, send_last)

    return answer


class Refused(Exception):
    """Raised in what the parser calls: no more of the request is read."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault


def fault_of(error: Exception) -> Fault:
    """What the parser, or one of our methods that it called, has against a request."""
    if isinstance(error, httptools.HttpParserCallbackError):
        cause = error.__context__
        return cause.fault if isinstance(cause, Refused) else Fault(BAD_REQUEST, "the address cannot be read")
    if isinstance(error, httptools.HttpParserUpgrade):
        return Fault(BAD_REQUEST, "there is nothing to upgrade to; leave out Upgrade")
    return error.fault if isinstance(error, Refused) else Fault(BAD_REQUEST, f"not valid HTTP/1.1: {error}")


def message(fault: Fault) -> bytes:
    """A fault as the bytes of an answer that closes the connection."""
    answer = responses.refusal(fault)
    headers = (
        *answer.headers,
        ("content-type", answer.media),
        ("content-length", str(len(answer.body))),
        ("connection", "close"),
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    status = HTTPStatus(answer.status)
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode() + answer.body
