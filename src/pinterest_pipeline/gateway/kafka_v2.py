"""The Kafka half: POST /topics/{topic} and what is known of topics, as Confluent's REST proxy v2 answers."""

import asyncio
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.gateway import requests, responses
from pinterest_pipeline.gateway.error_codes import Fault
from pinterest_pipeline.gateway.exchange import media_fault, read_body, respond

_JSON: Final = "application/vnd.kafka.json.v2+json"


class KafkaRoutes:
    """The routes over one log. Errors of the log are left to the application."""

    def __init__(self, settings: GatewaySettings, log: EventLog) -> None:
        self._settings = settings
        self._log = log
        self.routes = [
            Route("/topics", self._list, methods=["GET"]),
            Route("/topics/{topic}", self._produce, methods=["POST"]),
            Route("/topics/{topic}", self._describe, methods=["GET"]),
        ]

    async def _list(self, _: Request) -> Response:
        return respond(responses.kafka(await run_in_threadpool(self._log.topics)))

    async def _describe(self, request: Request) -> Response:
        name = request.path_params["topic"]
        return respond(responses.topic(await run_in_threadpool(self._log.describe, name)))

    async def _produce(self, request: Request) -> Response:
        """Append the records of the body; answers once they are durable."""
        topic = request.path_params["topic"]
        fault = media_fault(request, frozenset({_JSON}), _JSON) or requests.topic_fault(topic)
        records = fault or await self._records(request)
        if isinstance(records, Fault):
            return respond(responses.kafka_fault(records))
        outcomes = await asyncio.wrap_future(self._log.append(topic, records))
        return respond(responses.produced(outcomes))

    async def _records(self, request: Request) -> list[Record] | Fault:
        body = await read_body(request, self._settings.max_body_bytes)
        return body if isinstance(body, Fault) else requests.produced(body, self._settings.max_records)
