"""Kinesis' own API, as boto3 and the SDKs of AWS speak it: `POST /` with the operation in `X-Amz-Target`.

Shapes, bounds and errors are those of AWS' service model of 2013-12-02; docs/reference/kinesis-api.md lists
what differs.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import BadInput, PipelineError, TopicExists, UnknownPartition, UnknownTopic
from pinterest_pipeline.eventlog.sequence import ACCOUNT
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.streams import Stream
from pinterest_pipeline.gateway import cbor, error_codes, kinesis_answers
from pinterest_pipeline.gateway import kinesis_requests as asked
from pinterest_pipeline.gateway.access import denied, visible
from pinterest_pipeline.gateway.error_codes import EXISTS, INVALID_ARGUMENT, UNKNOWN_TOPIC, Fault
from pinterest_pipeline.gateway.exchange import fault_of, read_body
from pinterest_pipeline.gateway.kinesis_records import RecordActions
from pinterest_pipeline.gateway.kinesis_streams import StreamActions
from pinterest_pipeline.gateway.media import content_fault, content_type
from pinterest_pipeline.gateway.operations import Access, Body, Handler, Operation, Verb
from pinterest_pipeline.gateway.page_tokens import Page, current_page, page_of, token
from pinterest_pipeline.gateway.responses import (
    KINESIS_CBOR_MEDIA,
    KINESIS_WIRE_MEDIA,
    Answer,
    kinesis_wire,
)
from pinterest_pipeline.gateway.shard_reading import place_of

_TARGET: Final = "Kinesis_20131202."
_LISTED_STREAMS: Final = 100
_SMALL_BYTES: Final = 2**20
"""The largest request without data that AWS' bounds allow, 200 tags all of whose characters are escaped, is
smaller. A decoder makes everything first and counts it then: ten megabytes of tags would take a second."""

_WITH_DATA: Final = (asked.PutRecord, asked.PutRecords)

Done: TypeAlias = Any
"""A Fault, a body to answer with, such a body Counted, or None for an answer without one."""


_Read: TypeAlias = Callable[[bytes, str], Any]
"""What a body of a media type says, or the Fault that is wrong with it."""

_MEDIA: Final = (KINESIS_WIRE_MEDIA, KINESIS_CBOR_MEDIA)


class _Action(NamedTuple):
    """One operation: what a caller must be allowed, what it reads, who does it, what stream it is about."""

    verb: Verb
    type: Any
    run: Callable[[Any, str], Done | Awaitable[Done]]
    of: Callable[[Any], str | Fault | None] = asked.stream_of


class KinesisWire:
    """The operations over one log."""

    def __init__(self, settings: GatewaySettings, log: SqliteStreamLog) -> None:
        self._settings = settings
        self._log = log
        streams, records = StreamActions(log), RecordActions(log)
        self._actions: dict[str, _Action] = {
            "AddTagsToStream": _Action("create", asked.AddTags, streams.add_tags),
            "CreateStream": _Action("create", asked.CreateStream, streams.create, _created),
            "DecreaseStreamRetentionPeriod": _Action("create", asked.RetentionPeriod, streams.decrease),
            "DeleteStream": _Action("delete", asked.DeleteStream, streams.delete),
            "DescribeLimits": _Action("describe", asked.Nothing, streams.limits, _none),
            "DescribeStream": _Action("describe", asked.DescribeStream, streams.describe),
            "DescribeStreamSummary": _Action("describe", asked.OfStream, streams.summary),
            "GetRecords": _Action("read", asked.GetRecords, records.get_records, _read),
            "GetShardIterator": _Action("read", asked.GetShardIterator, records.get_iterator),
            "IncreaseStreamRetentionPeriod": _Action("create", asked.RetentionPeriod, streams.increase),
            "ListShards": _Action("describe", asked.ListShards, streams.list_shards, _listed),
            "ListTagsForStream": _Action("describe", asked.ListTags, streams.list_tags),
            "MergeShards": _Action("create", asked.MergeShards, streams.merge),
            "PutRecord": _Action("write", asked.PutRecord, records.put_record),
            "PutRecords": _Action("write", asked.PutRecords, records.put_records),
            "RemoveTagsFromStream": _Action("create", asked.RemoveTags, streams.remove_tags),
            "SplitShard": _Action("create", asked.SplitShard, streams.split),
            "UpdateShardCount": _Action("create", asked.UpdateShardCount, streams.update_count),
        }

    def operations(self) -> list[Operation]:
        return [
            _operation("ListStreams", "describe", asked.ListStreams, self._list_streams),
            *(
                _operation(name, action.verb, action.type, self._handler(action))
                for name, action in self._actions.items()
            ),
        ]

    def _handler(self, action: _Action) -> Handler:
        read, most = _reader(action.type), self._settings.max_body_bytes
        if action.type not in _WITH_DATA:
            most = min(most, _SMALL_BYTES)

        async def handle(request: Request) -> Answer | Fault:
            body = await self._body(request, read, most)
            name = body if isinstance(body, Fault) else action.of(body)
            if isinstance(name, Fault):
                return name
            if getattr(body, "dry_run", None):
                return Fault(INVALID_ARGUMENT, "DryRun is not known here: the request would be done.")
            fault = None if name is None else denied(request, action.verb, "stream", name)
            return fault or await _done(action.run, body, name or "", content_type(request))

        return handle

    async def _body(self, request: Request, read: "_Read", most: int = _SMALL_BYTES) -> Any:
        """The request in the body, or what is wrong with it."""
        kind = content_type(request)
        body = content_fault(kind, _MEDIA) or await read_body(request, most)
        return body if isinstance(body, Fault) else read(body, kind)

    async def _list_streams(self, request: Request) -> Answer | Fault:
        body = await self._body(request, _reader(asked.ListStreams))
        if isinstance(body, Fault):
            return body
        return await _done(lambda body, _: self._listed(request, body), body, "", content_type(request))

    def _listed(self, request: Request, body: asked.ListStreams) -> Done:
        """The streams that the caller may see, in the order of their names."""
        after, now = body.exclusive_start_stream_name or "", self._log.now()
        if body.next_token is not None:
            page = current_page(body.next_token, now, of_shards=False)
            if isinstance(page, Fault):
                return page
            after = page.after
        names = [name for name in visible(request, "stream", self._log.topics()) if name > after]
        most = body.limit or _LISTED_STREAMS
        found = [stream for name in names[:most] if (stream := self._known(name)) is not None]
        following = token(Page(now, names[most - 1])) if len(names) > most else msgspec.UNSET
        return kinesis_answers.listed(found, following)

    def _known(self, name: str) -> Stream | None:
        try:
            return self._log.stream(name)
        except UnknownTopic:  # deleted meanwhile
            return None


def _reader(type_: Any) -> _Read:
    decoder = msgspec.json.Decoder(type_)

    def read(body: bytes, media: str) -> Any:
        if media == KINESIS_CBOR_MEDIA:
            return asked.decoded(lambda body: cbor.decode(type_, body), body, "CBOR")
        return asked.decoded(decoder.decode, body or b"{}", "JSON")

    return read


def _operation(name: str, verb: Verb, body: Any, handler: Handler) -> Operation:
    return Operation(
        id=f"kinesis_{name}",
        api="kinesis_wire",
        method="POST",
        path="/",
        handler=handler,
        says=name,
        access=Access(verb, "stream"),
        answers={},
        media=KINESIS_WIRE_MEDIA,
        body=Body(body, (KINESIS_WIRE_MEDIA, KINESIS_CBOR_MEDIA)),
        target=_TARGET + name,
    )


def _created(request: asked.CreateStream) -> str:
    return request.stream_name


def _none(_: Any) -> None:
    """An operation that is about no stream."""


def _read(request: asked.GetRecords) -> str | Fault:
    place = place_of(request.shard_iterator)
    return place if isinstance(place, Fault) else place.stream


def _listed(request: asked.ListShards) -> str | Fault:
    if request.next_token is None:
        return asked.stream_of(request)
    if request.stream_name is not None or request.stream_arn is not None:
        return Fault(INVALID_ARGUMENT, "NextToken and StreamName cannot be provided together.")
    page = page_of(request.next_token, of_shards=True)
    return page if isinstance(page, Fault) else page.stream


async def _done(
    run: Callable[[Any, str], Done | Awaitable[Done]], body: Any, name: str, media: str
) -> Answer | Fault:
    """What an action comes to in this form, its errors in the words of AWS."""
    try:
        if inspect.iscoroutinefunction(run):
            done = await run(body, name)
        else:
            done = await run_in_threadpool(run, body, name)
    except PipelineError as error:
        return _fault(error)
    if isinstance(done, Fault):
        return done
    content, records = done if isinstance(done, kinesis_answers.Counted) else (done, 0)
    return kinesis_wire(content, media, records)


def _fault(error: PipelineError) -> Fault:
    if isinstance(error, UnknownTopic):
        return Fault(UNKNOWN_TOPIC, f"Stream {error.name} under account {ACCOUNT} not found.")
    if isinstance(error, TopicExists):
        return Fault(EXISTS, f"Stream {error.name} under account {ACCOUNT} already exists.")
    if isinstance(error, UnknownPartition):
        return Fault(error_codes.UNKNOWN_PARTITION, error.problem + ".")
    if isinstance(error, BadInput):
        return Fault(INVALID_ARGUMENT, error.problem + ".")
    return fault_of(error)
