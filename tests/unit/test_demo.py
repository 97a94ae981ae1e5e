"""How the demo waits for its gateway."""

import threading
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from pinterest_pipeline import demo


class _Topics(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_its_gateway_is_asked_by_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with HTTPServer(("127.0.0.1", 0), _Topics) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        demo._wait_until_up(f"http://127.0.0.1:{server.server_port}", Future(), lambda *_: None)
        answering.join()
