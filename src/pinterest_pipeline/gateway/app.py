"""The gateway as an application: every operation behind a stage or not, one answer for each error."""

import re
from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pinterest_pipeline.config import GatewaySettings, LogSettings
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.gateway import responses
from pinterest_pipeline.gateway.error_codes import NOT_FOUND, WRONG_METHOD, Fault
from pinterest_pipeline.gateway.exchange import Endpoint, answered, fault_of, respond
from pinterest_pipeline.gateway.kafka_v2 import KafkaV2
from pinterest_pipeline.gateway.kinesis_routes import KinesisProxy
from pinterest_pipeline.gateway.operations import PUBLIC, Api, Operation
from pinterest_pipeline.gateway.responses import KINESIS_MEDIA, Answer

DEFAULT_SHARDS: Final = LogSettings().shards


def create_app(
    settings: GatewaySettings, topics: EventLog, streams: EventLog, default_shards: int = DEFAULT_SHARDS
) -> Starlette:
    """The application over the two logs; it closes neither. A stream is created with `default_shards`."""
    operations = [
        *KafkaV2(settings, topics).operations(),
        *KinesisProxy(settings, streams, default_shards).operations(),
        _health((topics, streams)),
    ]
    unstaged = _Unstaged(operations)

    async def no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = WRONG_METHOD if error.status_code == WRONG_METHOD.status else NOT_FOUND
        fault = Fault(kind, f"{request.method} {request.url.path[:200]}: {kind.when}")
        response = respond(answered(unstaged.api(request.scope["path"]), fault))
        response.headers.update(error.headers or {})
        return response

    async def failed(request: Request, error: Exception) -> Response:
        return respond(answered(unstaged.api(request.scope["path"]), fault_of(error)))

    return Starlette(
        routes=[
            Route(operation.path, Endpoint(operation), methods=[operation.method]) for operation in operations
        ],
        middleware=[Middleware(unstaged.middleware)],
        exception_handlers={HTTPException: no_route, Exception: failed},
    )


def _health(logs: Sequence[EventLog]) -> Operation:
    async def health(_: Request) -> Answer:
        for log in logs:
            await run_in_threadpool(log.topics)
        return responses.kinesis({"status": "ok"})

    return Operation(
        id="health",
        api="service",
        method="GET",
        path="/health",
        handler=health,
        says="Whether both logs can be read",
        access=PUBLIC,
        answers={200: dict[str, str]},
        media=KINESIS_MEDIA,
    )


class _Unstaged:
    """Takes the stage of API Gateway (`/dev`, `/test`, `/prod` and the like) off a path.

    A stage is one lower-case segment before the first segment of an operation's path.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._first: dict[str, Api] = {
            operation.path.split("/")[1]: operation.api for operation in operations
        }
        names = "|".join(re.escape(name) for name in self._first if name)
        self._stage = re.compile(rf"/(?!(?:{names})(?:/|$))[a-z0-9]+(?=/)")

    def path(self, path: str) -> str:
        stage = self._stage.match(path)
        return path[stage.end() :] if stage else path

    def api(self, path: str) -> Api:
        """The part of the API that a path would belong to."""
        return self._first.get(self.path(path).split("/")[1], "service")

    def middleware(self, app: ASGIApp) -> ASGIApp:
        async def unstaged(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                scope = {**scope, "path": self.path(scope["path"])}
            await app(scope, receive, send)

        return unstaged
