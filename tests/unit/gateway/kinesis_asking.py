"""Kinesis' own API of an application, asked without a network; everything is held against AWS' model."""

import asyncio
import base64
import json
from typing import Any

import httpx
from starlette.types import ASGIApp

from tests.unit.gateway import kinesis_model

MEDIA = "application/x-amz-json-1.1"
WIRE_ERRORS = {
    "AccessDeniedException",
    "InternalFailure",
    "MissingAuthenticationTokenException",
    "SerializationException",
    "ServiceUnavailable",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "UnsupportedMediaTypeException",
    "ValidationException",
}
"""What any operation may answer, beside the errors that the model names for it."""

Json = dict[str, Any]


class Asking:
    """Sends requests as boto3 writes them."""

    def __init__(self, app: ASGIApp, headers: dict[str, str] | None = None) -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._headers = headers or {}

    def raw(self, operation: str, content: bytes, path: str = "/", **headers: str) -> httpx.Response:
        sent = {"X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": MEDIA}
        sent |= self._headers | {name.replace("_", "-"): value for name, value in headers.items()}

        async def exchange() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://gateway") as client:
                return await client.post(path, content=content, headers=sent)

        return asyncio.run(exchange())

    def ok(self, operation: str, **body: Any) -> Json:
        """The answer to a request that fits the model; it must fit the model too."""
        wrong = kinesis_model.problems(operation, "input", body)
        assert not wrong, wrong
        answer = self.raw(operation, json.dumps(body).encode())
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == MEDIA
        found = json.loads(answer.content) if answer.content else None
        wrong = kinesis_model.problems(operation, "output", found)
        assert not wrong, wrong
        return found or {}

    def error(self, operation: str, kind: str, **body: Any) -> str:
        """The message of an error of this type, which the model must announce."""
        answer = self.raw(operation, json.dumps(body).encode())
        assert answer.status_code == 400, answer.text
        assert (answer.json()["__type"], answer.headers["content-type"]) == (kind, MEDIA)
        assert kind in kinesis_model.errors(operation) | WIRE_ERRORS
        return str(answer.json()["message"])

    def put(self, stream: str, *keys: str) -> Json:
        """Put records whose data are their keys."""
        records = [{"Data": encoded(key), "PartitionKey": key} for key in keys]
        return self.ok("PutRecords", StreamName=stream, Records=records)

    def iterator(self, stream: str, shard: str, kind: str = "TRIM_HORIZON", **more: Any) -> str:
        found = self.ok("GetShardIterator", StreamName=stream, ShardId=shard, ShardIteratorType=kind, **more)
        return str(found["ShardIterator"])

    def data(self, iterator: str) -> list[str]:
        return [decoded(one) for one in self.ok("GetRecords", ShardIterator=iterator)["Records"]]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def decoded(record: Json) -> str:
    return base64.b64decode(record["Data"]).decode()
