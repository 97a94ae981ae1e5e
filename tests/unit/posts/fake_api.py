"""An API for the emulators that runs in the test itself, and an emulator that sends to it."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from pinterest_pipeline.posts.delivery import Patience
from pinterest_pipeline.posts.emulator import Emulator, SendSettings
from pinterest_pipeline.records.receipts import Account
from pinterest_pipeline.records.schemas import Post

Handler = Callable[[httpx.Request], httpx.Response]


class FakeAPI:
    """Takes records as the gateway does, numbers them, and keeps them by topic or stream."""

    def __init__(
        self, before: Callable[["FakeAPI", httpx.Request], httpx.Response | None] | None = None
    ) -> None:
        self._before = before
        self.taken: dict[str, list[Any]] = defaultdict(list)
        self.requests = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self._before and (response := self._before(self, request)):
            return response
        return self.take(request)

    def take(self, request: httpx.Request) -> httpx.Response:
        name, body = request.url.path.split("/")[3], json.loads(request.content)
        records = body.get("records", [body])
        places = range(len(self.taken[name]), len(self.taken[name]) + len(records))
        self.taken[name] += [
            record.get("value") or record.get("Data") or record["data"] for record in records
        ]
        return httpx.Response(200, json=self._receipts(request, list(places)))

    def _receipts(self, request: httpx.Request, places: list[int]) -> dict[str, Any]:
        if "topics" in request.url.path:
            return {"offsets": [{"partition": 0, "offset": place, "error_code": None} for place in places]}
        entries = [{"SequenceNumber": str(place), "ShardId": "shardId-000000000000"} for place in places]
        return {"FailedRecordCount": 0, "Records": entries} if request.url.path.endswith("s") else entries[0]


def settings(receipts: Path, **changes: Any) -> SendSettings:
    given: dict[str, Any] = {"url": "http://api/dev", "pipeline_id": "124df56aef51", "receipts": receipts}
    given["patience"] = Patience(tries=3, first_pause=0.0)
    return SendSettings(**(given | changes))


def send(
    emulator: Emulator, api: Handler, posts: Iterator[Sequence[Post]] | list[Post], **options: Any
) -> dict[Any, Account]:
    chunks = iter([posts]) if isinstance(posts, list) else posts
    return asyncio.run(emulator.send(chunks, transport=httpx.MockTransport(api), **options))
