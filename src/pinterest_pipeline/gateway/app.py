"""The gateway as an application: both halves of the API, behind a stage or not, one answer per error."""

import re
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
from pinterest_pipeline.errors import PipelineError
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.gateway import responses
from pinterest_pipeline.gateway.error_codes import NOT_FOUND, WRONG_METHOD, Fault
from pinterest_pipeline.gateway.exchange import fault_of, respond
from pinterest_pipeline.gateway.kafka_v2 import KafkaRoutes
from pinterest_pipeline.gateway.kinesis_routes import KinesisRoutes

DEFAULT_SHARDS: Final = LogSettings().shards
_STAGE: Final = re.compile(r"/(?!(?:topics|streams|health)(?:/|$))[a-z0-9]+(?=/)")


def create_app(
    settings: GatewaySettings, topics: EventLog, streams: EventLog, default_shards: int = DEFAULT_SHARDS
) -> Starlette:
    """The application over the two logs; it closes neither. A stream is created with `default_shards`."""

    async def health(_: Request) -> Response:
        for log in (topics, streams):
            await run_in_threadpool(log.topics)
        return respond(responses.kinesis({"status": "ok"}))

    return Starlette(
        routes=[
            Route("/health", health, methods=["GET"]),
            *KafkaRoutes(settings, topics).routes,
            *KinesisRoutes(settings, streams, default_shards).routes,
        ],
        middleware=[Middleware(_StageOff)],
        exception_handlers={HTTPException: _no_route, PipelineError: _failed, Exception: _failed},
    )


def _without_stage(path: str) -> str:
    stage = _STAGE.match(path)
    return path[stage.end() :] if stage else path


class _StageOff:
    """Takes the stage of API Gateway (`/dev`, `/test`, `/prod` and the like) off the path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": _without_stage(scope["path"])}
        await self._app(scope, receive, send)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = WRONG_METHOD if error.status_code == WRONG_METHOD.status else NOT_FOUND
    response = _answer(request, Fault(kind, f"{request.method} {request.url.path[:200]}: {kind.when}"))
    response.headers.update(error.headers or {})
    return response


async def _failed(request: Request, error: Exception) -> Response:
    """Any error of ours; the server logs those that are not PipelineErrors."""
    return _answer(request, fault_of(error))


def _answer(request: Request, fault: Fault) -> Response:
    of_kinesis = _without_stage(request.scope["path"]).startswith("/streams")
    return respond(responses.kinesis_fault(fault) if of_kinesis else responses.kafka_fault(fault))
