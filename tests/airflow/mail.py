"""A mail server that keeps what it gets."""

import socketserver
import threading
from itertools import takewhile


class _Handler(socketserver.StreamRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        self._say("220 ready")
        for line in self.rfile:
            verb = line[:4].upper().strip()
            if verb == b"DATA":
                self._say("354 go on")
                lines = takewhile(lambda line: line != b".\r\n", self.rfile)
                self.server.sent.append(b"".join(lines).decode())
            if verb == b"QUIT":
                self._say("221 bye")
                return
            self._say("250 well")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sent: list[str] = []


class MailServer:
    """The server in a thread, on a free port of loopback."""

    def __init__(self) -> None:
        self._server = _Server()
        self.port = int(self._server.server_address[1])
        self.sent = self._server.sent
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
