"""Confluent's REST proxy v2: consumer instances, and all that is done with them."""

from typing import Any, Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.eventlog.base import EventLog, Part
from pinterest_pipeline.gateway import consumer_shapes as shapes
from pinterest_pipeline.gateway import error_codes, media, responses
from pinterest_pipeline.gateway.address import own_address
from pinterest_pipeline.gateway.consumer_file import Instance
from pinterest_pipeline.gateway.consumer_instances import Consumers
from pinterest_pipeline.gateway.consumer_records import ConsumerRecords
from pinterest_pipeline.gateway.consumer_requests import ANSWERS, Work, in_turn, settings_body
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.error_codes import MISSING_VALUE, Fault, Kind
from pinterest_pipeline.gateway.kafka_v2 import negotiated
from pinterest_pipeline.gateway.operations import Access, Body, Handler, Operation, Parameter
from pinterest_pipeline.gateway.responses import KAFKA_MEDIA, Answer

_GROUP: Final = "/consumers/{group}"
_ONE: Final = f"{_GROUP}/instances/{{instance}}"
_NOTHING: Final = Answer(b"", KAFKA_MEDIA, 204)
_BODY: Final = tuple(name for name in media.SETTINGS if name)

_TIMEOUT: Final = Parameter("timeout", "query", int, "Longest wait for records, in milliseconds")
_MAX_BYTES: Final = Parameter(
    "max_bytes", "query", int, "Most bytes of keys and values; one record always comes"
)
_REPEAT: Final = Parameter(
    "Idempotency-Key", "header", str, "A key of this request: sent again with it, it gets the same records"
)
_ASYNC: Final = Parameter(
    "async", "query", str, "Taken and left alone: a commit is always answered once it is kept"
)
_PARTITIONS: Final = Parameter(
    "partitions", "query", str, "Instead of a body: topic:0,topic:1, for clients that cannot send one"
)

_ANY: Final = (
    error_codes.UNKNOWN_CONSUMER,
    error_codes.ILLEGAL_STATE,
    error_codes.FORBIDDEN,
    error_codes.NOT_ACCEPTABLE,
    error_codes.MEDIA_TYPE,
    error_codes.TOO_LARGE,
    error_codes.NOT_JSON,
    error_codes.MISSING_VALUE,
)
_OF_PARTITIONS: Final = (error_codes.UNKNOWN_TOPIC, error_codes.UNKNOWN_PARTITION)


