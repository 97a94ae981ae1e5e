"""The Kinesis half: what API Gateway puts before Kinesis Data Streams, with the shapes of AWS."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import BadInput, UnknownTopic
from pinterest_pipeline.eventlog.base import Headers, Receipt, Record, Refusal
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.stream_log import StreamLog
from pinterest_pipeline.eventlog.streams import Stream
from pinterest_pipeline.gateway import encodings, error_codes, kinesis_answers, requests
from pinterest_pipeline.gateway.access import visible
from pinterest_pipeline.gateway.completions import completed
from pinterest_pipeline.gateway.error_codes import (
    EXPIRED_ITERATOR,
    INVALID_ITERATOR,
    MEDIA_TYPE,
    MISSING_VALUE,
    THROTTLED,
    TOO_LARGE,
    UNKNOWN_PARTITION,
    Fault,
    Kind,
)
from pinterest_pipeline.gateway.exchange import append, fault_of, read_body
from pinterest_pipeline.gateway.media import content_fault, content_type
from pinterest_pipeline.gateway.operations import (
    IDEMPOTENCY_KEY,
    TRACEPARENT,
    Access,
    Body,
    Handler,
    Operation,
    Parameter,
    Verb,
)
from pinterest_pipeline.gateway.repeats import echoed, once, trace_headers
from pinterest_pipeline.gateway.responses import KINESIS_MEDIA, Answer, Streamed, kinesis, kinesis_fault
from pinterest_pipeline.gateway.shard_reading import ShardReader, place_of, shard_named

_JSON: Final = "application/json"
_MEDIA: Final = ("", _JSON, "application/x-amz-json-1.1")


_ONE: Final = "/{stream}"
_SHARD: Final = Parameter(
    "shard-id",
    "query",
    Annotated[str, msgspec.Meta(extra_json_schema={"pattern": "^shardId-[0-9]{12}$"})],
    "The shard, as `shardId-000000000000`",
    required=True,
)
_ITERATOR: Final = Parameter(
    "Shard-Iterator",
    "header",
    str,
    "A place in a shard, as GetShardIterator or GetRecords gave it",
    required=True,
)


def _on(verb: Verb) -> Access:
    return Access(verb, "stream", "stream")


def _operation(
    id: str,  # noqa: A002
    method: str,
    path: str,
    handler: Handler,
    says: str,
    access: Access,
    answer: type,
    faults: tuple[Kind, ...] = (),
    body: Body | None = None,
    parameters: tuple[Parameter, ...] = (),
) -> Operation:
    return Operation(
        id=id,
        api="kinesis",
        method=method,
        path=f"/streams{path}",
        handler=handler,
        says=says,
        access=access,
        answers={200: answer},
        media=KINESIS_MEDIA,
        body=body,
        parameters=parameters,
        faults=faults,
    )


def _always_200(handler: Handler) -> Handler:
    """As AWS' tutorial maps the answers of Kinesis: an error is told by its body alone.

    What API Gateway itself refuses keeps its status: a body it does not read, a key it does not know.
    """

    async def handle(request: Request) -> Answer | Streamed | Fault:
        try:
            outcome = await handler(request)
        except Exception as error:  # as the endpoint does, which would not answer 200
            outcome = fault_of(error)
        if isinstance(outcome, Fault) and outcome.kind not in (MEDIA_TYPE, TOO_LARGE):
            return replace(kinesis_fault(outcome), status=200)
        return outcome

    return handle


class KinesisProxy:
    """The operations over one log. Errors of the log are left to the endpoint."""

    def __init__(self, settings: GatewaySettings, log: StreamLog, default_shards: int) -> None:
        self._settings = settings
        self._log = log
        self._reader = ShardReader(log)
        self._default_shards = default_shards

    def operations(self) -> list[Operation]:
        operations = self._operations()
        if self._settings.stream_statuses == "real":
            return operations
        return [
            replace(one, handler=_always_200(one.handler), answers={200: dict[str, Any]})
            for one in operations
        ]

    def _operations(self) -> list[Operation]:
        put, puts = requests.PutRecord, requests.PutRecords
        return [
            self._put_operation("put_record", "record", self._put_record, put, kinesis_answers.RecordPut),
            self._put_operation(
                "put_records", "records", self._put_records, puts, kinesis_answers.RecordsPut
            ),
            *self._administration(),
            _operation(
                "get_records",
                "GET",
                f"{_ONE}/records",
                self._get_records,
                "GetRecords",
                _on("read"),
                kinesis_answers.Records,
                (MISSING_VALUE, INVALID_ITERATOR, EXPIRED_ITERATOR, THROTTLED, error_codes.UNKNOWN_TOPIC),
                parameters=(_ITERATOR,),
            ),
            _operation(
                "get_shard_iterator",
                "GET",
                f"{_ONE}/sharditerator",
                self._get_iterator,
                "GetShardIterator, at the oldest record",
                _on("read"),
                kinesis_answers.ShardIterator,
                (MISSING_VALUE, UNKNOWN_PARTITION, error_codes.UNKNOWN_TOPIC),
                parameters=(_SHARD,),
            ),
        ]

    def _administration(self) -> list[Operation]:
        return [
            _operation(
                "list_streams",
                "GET",
                "",
                self._list,
                "ListStreams",
                Access("describe", "stream"),
                kinesis_answers.Streams,
            ),
            _operation(
                "describe_stream",
                "GET",
                _ONE,
                self._describe,
                "DescribeStream",
                _on("describe"),
                kinesis_answers.DescribedStream,
                (error_codes.UNKNOWN_TOPIC,),
            ),
            _operation(
                "create_stream",
                "POST",
                _ONE,
                self._create,
                "CreateStream",
                _on("create"),
                kinesis_answers.Nothing,
                (*error_codes.OF_BODY, error_codes.INVALID_NAME, error_codes.EXISTS),
                Body(requests.CreateStream, (_JSON,), required=False),
            ),
            _operation(
                "delete_stream",
                "DELETE",
                _ONE,
                self._delete,
                "DeleteStream",
                _on("delete"),
                kinesis_answers.Nothing,
                (error_codes.UNKNOWN_TOPIC,),
            ),
        ]

    def _put_operation(
        self,
        id: str,  # noqa: A002
        path: str,
        handler: Handler,
        body: type,
        answer: type,
    ) -> Operation:
        one = id == "put_record"
        return _operation(
            id,
            "PUT",
            f"{_ONE}/{path}",
            handler,
            f"{'PutRecord' if one else 'PutRecords'}; answers once they are durable",
            _on("write"),
            answer,
            (
                *error_codes.OF_BODY,
                *error_codes.OF_KEY,
                error_codes.INVALID_NAME,
                error_codes.UNKNOWN_TOPIC,
                *(error_codes.REFUSED.values() if one else ()),
            ),
            Body(body, (_JSON,)),
            (IDEMPOTENCY_KEY, TRACEPARENT),
        )

    async def _list(self, request: Request) -> Answer | Fault:
        return kinesis(await run_in_threadpool(self._listed, request))

    def _listed(self, request: Request) -> kinesis_answers.Streams:
        found: list[Stream] = []
        for name in visible(request, "stream", self._log.topics()):
            with contextlib.suppress(UnknownTopic):  # deleted meanwhile
                found.append(self._log.stream(name))
        return kinesis_answers.listed(found)

    async def _describe(self, request: Request) -> Answer | Fault:
        known = await run_in_threadpool(self._log.stream, request.path_params["stream"])
        return kinesis(kinesis_answers.stream(known, known.shards))

    async def _create(self, request: Request) -> Answer | Fault:
        name = request.path_params["stream"]
        body = requests.stream_fault(name) or await self._body(request)
        shards = body if isinstance(body, Fault) else requests.shard_count(body, self._default_shards)
        if isinstance(shards, Fault):
            return shards
        await run_in_threadpool(self._log.create, name, shards)
        return kinesis(kinesis_answers.Nothing())

    async def _delete(self, request: Request) -> Answer | Fault:
        await run_in_threadpool(self._log.delete, request.path_params["stream"])
        return kinesis(kinesis_answers.Nothing())

    async def _put_record(self, request: Request) -> Answer | Fault:
        return await self._put(
            request,
            requests.put_record,
            lambda outcomes, hint: kinesis_answers.record_put(outcomes[0], hint),
        )

    async def _put_records(self, request: Request) -> Answer | Fault:
        most = self._settings.max_records
        return await self._put(
            request,
            lambda body, headers: requests.put_records(body, most, headers),
            kinesis_answers.records_put,
        )

    async def _put(
        self,
        request: Request,
        parse: Callable[[bytes, Headers], list[Record] | Fault],
        answer: Callable[[Sequence[Receipt | Refusal], str | None], Answer | Fault],
    ) -> Answer | Fault:
        """Append what the body holds; answers once it is durable."""
        name = request.path_params["stream"]
        body = requests.stream_fault(name) or await self._body(request)
        if isinstance(body, Fault):
            return body
        records = parse(body, trace_headers(request))
        if isinstance(records, Fault):
            return records
        hint = encodings.hint(record.value for record in records)
        if not isinstance(self._log, SqliteStreamLog):  # Kinesis keeps no keys, so none is echoed
            unkept = await completed(self._log.append(name, records))
            return answer(unkept, hint)
        outcomes = await append(self._log, name, records, once(request, body))
        if isinstance(outcomes, Fault):
            return outcomes
        return echoed(request, answer(outcomes, hint))

    async def _body(self, request: Request) -> bytes | Fault:
        return content_fault(content_type(request), _MEDIA) or await read_body(
            request, self._settings.max_body_bytes
        )

    async def _get_iterator(self, request: Request) -> Answer | Fault:
        """An iterator at the oldest record of a shard (TRIM_HORIZON)."""
        name, shard = request.path_params["stream"], request.query_params.get("shard-id")
        return await run_in_threadpool(self._oldest, name, shard)

    def _oldest(self, name: str, shard: str | None) -> Answer | Fault:
        if not shard:
            return Fault(MISSING_VALUE, "the query parameter shard-id is missing")
        stream = self._log.stream(name)
        try:
            found = shard_named(stream, shard)
        except BadInput:
            return Fault(UNKNOWN_PARTITION, f"the stream '{name}' has no shard '{shard[:100]}'")
        return kinesis(kinesis_answers.ShardIterator(self._reader.iterator(stream, found, found.beginning)))

    async def _get_records(self, request: Request) -> Answer | Fault:
        name, token = request.path_params["stream"], request.headers.get("shard-iterator")
        return await run_in_threadpool(self._read, name, token)

    def _read(self, name: str, token: str | None) -> Answer | Fault:
        if not token:
            return Fault(MISSING_VALUE, "the header Shard-Iterator is missing")
        place = place_of(token)
        if isinstance(place, Fault):
            return place
        if place.stream != name:
            self._log.stream(name)  # one that is not there says so first
            return Fault(INVALID_ITERATOR, "the shard iterator is of another stream")
        found = self._reader.records(place)
        return found if isinstance(found, Fault) else kinesis(found[0], records=found[1])
