"""The Kinesis half: the routes that API Gateway puts before Kinesis Data Streams, with the shapes of AWS."""

import asyncio
import base64
import binascii
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import BadInput, UnknownTopic
from pinterest_pipeline.eventlog.base import EventLog, Receipt, Record, Refusal, TopicDescription
from pinterest_pipeline.eventlog.sequence import partition_of
from pinterest_pipeline.gateway import requests, responses
from pinterest_pipeline.gateway.error_codes import INVALID_ITERATOR, MISSING_VALUE, UNKNOWN_PARTITION, Fault
from pinterest_pipeline.gateway.exchange import media_fault, read_body, respond
from pinterest_pipeline.gateway.responses import Answer

_JSON: Final = "application/json"
_MEDIA: Final = frozenset({"", _JSON, "application/x-amz-json-1.1"})
_MAX_READ: Final = 10_000


class _Iterator(NamedTuple):
    """What a shard iterator says; it fits only the stream that was created at that time."""

    stream: str
    created_ms: int
    shard: int
    offset: int


_iterators: Final = msgspec.json.Decoder(_Iterator)


def _token(iterator: _Iterator) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(iterator)).decode()


def _iterator(token: str) -> _Iterator | Fault:
    try:
        return _iterators.decode(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return Fault(INVALID_ITERATOR, "the Shard-Iterator is not one that was given here")


class KinesisRoutes:
    """The routes over one log. Errors of the log are left to the application."""

    def __init__(self, settings: GatewaySettings, log: EventLog, default_shards: int) -> None:
        self._settings = settings
        self._log = log
        self._default_shards = default_shards
        stream = "/streams/{stream}"
        self.routes = [
            Route("/streams", self._list, methods=["GET"]),
            Route(stream, self._describe, methods=["GET"]),
            Route(stream, self._create, methods=["POST"]),
            Route(stream, self._delete, methods=["DELETE"]),
            Route(stream + "/record", self._put_record, methods=["PUT"]),
            Route(stream + "/records", self._put_records, methods=["PUT"]),
            Route(stream + "/records", self._get_records, methods=["GET"]),
            Route(stream + "/sharditerator", self._get_iterator, methods=["GET"]),
        ]

    async def _list(self, _: Request) -> Response:
        return respond(responses.streams(await run_in_threadpool(self._descriptions)))

    def _descriptions(self) -> list[TopicDescription]:
        found: list[TopicDescription] = []
        for name in self._log.topics():
            with contextlib.suppress(UnknownTopic):  # deleted meanwhile
                found.append(self._log.describe(name))
        return found

    async def _describe(self, request: Request) -> Response:
        name = request.path_params["stream"]
        return respond(responses.stream(await run_in_threadpool(self._log.describe, name)))

    async def _create(self, request: Request) -> Response:
        name = request.path_params["stream"]
        body = requests.stream_fault(name) or await self._body(request)
        shards = body if isinstance(body, Fault) else requests.shard_count(body, self._default_shards)
        if isinstance(shards, Fault):
            return respond(responses.kinesis_fault(shards))
        await run_in_threadpool(self._log.create, name, shards)
        return respond(responses.kinesis({}))

    async def _delete(self, request: Request) -> Response:
        await run_in_threadpool(self._log.delete, request.path_params["stream"])
        return respond(responses.kinesis({}))

    async def _put_record(self, request: Request) -> Response:
        return await self._put(
            request, requests.put_record, lambda outcomes: responses.record_put(outcomes[0])
        )

    async def _put_records(self, request: Request) -> Response:
        most = self._settings.max_records
        return await self._put(request, lambda body: requests.put_records(body, most), responses.records_put)

    async def _put(
        self,
        request: Request,
        parse: Callable[[bytes], list[Record] | Fault],
        answer: Callable[[Sequence[Receipt | Refusal]], Answer],
    ) -> Response:
        """Append what the body holds; answers once it is durable."""
        name = request.path_params["stream"]
        body = requests.stream_fault(name) or await self._body(request)
        records = body if isinstance(body, Fault) else parse(body)
        if isinstance(records, Fault):
            return respond(responses.kinesis_fault(records))
        outcomes = await asyncio.wrap_future(self._log.append(name, records))
        return respond(answer(outcomes))

    async def _body(self, request: Request) -> bytes | Fault:
        return media_fault(request, _MEDIA, _JSON) or await read_body(request, self._settings.max_body_bytes)

    async def _get_iterator(self, request: Request) -> Response:
        """An iterator at the oldest record of a shard (TRIM_HORIZON)."""
        name, shard = request.path_params["stream"], request.query_params.get("shard-id")
        return respond(await run_in_threadpool(self._oldest, name, shard))

    def _oldest(self, name: str, shard: str | None) -> Answer:
        if not shard:
            return responses.kinesis_fault(Fault(MISSING_VALUE, "the query parameter shard-id is missing"))
        beginnings, created_ms = self._log.beginnings(name), self._log.describe(name).created_ms
        try:
            number = partition_of(shard)
            iterator = _Iterator(name, created_ms, number, beginnings[number])
        except (BadInput, KeyError):
            fault = Fault(UNKNOWN_PARTITION, f"the stream '{name}' has no shard '{shard[:100]}'")
            return responses.kinesis_fault(fault)
        return responses.kinesis({"ShardIterator": _token(iterator)})

    async def _get_records(self, request: Request) -> Response:
        name, token = request.path_params["stream"], request.headers.get("shard-iterator")
        return respond(await run_in_threadpool(self._read, name, token))

    def _read(self, name: str, token: str | None) -> Answer:
        if not token:
            return responses.kinesis_fault(Fault(MISSING_VALUE, "the header Shard-Iterator is missing"))
        iterator = _iterator(token)
        if isinstance(iterator, Fault):
            return responses.kinesis_fault(iterator)
        known = self._log.describe(name)
        if (iterator.stream, iterator.created_ms) != (name, known.created_ms):
            return responses.kinesis_fault(Fault(INVALID_ITERATOR, "the Shard-Iterator is of another stream"))
        if not 0 <= iterator.shard < known.partitions:
            return responses.kinesis_fault(Fault(INVALID_ITERATOR, "the Shard-Iterator is of no shard"))
        return self._from(iterator)

    def _from(self, iterator: _Iterator) -> Answer:
        stream, shard = iterator.stream, iterator.shard
        records = self._log.read(stream, shard, iterator.offset, _MAX_READ)
        following = iterator if not records else iterator._replace(offset=records[-1].offset + 1)
        at_tip = not records or following.offset >= self._log.ends(stream)[shard]
        behind = 0 if at_tip else max(0, time.time_ns() // 1_000_000 - records[-1].timestamp)
        return responses.records(records, _token(following), behind)
