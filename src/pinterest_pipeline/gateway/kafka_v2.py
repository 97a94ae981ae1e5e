"""Confluent's REST proxy v2: produce, and what is known of topics."""

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.gateway import error_codes, requests, responses
from pinterest_pipeline.gateway.access import visible
from pinterest_pipeline.gateway.error_codes import Fault
from pinterest_pipeline.gateway.exchange import append, media_fault, read_body
from pinterest_pipeline.gateway.operations import (
    IDEMPOTENCY_KEY,
    TRACEPARENT,
    Access,
    Body,
    Operation,
)
from pinterest_pipeline.gateway.repeats import echoed, once, trace_headers
from pinterest_pipeline.gateway.responses import KAFKA_MEDIA, Answer

_JSON: Final = "application/vnd.kafka.json.v2+json"


class KafkaV2:
    """The operations over one log. Errors of the log are left to the endpoint."""

    def __init__(self, settings: GatewaySettings, log: EventLog) -> None:
        self._settings = settings
        self._log = log

    def operations(self) -> list[Operation]:
        return [
            Operation(
                id="produce",
                api="kafka_v2",
                method="POST",
                path="/topics/{topic}",
                handler=self._produce,
                says="Append records to a topic; answers once they are durable",
                access=Access("write", "topic", "topic"),
                body=Body(requests.Produce, (_JSON,)),
                answers={200: responses.Produced},
                media=KAFKA_MEDIA,
                parameters=(IDEMPOTENCY_KEY, TRACEPARENT),
                faults=(
                    error_codes.INVALID_NAME,
                    error_codes.UNKNOWN_TOPIC,
                    error_codes.MEDIA_TYPE,
                    error_codes.MISSING_VALUE,
                    error_codes.NOT_JSON,
                    error_codes.TOO_LARGE,
                    error_codes.RECORD_TOO_LARGE,
                    error_codes.KEY_REUSED,
                    error_codes.KEY_IN_FLIGHT,
                ),
            ),
            Operation(
                id="list_topics",
                api="kafka_v2",
                method="GET",
                path="/topics",
                handler=self._list,
                says="The names of all topics",
                access=Access("describe", "topic"),
                answers={200: list[str]},
                media=KAFKA_MEDIA,
            ),
            Operation(
                id="get_topic",
                api="kafka_v2",
                method="GET",
                path="/topics/{topic}",
                handler=self._describe,
                says="One topic, its settings and its partitions",
                access=Access("describe", "topic", "topic"),
                answers={200: responses.Topic},
                media=KAFKA_MEDIA,
                faults=(error_codes.UNKNOWN_TOPIC,),
            ),
        ]

    async def _list(self, request: Request) -> Answer:
        return responses.kafka(visible(request, "topic", await run_in_threadpool(self._log.topics)))

    async def _describe(self, request: Request) -> Answer:
        name = request.path_params["topic"]
        return responses.topic(await run_in_threadpool(self._log.describe, name))

    async def _produce(self, request: Request) -> Answer | Fault:
        topic = request.path_params["topic"]
        fault = media_fault(request, frozenset({_JSON}), _JSON) or requests.topic_fault(topic)
        body = fault or await read_body(request, self._settings.max_body_bytes)
        if isinstance(body, Fault):
            return body
        records = requests.produced(body, self._settings.max_records, trace_headers(request))
        outcomes = await append(self._log, topic, records, once(request, body))
        return outcomes if isinstance(outcomes, Fault) else echoed(request, responses.produced(outcomes))
