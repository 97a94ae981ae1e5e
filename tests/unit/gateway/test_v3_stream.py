"""Records as a stream: what is sent and what comes back, one message of ASGI at a time."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.eventlog.base import Once, Receipt, Record, Refusal
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.gateway import v3_produce

TOPIC = "124df56aef51.pin"
WAIT = 20


def body(number: int, partition: int = 0) -> bytes:
    value = {"type": "JSON", "data": number}
    return json.dumps({"partition_id": partition, "value": value}).encode()


CHUNKED = {"Transfer-Encoding": "chunked"}


class Exchange:
    """A request whose body comes in pieces, and an answer that does."""

    def __init__(self, app: Any, path: str, headers: Mapping[str, str]) -> None:
        self.asked: asyncio.Queue[Any] = asyncio.Queue()
        self.told: asyncio.Queue[Any] = asyncio.Queue()
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "scheme": "http",
            "server": ("gateway", 80),
            "headers": [
                (b"content-type", b"application/json"),
                *((name.lower().encode(), value.encode()) for name, value in headers.items()),
            ],
        }
        self.task = asyncio.create_task(app(scope, self.asked.get, self.told.put))

    def send(self, piece: bytes, more: bool = True) -> None:
        self.asked.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    async def hear(self) -> Any:
        return await asyncio.wait_for(self.told.get(), WAIT)

    async def receipts(self, count: int) -> list[Any]:
        """The next receipts, at least so many."""
        found: list[Any] = []
        while len(found) < count:
            message = await self.hear()
            assert message["more_body"], found
            found += [json.loads(line) for line in message["body"].splitlines()]
        return found

    async def rest(self) -> list[Any]:
        """The receipts until the end of the answer."""
        found: list[Any] = []
        while (message := await self.hear()).get("more_body"):
            found += [json.loads(line) for line in message["body"].splitlines()]
        await asyncio.wait_for(self.task, WAIT)
        return found


Talk = Callable[[Exchange], Coroutine[Any, Any, None]]
Run = Callable[..., None]


@pytest.fixture
def run(client: Any, topics: SqliteEventLog) -> Run:
    """Begins an exchange of a stream of records, and hands it to a talk."""
    path = f"/v3/clusters/{topics.cluster().id}/topics/{TOPIC}/records"

    def run(talk: Talk, headers: Mapping[str, str] = CHUNKED) -> None:
        async def both() -> None:
            exchange = Exchange(client.app, path, headers)
            try:
                await talk(exchange)
            finally:
                exchange.task.cancel()

        asyncio.run(both())

    return run


def codes(receipts: Sequence[Any]) -> list[int]:
    return [receipt["error_code"] for receipt in receipts]


def test_a_receipt_comes_before_the_next_record_is_sent(run: Run, topics: SqliteEventLog) -> None:
    async def talk(exchange: Exchange) -> None:
        assert (await exchange.hear())["status"] == 200
        for number in range(3):
            exchange.send(body(number))
            (receipt,) = await exchange.receipts(1)
            assert (receipt["error_code"], receipt["offset"]) == (200, number)
            assert topics.ends(TOPIC)[0] == number + 1  # durable by then
        exchange.send(b"", more=False)
        assert await exchange.rest() == []

    run(talk)


def test_records_may_be_cut_anywhere_and_receipts_keep_their_order(run: Run, topics: SqliteEventLog) -> None:
    whole = b"\n".join(body(number, number % 2) for number in range(50))

    async def talk(exchange: Exchange) -> None:
        for start in range(0, len(whole), 7):
            exchange.send(whole[start : start + 7])
        exchange.send(b"", more=False)
        await exchange.hear()
        receipts = await exchange.rest()
        assert codes(receipts) == [200] * 50
        assert [receipt["partition_id"] for receipt in receipts] == [number % 2 for number in range(50)]

    run(talk)
    for partition in (0, 1):
        values = [int(record.value or b"") for record in topics.read(TOPIC, partition, 0, 100)]
        assert values == list(range(partition, 50, 2))


def test_others_have_their_turn_while_a_chunk_of_many_records_is_appended(
    run: Run, topics: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a chunk were one request of the log: for 130 kB of `{}` others waited for 0.7 s."""
    append, requests, turns = topics.append, [], 0

    def noted(topic: str, records: Sequence[Record], once: Once | None = None) -> Any:
        requests.append((len(records), turns))
        return append(topic, records, once)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def talk(exchange: Exchange) -> None:
        beside = asyncio.create_task(others())
        exchange.send(b"{}" * 5_000, more=False)
        await exchange.hear()
        assert codes(await exchange.rest()) == [200] * 5_000
        beside.cancel()

    monkeypatch.setattr(topics, "append", noted)
    run(talk)
    assert [count for count, _ in requests] == [500] * 10
    assert len({turn for _, turn in requests}) == 10


