"""A request that is sent again: under which key, with what in it, and what its records come to."""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.posts.emulator import Emulator
from pinterest_pipeline.records.receipts import Account
from pinterest_pipeline.records.schemas import Post
from tests.unit.posts.conftest import make_post as post_of
from tests.unit.posts.fake_api import FakeAPI, Handler, send, settings

Make = Callable[..., Post]


class KeepsKeys:
    """Keeps Idempotency-Keys; `fault` says what a record gets at its n-th coming, None for a receipt."""

    def __init__(self, fault: Callable[[int, int], int | None], echo: bool = True) -> None:
        self._fault = fault
        self._echo = echo
        self._kept: dict[str, dict[int, int]] = defaultdict(dict)
        self.bodies: dict[str, list[bytes]] = defaultdict(list)
        """What came under each key, in the order of coming."""
        self.appended: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "pin" not in request.url.path:
            return FakeAPI()(request)
        key = request.headers["idempotency-key"]
        self.bodies[key].append(request.content)
        records = [record["key"] for record in json.loads(request.content)["records"]]
        offsets = [self._offset(key, record) for record in records]
        headers = {"Idempotency-Key": key} if self._echo else {}
        return httpx.Response(200, json={"offsets": offsets}, headers=headers)

    def _offset(self, key: str, record: int) -> dict[str, Any]:
        kept = self._kept[key]
        coming = sum(b'"key":%d,' % record in body for bodies in self.bodies.values() for body in bodies)
        if record not in kept:
            if code := self._fault(record, coming):
                return {"error_code": code, "error": "why"}
            kept[record] = len(self.appended)
            self.appended.append(record)
        return {"partition": 0, "offset": kept[record]}


def send_four(folder: Path, api: Handler) -> tuple[Account, list[Any]]:
    """Four posts in one request; the account of the pins and their outcomes."""
    emulator = Emulator(settings(folder, batch=4, workers=1), "batch")
    account = send(emulator, api, [post_of(ind) for ind in range(4)])["pin"]
    (path,) = folder.iterdir()
    written = [json.loads(line) for line in path.read_text().splitlines()]
    return account, next(row["outcomes"] for row in written if row["request"] == 1 and "outcomes" in row)


def test_every_body_has_a_key_of_its_own_and_keeps_it(tmp_path: Path, post: Make) -> None:
    seen: dict[str, set[bytes]] = defaultdict(set)
    requests = 0

    def api(request: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += 1
        seen[request.headers["idempotency-key"]].add(request.url.raw_path + request.content)
        return httpx.Response(503) if requests % 2 else FakeAPI()(request)

    send(Emulator(settings(tmp_path, workers=1), "stream"), api, [post(ind) for ind in range(6)])
    assert requests > len(seen) == 18
    assert all(len(bodies) == 1 for bodies in seen.values())
    assert all(key[0] == key[-1] == '"' and len(key) >= 34 for key in seen)


def test_a_doubtful_record_goes_again_in_its_whole_body_where_the_key_is_kept(tmp_path: Path) -> None:
    api = KeepsKeys(lambda record, coming: 50003 if record == 2 and coming < 3 else None)
    account, outcomes = send_four(tmp_path, api)
    (bodies,) = api.bodies.values()
    assert len(bodies) == 3
    assert len(set(bodies)) == 1
    assert sorted(api.appended) == [0, 1, 2, 3]
    assert [outcome["offset"] for outcome in outcomes] == [0, 1, 3, 2]
    assert account == Account(sent=4, acknowledged=4, resent=8)


def test_where_no_key_is_kept_the_doubtful_record_goes_alone(tmp_path: Path) -> None:
    api = KeepsKeys(lambda record, coming: 50003 if record == 2 and coming < 2 else None, echo=False)
    account, _ = send_four(tmp_path, api)
    assert [len(json.loads(bodies[0])["records"]) for bodies in api.bodies.values()] == [4, 1]
    assert account == Account(sent=4, acknowledged=4, resent=1)


def test_a_record_without_doubt_goes_alone_under_a_new_key(tmp_path: Path) -> None:
    api = KeepsKeys(lambda record, coming: 42901 if record == 2 and coming < 2 else None)
    account, _ = send_four(tmp_path, api)
    assert [len(json.loads(bodies[0])["records"]) for bodies in api.bodies.values()] == [4, 1]
    assert account == Account(sent=4, acknowledged=4, resent=1)


def test_a_receipt_is_not_lost_to_what_comes_later(tmp_path: Path) -> None:
    keeping, requests = KeepsKeys(lambda record, _: 50003 if record == 2 else None), 0

    def api(request: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += "pin" in request.url.path
        return httpx.Response(503) if requests > 1 and "pin" in request.url.path else keeping(request)

    account, outcomes = send_four(tmp_path, api)
    assert account == Account(sent=4, acknowledged=3, unknown=1, resent=8)
    assert [outcome.get("offset") for outcome in outcomes] == [0, 1, None, 2]


def test_an_answer_under_a_kept_key_ends_the_doubt_of_a_lost_one(tmp_path: Path) -> None:
    keeping, requests = KeepsKeys(lambda record, _: 413 if record == 2 else None), 0

    def api(request: httpx.Request) -> httpx.Response:
        nonlocal requests
        requests += "pin" in request.url.path
        answer = keeping(request)
        if requests == 1 and "pin" in request.url.path:
            raise httpx.ReadError("connection reset", request=request)
        return answer

    account, outcomes = send_four(tmp_path, api)
    assert account == Account(sent=4, acknowledged=3, refused=1, resent=4)
    assert outcomes[2] == {"refused": "413 why"}
    assert sorted(keeping.appended) == [0, 1, 3]


def test_a_key_that_was_taken_for_another_request_is_unknown(tmp_path: Path) -> None:
    def api(_: httpx.Request) -> httpx.Response:
        return httpx.Response(422, json={"error_code": 42210, "message": "the key was used"})

    emulator = Emulator(settings(tmp_path, batch=4, workers=1), "batch")
    with pytest.raises(Unavailable, match="422 the key was used"):
        send(emulator, api, [post_of(ind) for ind in range(4)])
    assert emulator.accounts["pin"] == Account(sent=4, unknown=4)
