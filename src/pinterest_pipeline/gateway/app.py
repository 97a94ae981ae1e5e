"""The gateway as an application: every operation behind a stage or not, one answer for each error."""

import re
from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pinterest_pipeline.config import GatewaySettings, LogSettings
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.gateway import service
from pinterest_pipeline.gateway.error_codes import NOT_FOUND, WRONG_METHOD, Fault
from pinterest_pipeline.gateway.exchange import Endpoint, answered, fault_of, respond
from pinterest_pipeline.gateway.kafka_v2 import KafkaV2
from pinterest_pipeline.gateway.kinesis_routes import KinesisProxy
from pinterest_pipeline.gateway.operations import Api, Operation
from pinterest_pipeline.gateway.v3 import v3_operations

DEFAULT_SHARDS: Final = LogSettings().shards


def create_app(
    settings: GatewaySettings, topics: EventLog, streams: EventLog, default_shards: int = DEFAULT_SHARDS
) -> Starlette:
    """The application over the two logs; it closes neither. A stream is created with `default_shards`."""
    operations = service.described(
        [
            *KafkaV2(settings, topics).operations(),
            *KinesisProxy(settings, streams, default_shards).operations(),
            *v3_operations(settings, topics),
            service.health((topics, streams)),
        ]
    )
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
        routes=_routes(operations),
        middleware=[Middleware(unstaged.middleware)],
        exception_handlers={HTTPException: no_route, Exception: failed},
    )


class _Resource:
    """Everything at one path: the operation of each method."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._endpoints = {operation.method: Endpoint(operation) for operation in operations}
        if "GET" in self._endpoints:
            self._endpoints.setdefault("HEAD", self._endpoints["GET"])  # the server leaves out the body
        self._allow = ", ".join(sorted([*self._endpoints, "OPTIONS"]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["method"])
        if endpoint is not None:
            await endpoint(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await Response(status_code=204, headers={"Allow": self._allow})(scope, receive, send)
        else:
            raise HTTPException(WRONG_METHOD.status, headers={"Allow": self._allow})


def _routes(operations: Sequence[Operation]) -> list[Route]:
    """One route for each path, in the order of the operations: the first that fits is taken."""
    paths: dict[str, list[Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, []).append(operation)
    return [Route(path, _Resource(found)) for path, found in paths.items()]


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