class ConsumerOperations:
    """The operations over the instances of one store. Errors of log and store are left to the endpoint."""

    def __init__(self, settings: GatewaySettings, log: EventLog, store: ConsumerStore) -> None:
        self._settings = settings
        self._store = store
        self._consumers = Consumers(log, store)
        self._records = ConsumerRecords(settings, log, store, self._consumers)

    def operations(self) -> list[Operation]:
        return [*self._life(), *self._reading(), *self._positions()]

    def _life(self) -> list[Operation]:
        create = _operation(
            "create_consumer",
            "POST",
            _GROUP,
            negotiated(self._create, ANSWERS),
            "Make a consumer instance in a group",
            body=Body(shapes.CreateConsumer, _BODY, required=False),
            answer=shapes.CreatedConsumer,
            faults=(error_codes.INVALID_CONSUMER, error_codes.CONSUMER_EXISTS),
        )
        return [
            create,
            self._operation("delete_consumer", "DELETE", "", self._delete, "Remove the instance"),
            self._operation(
                "subscribe",
                "POST",
                "/subscription",
                self._subscribe,
                "Read topics, sharing their partitions with the group",
                body=Body(shapes.Subscribe, _BODY),
                faults=(error_codes.INVALID_NAME,),
            ),
            self._operation(
                "get_subscription",
                "GET",
                "/subscription",
                self._subscription,
                "The topics it is subscribed to",
                answer=shapes.Subscribed,
            ),
            self._operation(
                "unsubscribe", "DELETE", "/subscription", self._unsubscribe, "Read nothing any more"
            ),
        ]

    def _reading(self) -> list[Operation]:
        records = _operation(
            "consume_records",
            "GET",
            f"{_ONE}/records",
            self._records,
            "The records that follow, waiting for the first of them",
            answer=list[shapes.JsonRecord],
            faults=(*_OF_PARTITIONS, error_codes.FORMAT_MISMATCH, error_codes.UNREADABLE_RECORD),
            parameters=(_TIMEOUT, _MAX_BYTES, _REPEAT),
        )
        return [
            records,
            self._operation(
                "assign",
                "POST",
                "/assignments",
                self._assign,
                "Read these partitions, shared with nobody",
                body=Body(shapes.Partitions, _BODY),
                faults=_OF_PARTITIONS,
            ),
            self._operation(
                "get_assignments",
                "GET",
                "/assignments",
                self._assignments,
                "The partitions it reads",
                answer=shapes.Partitions,
            ),
        ]

    def _positions(self) -> list[Operation]:
        return [self._commit_operation(), self._committed_operation(), *self._seek_operations()]

    def _commit_operation(self) -> Operation:
        return self._operation(
            "commit_offsets",
            "POST",
            "/offsets",
            self._commit,
            "Keep the group's positions behind these offsets, or without a body behind all delivered",
            body=Body(shapes.Offsets | None, _BODY, required=False),
            answer=list[Any],
            faults=_OF_PARTITIONS,
            parameters=(_ASYNC,),
        )

    def _committed_operation(self) -> Operation:
        return self._operation(
            "get_offsets",
            "GET",
            "/offsets",
            self._committed,
            "The group's positions",
            body=Body(shapes.Partitions, _BODY, required=False),
            answer=shapes.CommittedOffsets,
            faults=_OF_PARTITIONS,
            parameters=(_PARTITIONS,),
        )

    def _seek_operations(self) -> list[Operation]:
        beginning, end = "Read partitions from their beginning", "Read only what comes from now on"
        where, some = Body(shapes.Seek, _BODY), Body(shapes.Partitions, _BODY)
        return [
            self._seek_operation("seek", "", self._seek, "Read on at offsets or times", where),
            self._seek_operation("seek_to_beginning", "/beginning", self._seek_to_beginning, beginning, some),
            self._seek_operation("seek_to_end", "/end", self._seek_to_end, end, some),
        ]

    def _seek_operation(self, id: str, path: str, work: Work, says: str, body: Body) -> Operation:  # noqa: A002
        return self._operation(id, "POST", f"/positions{path}", work, says, body=body, faults=_OF_PARTITIONS)

    def _operation(self, id: str, method: str, path: str, work: Work, says: str, **more: Any) -> Operation:  # noqa: A002
        handler = in_turn(self._store, self._settings, work)
        return _operation(id, method, f"{_ONE}{path}", handler, says, **more)

    # The work

    async def _create(self, request: Request) -> Answer | Fault:
        group = request.path_params["group"]
        body = shapes.name_fault("a group", group) or await settings_body(request, self._settings)
        new = body if isinstance(body, Fault) else shapes.created(body)
        if isinstance(new, Fault):
            return new
        name, settings = new
        await run_in_threadpool(self._consumers.create, group, name, settings)
        path = f"/consumers/{quote(group, safe='')}/instances/{quote(name, safe='')}"
        return responses.kafka(shapes.CreatedConsumer(name, own_address(request, self._settings) + path))

    def _delete(self, instance: Instance, _: bytes, __: Request) -> Answer:
        self._consumers.remove(instance)
        return _NOTHING

    def _subscribe(self, instance: Instance, body: bytes, _: Request) -> Answer | Fault:
        subscription = shapes.subscription(body)
        if isinstance(subscription, Fault):
            return subscription
        try:
            self._consumers.subscribe(instance, subscription)
        except BadInput as error:
            return Fault(MISSING_VALUE, str(error))
        return _NOTHING

    def _subscription(self, instance: Instance, _: bytes, __: Request) -> Answer:
        return responses.kafka(shapes.Subscribed(self._consumers.subscribed(instance)))

    def _unsubscribe(self, instance: Instance, _: bytes, __: Request) -> Answer:
        self._consumers.unsubscribe(instance)
        return _NOTHING

    def _assign(self, instance: Instance, body: bytes, _: Request) -> Answer | Fault:
        parts = shapes.partitions(body)
        if isinstance(parts, Fault):
            return parts
        self._consumers.assign(instance, parts)
        return _NOTHING

    def _assignments(self, instance: Instance, _: bytes, __: Request) -> Answer:
        held = self._consumers.held(instance)
        parts = [shapes.TopicAndPartition(holding.topic, holding.partition) for holding in held]
        return responses.kafka(shapes.Partitions(parts))

    def _commit(self, instance: Instance, body: bytes, _: Request) -> Answer | Fault:
        offsets = shapes.offsets(body)
        if isinstance(offsets, Fault):
            return offsets
        self._consumers.commit(instance, offsets)
        return responses.kafka([])

    def _committed(self, instance: Instance, body: bytes, request: Request) -> Answer | Fault:
        query = request.query_params.getlist("partitions")
        if not body and not query:
            return Fault(MISSING_VALUE, "name the partitions: ?partitions=topic:0,topic:1, or in a body")
        parts = shapes.partitions(body) if body else shapes.partitions_of_query(query)
        if isinstance(parts, Fault):
            return parts
        return responses.kafka(shapes.CommittedOffsets(self._consumers.committed(instance, parts)))

    def _seek(self, instance: Instance, body: bytes, _: Request) -> Answer | Fault:
        seek = shapes.seek(body)
        if isinstance(seek, Fault):
            return seek
        positions: dict[Part, int] = {(entry.topic, entry.partition): entry.offset for entry in seek.offsets}
        self._consumers.seek(instance, positions | self._consumers.at_times(instance, seek.timestamps))
        return _NOTHING

    def _seek_to_beginning(self, instance: Instance, body: bytes, _: Request) -> Answer | Fault:
        return self._seek_to_edge(instance, body, end=False)

    def _seek_to_end(self, instance: Instance, body: bytes, _: Request) -> Answer | Fault:
        return self._seek_to_edge(instance, body, end=True)

    def _seek_to_edge(self, instance: Instance, body: bytes, *, end: bool) -> Answer | Fault:
        parts = shapes.partitions(body)
        if isinstance(parts, Fault):
            return parts
        self._consumers.seek(instance, self._consumers.edges(instance, parts, end=end))
        return _NOTHING


def _operation(
    id: str,  # noqa: A002
    method: str,
    path: str,
    handler: Handler,
    says: str,
    *,
    body: Body | None = None,
    answer: Any = None,
    faults: tuple[Kind, ...] = (),
    parameters: tuple[Parameter, ...] = (),
) -> Operation:
    return Operation(
        id=id,
        api="kafka_v2",
        method=method,
        path=path,
        handler=handler,
        says=says,
        access=Access("read", "group", "group"),
        answers={204: None} if answer is None else {200: answer},
        media=KAFKA_MEDIA,
        other_media=ANSWERS[1:],
        body=body,
        parameters=parameters,
        faults=(*_ANY, *faults),
    )
