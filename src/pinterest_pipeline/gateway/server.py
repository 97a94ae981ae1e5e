"""The gateway as a server: a socket that listens, and uvicorn on it until it is told to stop."""

import errno
import signal
import socket
import ssl
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from pinterest_pipeline.errors import PortInUse, SettingError

_BACKLOG: Final = 2_048
_KEEP_ALIVE_SECONDS: Final = 75  # longer than clients keep an idle connection: none sends into a closing one
_GRACE_SECONDS: Final = 10


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, any free port for 0; raises PortInUse, or SettingError for an address not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} of {host} is taken by another process",
                "stop that process, or choose another port: PINPIPE_GATEWAY__PORT=8083",
            ) from None
        raise SettingError(
            f"the gateway cannot listen on {host}:{port}: {error.strerror}",
            "see PINPIPE_GATEWAY__HOST and PINPIPE_GATEWAY__PORT",
        ) from None


def serve(app: ASGIApp, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
    """Answer on a listening socket until SIGTERM or SIGINT, then finish what is under way.

    With `tls`, all of it over TLS. Only the main thread may call this.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    server = uvicorn.Server(config)
    # For a signal before uvicorn listens for them, and for the one that it raises again once it is done.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    server.run(sockets=[sock])