def test_a_bad_record_has_its_own_receipt_and_the_next_goes_on(run: Run, topics: SqliteEventLog) -> None:
    async def talk(exchange: Exchange) -> None:
        await exchange.hear()
        exchange.send(body(0) + b'{"value":{"type":"AVRO","data":1}}' + body(1, 9) + body(2))
        receipts = await exchange.receipts(4)
        assert codes(receipts) == [200, 422, 40402, 200]
        exchange.send(b"[1]" + body(3), more=False)
        assert codes(await exchange.rest()) == [42203]

    run(talk)
    assert topics.ends(TOPIC)[0] == 2


@pytest.mark.parametrize(
    ("pieces", "code"),
    [([], 422), ([b" \n"], 422), ([b'{"value":'], 42203), ([b'{"value":"' + b"x" * 21_000], 413)],
)
def test_a_stream_that_ends_badly_says_so(run: Run, pieces: list[bytes], code: int) -> None:
    async def talk(exchange: Exchange) -> None:
        for piece in pieces:
            exchange.send(piece)
        exchange.send(b"", more=False)
        await exchange.hear()
        assert codes(await exchange.rest()) == [code]

    run(talk)


def test_a_client_that_goes_away_ends_the_stream_and_loses_nothing_it_was_told(
    run: Run, topics: SqliteEventLog
) -> None:
    async def talk(exchange: Exchange) -> None:
        await exchange.hear()
        exchange.send(body(0))
        assert codes(await exchange.receipts(1)) == [200]
        exchange.asked.put_nowait({"type": "http.disconnect"})
        assert codes(await exchange.rest()) == [42203]

    run(talk)
    assert topics.ends(TOPIC)[0] == 1


def test_what_was_sent_again_with_its_key_lands_once(run: Run, topics: SqliteEventLog) -> None:
    first: list[Any] = []

    async def broken_off(exchange: Exchange) -> None:
        await exchange.hear()
        exchange.send(body(0) + body(1))
        first.extend(await exchange.receipts(2))

    async def again(exchange: Exchange) -> None:
        await exchange.hear()
        for piece in (body(0), body(1) + body(2)):  # cut otherwise than the first time
            exchange.send(piece)
        exchange.send(b"", more=False)
        receipts = await exchange.rest()
        assert receipts[:2] == first
        assert codes(receipts) == [200] * 3

    async def another(exchange: Exchange) -> None:
        await exchange.hear()
        exchange.send(body(0) + body(7), more=False)
        assert codes(await exchange.rest()) == [200, 42210]

    for talk in (broken_off, again, another):
        run(talk, CHUNKED | {"Idempotency-Key": "a"})
    assert [int(record.value or b"") for record in topics.read(TOPIC, 0, 0, 10)] == [0, 1, 2]


def test_a_key_of_one_record_is_not_that_of_another_request(run: Run, topics: SqliteEventLog) -> None:
    async def talk(exchange: Exchange) -> None:
        await exchange.hear()
        exchange.send(body(0), more=False)
        assert codes(await exchange.rest()) == [200]

    for key in ("a", "a/0", "a/1"):
        run(talk, CHUNKED | {"Idempotency-Key": key})
    assert topics.ends(TOPIC)[0] == 3


def test_a_trace_goes_along(run: Run, topics: SqliteEventLog) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async def talk(exchange: Exchange) -> None:
        await exchange.hear()
        exchange.send(body(0), more=False)
        await exchange.rest()

    run(talk, CHUNKED | {"traceparent": trace})
    assert topics.read(TOPIC, 0, 0, 1)[0].headers == (("traceparent", trace.encode()),)


