"""HTTP/1.1 on one connection: uvicorn's protocol, with a bound on everything that a client decides.

llhttp refuses most of what proxies and servers read differently (request smuggling); what it lets pass is
refused here. Nothing waits for a client without a deadline. Deadlines are kept by `check`, which the server
calls for every connection now and then: a timer for each request would cost more than the rest of this file.

A refusal is sent after the answers to all earlier requests of the connection, which is then closed.
"""

import asyncio
import re
from collections import deque
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pinterest_pipeline.gateway.error_codes import (
    BAD_REQUEST,
    HEAD_TOO_LARGE,
    OVERLOADED,
    TIMEOUT,
    TOO_LARGE,
    URL_TOO_LONG,
    Fault,
)
from pinterest_pipeline.gateway.limits import FULL, Hold, Limits, Phase
from pinterest_pipeline.gateway.wire import Joined, Refused, fault_of, last_unless_asked, message

_PIECE: Final = 16_384  # what is fed to the parser at once; it bounds how far over a limit one can be
_MAX_PIPELINED: Final = 64
_MAX_CHUNK_FRAMING: Final = 8  # bytes of framing for each byte of a body: chunks of one byte take five
_SPARE_CONNECTIONS: Final = 256  # that are told why they are refused
_UPGRADE: Final = re.compile(rb"(?i)\r\nupgrade:")


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, limits: Limits, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._limits = limits.settings
        self._budget = limits.budget
        self._seconds = limits.seconds
        self._on_refusal = limits.on_refusal
        self._held: deque[Hold] = deque()
        """What each request under way holds of the budget, the first one first."""
        self._answering: RequestResponseCycle | None = None
        self._refusal: bytes | None = None
        self._began = False
        self._in_body = False
        self._framing = 0
        self._body_size = 0
        self._unsent_since: float | None = None
        self._enter(Phase.HEAD)

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._joined: Any = Joined(transport, self._close)
        excess = len(self.connections) - self._limits.max_connections
        if excess > _SPARE_CONNECTIONS:
            transport.abort()
        elif excess > 0:
            self._refuse(Fault(OVERLOADED, "the gateway has as many connections as it takes"))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._answering is not None:  # uvicorn tells the newest request alone
            self._answering.disconnected = not self._answering.response_complete
            self._answering.message_event.set()
        while self.pipeline:  # never begun, and never to be
            self.pipeline.popleft()
            self._held.pop().resize(0)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        if self._phase is Phase.NEXT:
            self._enter(Phase.HEAD)
        if self._phase is Phase.HEAD and not self._began:
            data = _without_upgrade(data)
        try:
            if len(data) <= _PIECE:
                self._feed(data)
            else:
                whole = memoryview(data)
                for start in range(0, len(data), _PIECE):
                    self._feed(whole[start : start + _PIECE])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, Refused) as error:
            self._refuse(fault_of(error))

    def check(self, now: float) -> None:
        """End what has waited for too long; `now` is the loop's time."""
        if self.transport.get_write_buffer_size() == 0:
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = now
        elif now - self._unsent_since > self._limits.answer_seconds:
            self.transport.abort()
            return
        if now - self._since > self._seconds[self._phase]:
            self._end_phase()

    def _end_phase(self) -> None:
        if self._phase is Phase.END:
            self.transport.abort()
        elif self._phase is Phase.BODY or self._began:
            self._refuse(Fault(TIMEOUT, f"the gateway waited for {self._phase.value} for too long"))
        else:
            self.transport.close()

    # What the parser calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._began = True
        self._framing = self._body_size = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self._limits.max_url_bytes:
            most = self._limits.max_url_bytes
            raise Refused(Fault(URL_TOO_LONG, f"the address is longer than {most} bytes"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # a trailer says nothing that we would listen to
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        announced = self._announced()
        if announced > self._limits.max_body_bytes:
            raise self._too_large()
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise Refused(Fault(BAD_REQUEST, "too many requests before the answer to the first one"))
        hold = Hold(self._budget)
        if not hold.resize(announced):
            raise Refused(FULL)
        self._held.append(hold)
        self.scope["hold"] = hold  # type: ignore[typeddict-unknown-key]  # what a server adds of its own
        try:
            super().on_headers_complete()
        except BaseException:
            self._held.pop().resize(0)
            raise
        self.cycle.transport = self._joined
        self._in_body = True
        if not self.pipeline:
            self._enter(Phase.BODY)

    def _announced(self) -> int:
        """The Content-Length, 0 without one, of a head that is in order; raises Refused for another one."""
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refused(Fault(BAD_REQUEST, f"this is HTTP/{version}; send HTTP/1.1"))
        given, names = dict(self.headers), [name for name, _ in self.headers]
        if sum(map(len, names)) + sum(map(len, given.values())) > self._limits.max_header_bytes:
            raise self._head_too_large()
        if names.count(b"host") != 1 and (version == "1.1" or b"host" in given):
            raise Refused(Fault(BAD_REQUEST, "a request has exactly one Host"))
        if b"transfer-encoding" in given and (
            version == "1.0"
            or names.count(b"transfer-encoding") > 1
            or given[b"transfer-encoding"].lower() != b"chunked"
        ):
            raise Refused(Fault(BAD_REQUEST, "the only Transfer-Encoding that is taken is chunked"))
        self.expect_100_continue = given.get(b"expect", b"").lower() == b"100-continue"
        return int(given.get(b"content-length", b"0"))

    def on_body(self, body: bytes) -> None:
        self._framing -= len(body)
        cycle = self.cycle
        if cycle.response_started and not cycle.response_complete:
            self._enter(Phase.BODY)  # an endpoint that answers while it reads says by itself what it holds
        else:
            self._bound_body(len(body))
        super().on_body(body)

    def _bound_body(self, size: int) -> None:
        self._body_size += size
        if self._body_size > self._limits.max_body_bytes:
            raise self._too_large()
        if self.cycle.response_complete:
            return
        hold = self._held[-1]
        if self._body_size > hold.size and not hold.resize(self._body_size):  # it came without a length
            raise Refused(FULL)

    def on_message_complete(self) -> None:
        self._began = self._in_body = False
        super().on_message_complete()
        if not self.pipeline:
            self._enter(Phase.NEXT if self.cycle.response_complete else Phase.ANSWER)

    # What an answer calls

    def on_response_complete(self) -> None:
        """Like uvicorn's, but without a timer, and reading on only when nothing waits to be answered."""
        self._joined.flush()  # an answer to HEAD has nothing after its head
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        else:
            self.flow.resume_reading()
        if self._in_body:
            self._enter(Phase.BODY)
        elif self.cycle.response_complete:
            self._enter(Phase.HEAD if self._began else Phase.NEXT)

    def _close(self) -> None:
        """Close behind the last answer; while its request is still sent, as behind a refusal."""
        if self._in_body and not self.pipeline:
            self._refusal = b""
        else:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.waiting_for_100_continue:
            app = last_unless_asked(cycle, app)
        self._answering = cycle
        task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        self._held.popleft().resize(0)
        if self._refusal is not None and not self._held:
            self._send_refusal()

    # What goes wrong

    def _feed(self, piece: bytes | memoryview) -> None:
        began = self._began
        self.parser.feed_data(piece)
        if began and self._began:
            self._framing += len(piece)
            if self._framing > self._limits.max_header_bytes + _MAX_CHUNK_FRAMING * self._body_size:
                raise self._head_too_large()
        else:
            self._framing = 0

    def _refuse(self, fault: Fault) -> None:
        if self._refusal is not None or self.transport.is_closing():
            return
        self._on_refusal(fault, self.client[0] if self.client else "")
        self._refusal = message(fault)
        self.flow.resume_reading()  # an unread byte at the close would take the answer with it
        if self._in_body:
            self._drop()
        if not self._held:
            self._send_refusal()

    def _drop(self) -> None:
        """The request that is refused gets no other answer."""
        if self.pipeline:
            self.pipeline.popleft()
            self._held.pop().resize(0)
            return
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def _send_refusal(self) -> None:
        """Say it, then read on for a moment: a client that is still sending would not see it otherwise."""
        if self.transport.is_closing():
            return
        if self._refusal and not (self._in_body and self.cycle.response_started):
            self.transport.write(self._refusal)
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self._enter(Phase.END)

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._since = self.loop.time()

    def _too_large(self) -> Refused:
        return Refused(Fault(TOO_LARGE, f"the body is larger than {self._limits.max_body_bytes} bytes"))

    def _head_too_large(self) -> Refused:
        most = self._limits.max_header_bytes
        return Refused(Fault(HEAD_TOO_LARGE, f"the headers are larger than {most} bytes"))


def _without_upgrade(data: bytes) -> bytes:
    """Java's HTTP client offers HTTP/2 with its first request; the parser would drop the body of that one."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if b"pgrade:" not in head and b"PGRADE:" not in head:
        return data
    return _UPGRADE.sub(b"\r\nx-upgrade:", head) + end + rest
