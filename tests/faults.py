"""An HTTP proxy on loopback that fails on demand, to stand before an S3 endpoint.

    with FaultProxy(settings.endpoint) as proxy:
        store = open_store(settings.model_copy(update={"endpoint": proxy.endpoint}), folder)
        proxy.fail(Fault.SWALLOW, method="PUT")          # the next PUT is carried out, its answer is lost
        proxy.fail(Fault.SLOW_DOWN, times=None)          # every request, until heal()

Requests pass unchanged, with their Host header, so signatures stay valid. One request per connection.
"""

import http.client
import socket
import socketserver
import struct
import threading
from dataclasses import dataclass
from enum import Enum, auto
from io import BufferedIOBase
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_XML = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>on demand</Message></Error>'
_DROPPED = {"transfer-encoding", "connection", "content-length"}


class Fault(Enum):
    """What happens to a request instead of its answer."""

    INTERNAL_ERROR = auto()
    """500, and the request is not carried out."""
    SLOW_DOWN = auto()
    """503 SlowDown, and the request is not carried out."""
    FORBIDDEN = auto()
    """403 AccessDenied, and the request is not carried out."""
    RESET_REQUEST = auto()
    """The server has half of the request's body when both connections are reset."""
    SWALLOW = auto()
    """The request is carried out; the connection is reset before its answer."""
    ERROR_AFTER = auto()
    """The request is carried out; the answer is 500."""
    CUT_ANSWER = auto()
    """The request is carried out; the connection ends in the middle of the answer's body."""
    HANG = auto()
    """Nothing is carried out or answered until `heal()`, and then the connection is reset."""


@dataclass
class _Order:
    fault: Fault
    method: str | None
    times: int | None


class FaultProxy:
    """A running proxy; use it as a context manager."""

    def __init__(self, upstream: str) -> None:
        """`upstream` is an endpoint like `http://127.0.0.1:8333`."""
        parts = urlsplit(upstream)
        assert parts.hostname
        self.upstream = (parts.hostname, parts.port or 80)
        self.requests: list[str] = []
        """Method and path of every request that came, in order."""
        self._orders: list[_Order] = []
        self._lock = threading.Lock()
        self.healed = threading.Event()
        self._server = _Server(self)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()
        self._server.shutdown()
        self._server.server_close()

    def fail(self, fault: Fault, *, method: str | None = None, times: int | None = 1) -> None:
        """Fail the next `times` requests (None: all until `heal()`), of one method or of any."""
        with self._lock:
            self.healed.clear()
            self._orders.append(_Order(fault, method, times))

    def heal(self) -> None:
        """Forget every fault that was ordered; requests that hang are let go."""
        with self._lock:
            self._orders.clear()
        self.healed.set()

    def take(self, method: str, path: str) -> Fault | None:
        """Note a request, and say how it fails."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            for order in self._orders:
                if order.method in (None, method):
                    if order.times is not None:
                        order.times -= 1
                        if order.times == 0:
                            self._orders.remove(order)
                    return order.fault
        return None


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, proxy: FaultProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client or a server that went away is what this proxy is for."""


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        proxy = self.server.proxy
        head = _read_head(self.rfile)
        if not head:
            return None
        method, path = head.split(b" ", 2)[:2]
        fault = proxy.take(method.decode(), path.decode())
        body = self.rfile.read(_length(head))
        if fault is Fault.HANG:
            proxy.healed.wait()
            return self._reset()
        if fault is Fault.RESET_REQUEST:
            with socket.create_connection(proxy.upstream) as upstream:
                upstream.sendall(head + body[: len(body) // 2])
                _reset_on_close(upstream)
            return self._reset()
        if fault in _REFUSALS:
            return self._answer(*_REFUSALS[fault])
        status, headers, content = _carried_out(proxy.upstream, method.decode(), head, body)
        if fault is Fault.SWALLOW:
            return self._reset()
        if fault is Fault.ERROR_AFTER:
            return self._answer(*_REFUSALS[Fault.INTERNAL_ERROR])
        sent = content[: len(content) // 2] if fault is Fault.CUT_ANSWER else content
        lines = [f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]
        self.wfile.write("\r\n".join(lines).encode() + sent)
        return None

    def _answer(self, status: str, code: str) -> None:
        content = _XML.format(code)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        self.wfile.write((head + content).encode())

    def _reset(self) -> None:
        _reset_on_close(self.connection)


_REFUSALS = {
    Fault.INTERNAL_ERROR: ("500 Internal Server Error", "InternalError"),
    Fault.SLOW_DOWN: ("503 Service Unavailable", "SlowDown"),
    Fault.FORBIDDEN: ("403 Forbidden", "AccessDenied"),
}


def _read_head(stream: BufferedIOBase) -> bytes:
    lines = []
    for line in iter(stream.readline, b""):
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)
    return b""


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _carried_out(
    upstream: tuple[str, int], method: str, head: bytes, body: bytes
) -> tuple[str, list[str], bytes]:
    """Status line, header lines and content of the real answer."""
    with socket.create_connection(upstream) as connection:
        connection.sendall(head + body)
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        content = answer.read()
        length = answer.getheader("Content-Length") if method == "HEAD" else str(len(content))
        headers = [f"{name}: {value}" for name, value in answer.getheaders() if name.lower() not in _DROPPED]
        answer.close()
    if length is not None:
        headers.append(f"Content-Length: {length}")
    return f"{answer.status} {answer.reason}", headers, content


def _reset_on_close(connection: socket.socket) -> None:
    """Closing sends RST: https://man7.org/linux/man-pages/man7/socket.7.html, SO_LINGER of no seconds."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
