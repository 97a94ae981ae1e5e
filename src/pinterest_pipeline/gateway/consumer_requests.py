"""How requests reach a consumer instance: one at a time, with their body read."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import IllegalState
from pinterest_pipeline.gateway import media
from pinterest_pipeline.gateway.access import allows
from pinterest_pipeline.gateway.consumer_file import Instance
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.consumer_turns import Turn
from pinterest_pipeline.gateway.error_codes import Fault
from pinterest_pipeline.gateway.exchange import read_body
from pinterest_pipeline.gateway.kafka_v2 import negotiated
from pinterest_pipeline.gateway.operations import Handler
from pinterest_pipeline.gateway.responses import Answer

ANSWERS: Final = (*media.ANSWERS, media.JSON, media.BINARY)
_TURN_SECONDS: Final = 10.0
_ASK_SECONDS, _LONGEST_ASK_SECONDS = 0.005, 0.1
"""Seldomer and seldomer: many requests of one instance must not take all threads from the others."""

Work = Callable[[Instance, bytes, Request], Answer | Fault]
"""What is done with an instance, in a thread of its own, with the body of the request."""


async def settings_body(request: Request, settings: GatewaySettings) -> bytes | Fault:
    """The body of a request about an instance."""
    fault = media.content_fault(media.content_type(request), media.SETTINGS)
    return fault or await read_body(request, settings.max_body_bytes)


async def entered(store: ConsumerStore, request: Request) -> tuple[Instance, Turn]:
    """The instance that the path names, and the turn on it, which the caller ends.

    Raises UnknownConsumer, and IllegalState when another request keeps the turn for too long.
    """
    group, name = request.path_params["group"], request.path_params["instance"]
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + _TURN_SECONDS, _ASK_SECONDS
    while True:
        found = await run_in_threadpool(store.enter, group, name)
        if found is not None:
            instance, turn = found
            return msgspec.structs.replace(instance, may_read=partial(allows, request, "read", "topic")), turn
        if loop.time() > until:
            raise IllegalState(
                f"another request of the instance '{name}' is not over", "send one request at a time"
            )
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_ASK_SECONDS)


def in_turn(store: ConsumerStore, settings: GatewaySettings, work: Work) -> Handler:
    """A handler that does the work in the instance's turn."""

    async def handler(request: Request) -> Answer | Fault:
        body = await settings_body(request, settings)
        if isinstance(body, Fault):
            return body
        instance, turn = await entered(store, request)
        try:
            return await run_in_threadpool(work, instance, body, request)
        finally:
            turn.end()

    return negotiated(handler, ANSWERS)
