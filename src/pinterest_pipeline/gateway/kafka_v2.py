"""Confluent's REST proxy v2: append records to a topic or to one of its partitions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.base import EventLog, Record
from pinterest_pipeline.gateway import error_codes, media, requests, responses
from pinterest_pipeline.gateway.error_codes import UNKNOWN_PARTITION, Fault
from pinterest_pipeline.gateway.exchange import append, read_body
from pinterest_pipeline.gateway.operations import (
    IDEMPOTENCY_KEY,
    PUBLIC,
    TRACEPARENT,
    Access,
    Body,
    Handler,
    Operation,
)
from pinterest_pipeline.gateway.repeats import echoed, once, trace_headers
from pinterest_pipeline.gateway.responses import KAFKA_MEDIA, Answer, Streamed

_FAULTS: Final = (
    error_codes.INVALID_NAME,
    error_codes.FORBIDDEN,
    error_codes.UNKNOWN_TOPIC,
    error_codes.NOT_ACCEPTABLE,
    error_codes.MEDIA_TYPE,
    error_codes.MISSING_VALUE,
    error_codes.NOT_JSON,
    error_codes.TOO_LARGE,
    error_codes.RECORD_TOO_LARGE,
    error_codes.THROTTLED,
    error_codes.NOT_ACKNOWLEDGED,
    error_codes.KEY_REUSED,
    error_codes.KEY_IN_FLIGHT,
)


def negotiated(handler: Handler, offered: Sequence[str] = media.ANSWERS) -> Handler:
    """The handler, for callers that take an answer of one of these media types."""

    async def checked(request: Request) -> Answer | Streamed | Fault:
        chosen = media.accepted(request, offered)
        if isinstance(chosen, Fault):
            return chosen
        answer = await handler(request)
        if isinstance(answer, Fault) or chosen == answer.media:
            return answer
        return replace(answer, media=chosen)

    return checked


class KafkaV2:
    """The operations over one log. Errors of the log are left to the endpoint."""

    def __init__(self, settings: GatewaySettings, log: EventLog) -> None:
        self._settings = settings
        self._log = log

    def operations(self) -> list[Operation]:
        to_topic = self._produce_operation(
            "produce", "/topics/{topic}", "Append records to a topic; answers once they are durable"
        )
        to_partition = self._produce_operation(
            "produce_to_partition",
            "/topics/{topic}/partitions/{partition}",
            "Append records to one partition; answers once they are durable",
        )
        return [
            to_topic,
            replace(to_partition, faults=(*_FAULTS, UNKNOWN_PARTITION)),
            _root("GET"),
            _root("POST"),
        ]

    def _produce_operation(self, id: str, path: str, says: str) -> Operation:  # noqa: A002
        return Operation(
            id=id,
            api="kafka_v2",
            method="POST",
            path=path,
            handler=negotiated(self._produce),
            says=says,
            access=Access("write", "topic", "topic"),
            body=Body(requests.Produce, media.PRODUCE, types={media.BINARY: requests.ProduceBinary}),
            answers={200: responses.Produced},
            media=KAFKA_MEDIA,
            other_media=media.ANSWERS[1:],
            parameters=(IDEMPOTENCY_KEY, TRACEPARENT),
            faults=_FAULTS,
        )

    async def _produce(self, request: Request) -> Answer | Fault:
        topic = request.path_params["topic"]
        kind = media.content_type(request)
        fault = media.content_fault(kind, media.PRODUCE) or requests.topic_fault(topic)
        body = fault or await read_body(request, self._settings.max_body_bytes)
        if isinstance(body, Fault):
            return body
        read = requests.produced_binary if kind == media.BINARY else requests.produced
        records = _placed(request, read(body, self._settings.max_records, trace_headers(request)))
        outcomes = await append(self._log, topic, records, once(request, body))
        if isinstance(outcomes, Fault):
            return outcomes
        whole = (UNKNOWN_PARTITION,) if "partition" in request.path_params else ()
        return echoed(request, responses.produced(outcomes, whole))


def _placed(request: Request, records: list[Record] | Fault) -> list[Record] | Fault:
    """The records, in the partition that the path names if it names one."""
    named = request.path_params.get("partition")
    if named is None or isinstance(records, Fault):
        return records
    partition = requests.partition_number(named)
    if partition is None:
        return Fault(UNKNOWN_PARTITION, f"'{named[:100]}' is not the number of a partition")
    return requests.to_partition(records, partition)


def _root(method: str) -> Operation:
    return Operation(
        id=f"{method.lower()}_root",
        api="kafka_v2",
        method=method,
        path="/",
        handler=negotiated(_nothing),
        says="An empty object: the API is here",
        access=PUBLIC,
        answers={200: dict[str, str]},
        media=KAFKA_MEDIA,
        other_media=media.ANSWERS[1:],
        faults=(error_codes.NOT_ACCEPTABLE,),
    )


async def _nothing(_: Request) -> Answer:
    return responses.kafka({})
