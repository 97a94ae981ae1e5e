"""Asks an application as HTTP clients do, without a network."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from starlette.types import ASGIApp, Message

JSON = "application/vnd.kafka.json.v2+json"
BINARY = "application/vnd.kafka.binary.v2+json"


class Asking:
    """One request at a time; errors of the application become answers, as in a server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self.sent(method, path, **options))

    async def sent(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway:8082") as client:
            return await client.request(method, path, **options)

    def produce(self, topic: str, *records: Any, media: str = JSON) -> list[tuple[int, int]]:
        """Partition and offset of each record."""
        body = json.dumps({"records": records})
        answer = self.send("POST", f"/topics/{topic}", content=body, headers={"Content-Type": media})
        assert answer.status_code == 200, answer.text
        return [(place["partition"], place["offset"]) for place in answer.json()["offsets"]]

    def consumer(
        self, group: str = "g", name: str = "one", settings: Mapping[str, Any] | None = None
    ) -> "Consumer":
        """A new instance, of JSON from the earliest record where nothing else is said."""
        body = {"name": name, "format": "json", "auto.offset.reset": "earliest"} | dict(settings or {})
        answer = self.send("POST", f"/consumers/{group}", json=body)
        assert answer.status_code == 200, answer.text
        return Consumer(self, answer.json()["base_uri"].partition("8082")[2])


class Consumer:
    """One consumer instance."""

    def __init__(self, asking: Asking, path: str) -> None:
        self.asking = asking
        self.path = path

    def send(self, method: str, path: str = "", **options: Any) -> httpx.Response:
        return self.asking.send(method, self.path + path, **options)

    def done(self, path: str, body: Mapping[str, Any] | None = None) -> None:
        """POST what must be answered with nothing."""
        answer = self.send("POST", path, json=body)
        assert (answer.status_code, answer.content) == (204, b""), answer.text

    def subscribe(self, *topics: str) -> "Consumer":
        self.done("/subscription", {"topics": topics})
        return self

    def get(self, timeout: int = 0, key: str = "", **query: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.send("GET", "/records", params={"timeout": timeout} | query, headers=headers)

    def records(self, timeout: int = 0, key: str = "", **query: Any) -> list[dict[str, Any]]:
        answer = self.get(timeout, key, **query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    def values(self, timeout: int = 0, key: str = "", **query: Any) -> list[Any]:
        return [record["value"] for record in self.records(timeout, key, **query)]

    def commit(self, *offsets: Mapping[str, Any]) -> httpx.Response:
        return self.send("POST", "/offsets", json={"offsets": offsets} if offsets else None)

    def parts(self) -> list[tuple[str, int]]:
        found = self.send("GET", "/assignments").json()["partitions"]
        return [(part["topic"], part["partition"]) for part in found]

    def lose(self, timeout: int = 0, key: str = "") -> bytes:
        """Ask for records and be gone before the answer is complete; what had been sent until then."""
        return asyncio.run(self._lost(timeout, key))

    async def _lost(self, timeout: int, key: str) -> bytes:
        sent: list[Message] = []
        messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Message:
            return next(messages, {"type": "http.disconnect"})

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"idempotency-key", key.encode())] if key else []
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"{self.path}/records",
            "query_string": f"timeout={timeout}".encode(),
            "headers": headers,
            "scheme": "http",
            "server": ("gateway", 8082),
        }
        await self.asking.app(scope, receive, send)
        return b"".join(message.get("body", b"") for message in sent)


def code(answer: httpx.Response) -> tuple[int, int]:
    """Status and error code of an error, which must say something."""
    assert answer.json()["message"]
    return answer.status_code, answer.json()["error_code"]


def send(asking: Asking, topic: str, *values: Any) -> None:
    """Produce values without keys."""
    asking.produce(topic, *({"value": value} for value in values))


OpenGateway = Callable[..., Asking]
"""Opens one more gateway over the same log and instances."""