def test_no_more_is_read_than_is_bounded(
    run: Run, topics: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that settles nothing: the body is left where it is once 20,000 bytes are under way."""
    pending: list[Future[list[Receipt | Refusal]]] = []

    def append(_: str, records: Sequence[Record], once: Once | None) -> Future[list[Receipt | Refusal]]:
        assert once is None
        assert len(records) == 1
        pending.append(Future())
        return pending[-1]

    monkeypatch.setattr(topics, "append", append)

    async def talk(exchange: Exchange) -> None:
        await exchange.hear()
        for number in range(200):
            exchange.send(body(number))
        exchange.send(b"", more=False)
        await settled(exchange.asked.qsize)
        left = exchange.asked.qsize()
        assert 150 < left < 170
        pending[0].set_result([Receipt(0, 0, 0)])
        await exchange.receipts(1)
        await settled(exchange.asked.qsize)
        assert exchange.asked.qsize() == left - 1
        for number in range(1, 200):
            while number >= len(pending):
                await asyncio.sleep(0)
            pending[number].set_result([Receipt(0, number, 0)])
        offsets = [receipt["offset"] for receipt in await exchange.rest()]
        assert offsets == list(range(1, 200))

    run(talk)


async def settled(size: Callable[[], int]) -> None:
    """Until a number does not change any more while everything that can run has run."""
    same = 0
    while same < 100:
        before = size()
        await asyncio.sleep(0)
        same = same + 1 if size() == before else 0


def test_a_log_that_fails_says_so_for_each_record_it_was_given(
    run: Run, topics: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: Future[Any] = Future()
    failed.set_exception(Unavailable("gone"))
    monkeypatch.setattr(topics, "append", lambda *_: failed)

    async def talk(exchange: Exchange) -> None:
        await exchange.hear()
        exchange.send(body(0) + body(1), more=False)
        receipts = await exchange.rest()
        assert [(one["error_code"], one["message"]) for one in receipts] == [(50302, "gone")] * 2

    run(talk)


def post(client: Any, topics: SqliteEventLog, content: bytes, topic: str = TOPIC) -> Any:
    path = f"/v3/clusters/{topics.cluster().id}/topics/{topic}/records"
    return client.send("POST", path, content=content, headers={"Content-Type": "application/json"})


def test_a_body_of_known_length_has_a_truthful_status(client: Any, topics: SqliteEventLog) -> None:
    one = post(client, topics, body(0))
    assert (one.status_code, one.json()["offset"]) == (200, 0)
    assert int(one.headers["content-length"]) == len(one.content)
    wrong = b'{"value":{"type":"AVRO","data":1}}'
    assert post(client, topics, wrong).status_code == 422
    assert post(client, topics, wrong * 2).json()["error_code"] == 422
    assert post(client, topics, b"").status_code == 422
    assert post(client, topics, body(0), topic="other").json()["error_code"] == 40403
    assert post(client, topics, body(0, 9)).status_code == 404
    mixed = post(client, topics, body(1) + wrong)
    assert (mixed.status_code, codes([json.loads(line) for line in mixed.text.splitlines()])) == (
        200,
        [200, 422],
    )
    assert topics.ends(TOPIC)[0] == 2


def test_a_body_of_many_records_is_answered_with_all_receipts(client: Any, topics: SqliteEventLog) -> None:
    answer = post(client, topics, b'{"partition_id":0}' * 1_100)  # within the bound of the body
    receipts = [json.loads(line) for line in answer.text.splitlines()]
    assert [receipt["offset"] for receipt in receipts] == list(range(1_100))


def test_many_records_that_all_fail_alike_are_answered_with_their_fault(
    client: Any, topics: SqliteEventLog
) -> None:
    unknown = post(client, topics, b"{}" * 9_000, topic="other")
    assert (unknown.status_code, unknown.json()["error_code"]) == (404, 40403)
    answer = post(client, topics, b'{"partition_id":9}' * 1_100)
    assert (answer.status_code, answer.json()["error_code"]) == (404, 40402)


@pytest.mark.parametrize("failing", [3, 999, 1_000, 1_001])
def test_the_first_record_that_lands_makes_it_a_success(
    client: Any, topics: SqliteEventLog, failing: int
) -> None:
    answer = post(client, topics, b'{"partition_id":9}' * failing + body(0) + b'{"partition_id":9}')
    assert answer.status_code == 200
    receipts = [json.loads(line) for line in answer.text.splitlines()]
    assert codes(receipts) == [40402] * failing + [200, 40402]
    assert all(receipt["message"] for receipt in receipts if receipt["error_code"] != 200)


def test_what_is_kept_of_failures_does_not_grow_with_their_number(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v3_produce, "_AT_ONCE", 10)
    pieces = [*(body(0, 2 + number) for number in range(35)), body(0)]

    async def talk(exchange: Exchange) -> None:
        for piece in pieces:
            exchange.send(piece)
        exchange.send(b"", more=False)
        assert (await exchange.hear())["status"] == 200
        messages = [line.get("message") for line in await exchange.rest()]
        own = [f"there is no partition {2 + number}, the last one is 1" for number in range(10)]
        assert messages == [*own, *["no such partition or shard"] * 25, None]

    run(talk, {"Content-Length": str(sum(map(len, pieces)))})


def test_a_request_without_a_body_is_no_stream(run: Run) -> None:
    async def talk(exchange: Exchange) -> None:
        exchange.send(b"", more=False)
        assert (await exchange.hear())["status"] == 422

    run(talk, {})


def test_a_key_that_is_wrong_is_refused_before_anything_is_read(run: Run) -> None:
    async def talk(exchange: Exchange) -> None:
        assert (await exchange.hear())["status"] == 422

    run(talk, CHUNKED | {"Idempotency-Key": '"'})
