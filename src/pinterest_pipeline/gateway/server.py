"""The gateway as a server: a socket that listens, and uvicorn on it until it is told to stop."""

import asyncio
import errno
import functools
import gc
import logging
import resource
import signal
import socket
import ssl
from typing import Any, Final

import uvicorn
import uvloop
from starlette.types import ASGIApp

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import PortInUse, SettingError
from pinterest_pipeline.gateway.consumer_waiting import STOPPING
from pinterest_pipeline.gateway.error_codes import Fault
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.limits import Limits, RefusalObserver, limits
from pinterest_pipeline.gateway.protocol import Protocol

_BACKLOG: Final = 2_048
_GRACE_SECONDS: Final = 10
_FILES_OF_OURS: Final = 512  # logs, databases, connections that are told why they are refused
_CHECKED_EVERY: Final = 5  # of uvicorn's ticks of 0.1 s
_COLLECTED_AFTER: Final = 10_000
"""Objects made and not yet freed; with Python's 700, a twentieth of the time went into collections."""
_logger: Final = logging.getLogger(__name__)


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


class _Server(uvicorn.Server):
    """uvicorn's server, which now and then looks for connections that have waited too long."""

    def __init__(self, config: uvicorn.Config, shared: Limits, figures: Figures) -> None:
        super().__init__(config)
        self._budget = shared.budget
        self._figures = figures

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state[STOPPING] = asyncio.Event()
        await super().startup(sockets)
        # What is there by now stays: to look through all of it took 20 to 35 ms, for which one request in a
        # hundred waited. And of what a request makes, little is left to the collector.
        gc.freeze()
        gc.set_threshold(_COLLECTED_AFTER)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state[STOPPING].set()
        await super().shutdown(sockets)
        gc.unfreeze()  # what Python could not free at its end, DuckDB would print as leaked

    async def on_tick(self, counter: int) -> bool:
        if counter % _CHECKED_EVERY == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                assert isinstance(connection, Protocol)
                connection.check(now)
            state = self.server_state
            self._figures.set_load(len(state.connections), len(state.tasks), self._budget.held)
        return await super().on_tick(counter)


class _Loop(uvloop.Loop):
    """uvloop, with a deadline of ours for the handshake of TLS, which comes before a connection is ours."""

    def __init__(self, handshake_seconds: float) -> None:
        super().__init__()
        self._handshake_seconds = handshake_seconds

    def create_server(self, *args: Any, **options: Any) -> Any:
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = self._handshake_seconds
        return super().create_server(*args, **options)


def serve(
    app: ASGIApp,
    sock: socket.socket,
    settings: GatewaySettings,
    figures: Figures,
    on_refusal: RefusalObserver = lambda fault, client: None,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Answer on a listening socket until SIGTERM or SIGINT, then finish what is under way.

    With `tls`, all of it over TLS. Only the main thread may call this.
    """
    settings = settings.model_copy(update={"max_connections": _affordable(settings.max_connections)})

    def note(fault: Fault, client: str) -> None:
        figures.refused(fault)
        on_refusal(fault, client)

    shared = limits(settings, note)
    protocol: Any = functools.partial(Protocol, shared)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    server = _Server(config, shared, figures)
    # For a signal before uvicorn listens for them, and for the one that it raises again once it is done.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    with asyncio.Runner(loop_factory=functools.partial(_Loop, settings.header_seconds)) as runner:
        runner.run(server.serve(sockets=[sock]))


def _affordable(connections: int) -> int:
    """As many connections as were asked for, or as the system lets this process open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _FILES_OF_OURS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    affordable = max(1, soft - _FILES_OF_OURS)
    _logger.warning("the system lets this process take %d connections; raise 'ulimit -n'", affordable)
    return affordable
