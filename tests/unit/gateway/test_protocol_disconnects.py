"""What the requests of a connection learn of its end, from a protocol whose transport is none."""

import asyncio
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.gateway.limits import Limits, limits
from pinterest_pipeline.gateway.protocol import Protocol

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WAIT = 20


class Transport:
    """What asyncio gives a protocol, connected to nobody."""

    def __init__(self) -> None:
        self.written = b""

    def get_extra_info(self, _: str) -> None:
        return None

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        """Nobody sends."""

    def resume_reading(self) -> None:
        """Nobody sends."""

    close = resume_reading


def connected(app: Any, shared: Limits, state: ServerState) -> Protocol:
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None)
    protocol = Protocol(shared, config=config, server_state=state, app_state={})
    transport: Any = Transport()
    protocol.connection_made(transport)
    return protocol


def test_a_request_before_others_of_its_connection_is_told_that_its_client_has_gone() -> None:
    """Only the newest was: the one under way waited for ever, or took its answer for handed over."""
    told: list[str] = []

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        await receive()
        told.append((await receive())["type"])

    async def talk() -> None:
        shared, state = limits(GatewaySettings(), lambda *_: None), ServerState()
        protocol = connected(app, shared, state)
        protocol.data_received(GET + GET)
        (task,) = state.tasks
        await asyncio.sleep(0)
        protocol.connection_lost(None)
        await asyncio.wait_for(task, WAIT)
        assert (state.tasks, shared.budget.held) == (set(), 0)

    asyncio.run(talk())
    assert told == ["http.disconnect"]
