"""Requests to consumer instances that wait for records, over any home of the event log."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pinterest_pipeline.eventlog.base import EventLog, Record
from tests.asking import Asking, Consumer, code, send

WAIT = 30
PIN, GEO, USER = "124df56aef51.pin", "124df56aef51.geo", "124df56aef51.user"

Woken = Callable[..., httpx.Response]
"""The answer to a consumer that waits while other requests are sent; fails when it waits on after them."""


def test_a_request_waits_for_the_first_record(gateway: Asking) -> None:
    consumer = gateway.consumer().subscribe(PIN)

    async def together() -> tuple[Any, Any]:
        waiting = asyncio.create_task(
            gateway.sent("GET", f"{consumer.path}/records", params={"timeout": WAIT * 1_000})
        )
        await asyncio.sleep(0)
        body = {"records": [{"value": "late"}]}
        sent = await gateway.sent("POST", f"/topics/{PIN}", json=body)
        return await waiting, sent

    answer, sent = asyncio.run(together())
    assert sent.status_code == 200
    assert [record["value"] for record in answer.json()] == ["late"]


@pytest.fixture
def woken(gateway: Asking, log: EventLog, monkeypatch: pytest.MonkeyPatch) -> Woken:
    looks: list[str] = []
    ends = log.ends

    def counted(topic: str) -> dict[int, int]:
        looks.append(topic)
        return ends(topic)

    monkeypatch.setattr(log, "ends", counted)

    async def together(consumer: Consumer, *requests: tuple[str, str, Any]) -> httpx.Response:
        waiting = asyncio.create_task(
            gateway.sent("GET", f"{consumer.path}/records", params={"timeout": 60_000})
        )
        async with asyncio.timeout(WAIT):
            looked = len(looks)
            while len(looks) < looked + 4:
                await asyncio.sleep(0.01)
            for method, path, body in requests:
                assert (await gateway.sent(method, path, json=body)).is_success
            return await waiting

    return lambda *given: asyncio.run(together(*given))


@pytest.mark.parametrize("subscription", [{"topics": [PIN, USER]}, {"topic_pattern": ".*"}])
def test_a_request_waits_for_a_topic_that_is_made_later(
    gateway: Asking, woken: Woken, subscription: dict[str, Any]
) -> None:
    consumer = gateway.consumer()
    consumer.done("/subscription", subscription)
    cluster = gateway.send("GET", "/v3/clusters").json()["data"][0]["cluster_id"]
    answer = woken(
        consumer,
        ("POST", f"/v3/clusters/{cluster}/topics", {"topic_name": USER, "partitions_count": 1}),
        ("POST", f"/topics/{USER}", {"records": [{"value": 1}]}),
    )
    assert [record["value"] for record in answer.json()] == [1]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/subscription", {"topics": [PIN]}),
        ("/assignments", {"partitions": [{"topic": PIN, "partition": 0}]}),
    ],
)
def test_who_is_removed_waits_no_more(gateway: Asking, woken: Woken, path: str, body: dict[str, Any]) -> None:
    consumer = gateway.consumer()
    consumer.done(path, body)
    assert code(woken(consumer, ("DELETE", consumer.path, None))) == (404, 40403)


@pytest.mark.parametrize("record", [Record(None), Record(b"")])
def test_a_record_without_bytes_is_not_waited_behind(gateway: Asking, log: EventLog, record: Record) -> None:
    log.append(PIN, [record]).result(WAIT)
    consumer = gateway.consumer(settings={"format": "binary"}).subscribe(PIN)

    async def read() -> httpx.Response:
        async with asyncio.timeout(WAIT):
            return await gateway.sent("GET", f"{consumer.path}/records", params={"timeout": 60_000})

    assert len(asyncio.run(read()).json()) == 1


def test_offsets_without_a_record_wake_nobody_twice(
    gateway: Asking, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = gateway.consumer().subscribe(PIN)
    looks: list[str] = []
    reads: list[Any] = []
    ends, read = log.ends, log.read

    def ends_behind_a_gap(topic: str) -> dict[int, int]:
        looks.append(topic)
        return {partition: end + 1 for partition, end in ends(topic).items()}

    def counted(*given: Any) -> Any:
        reads.append(given)
        return read(*given)

    monkeypatch.setattr(log, "ends", ends_behind_a_gap)
    monkeypatch.setattr(log, "read", counted)

    async def together() -> tuple[int, httpx.Response]:
        waiting = asyncio.create_task(
            gateway.sent("GET", f"{consumer.path}/records", params={"timeout": 60_000})
        )
        async with asyncio.timeout(WAIT):
            while len(looks) < 20:
                await asyncio.sleep(0.01)
            looked_for = len(reads)
            await gateway.sent("POST", f"/topics/{PIN}", json={"records": [{"value": 1}]})
            return looked_for, await waiting

    looked_for, answer = asyncio.run(together())
    assert looked_for == 2  # before it waited, and when it saw that there might be one
    assert [record["value"] for record in answer.json()] == [1]


def test_waiting_takes_no_threads(gateway: Asking, log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    consumers = [gateway.consumer(f"g{number}").subscribe(PIN) for number in range(200)]
    looked: list[int] = []
    read = log.read

    def counted(*given: Any) -> Any:
        looked.append(1)
        return read(*given)

    monkeypatch.setattr(log, "read", counted)

    async def together() -> tuple[list[Any], int]:
        before = set(threading.enumerate())  # those of earlier tests may end meanwhile
        options = {"params": {"timeout": 60_000}}
        waiting = [
            asyncio.create_task(gateway.sent("GET", f"{one.path}/records", **options)) for one in consumers
        ]
        deadline = time.monotonic() + WAIT
        while len(looked) < len(consumers) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        threads = len(set(threading.enumerate()) - before)
        await gateway.sent("POST", f"/topics/{PIN}", json={"records": [{"value": 1}]})
        return await asyncio.gather(*waiting), threads

    answers, threads = asyncio.run(together())
    assert [len(answer.json()) for answer in answers] == [1] * 200
    assert len(looked) >= 200
    assert threads < 60  # the pool of the server has 40, the log a few


def test_a_request_waits_for_its_share(gateway: Asking) -> None:
    first = gateway.consumer().subscribe(GEO)
    gateway.produce(GEO, *({"value": number, "partition": number} for number in range(4)))
    second = gateway.consumer(name="two").subscribe(GEO)

    async def together() -> Any:
        waiting = asyncio.create_task(
            gateway.sent("GET", f"{second.path}/records", params={"timeout": WAIT * 1_000})
        )
        await asyncio.sleep(0)
        await gateway.sent("GET", f"{first.path}/records", params={"timeout": 0})
        return await waiting

    assert len(asyncio.run(together()).json()) == 2


def test_fetch_min_bytes_are_waited_for_until_the_time_is_over(gateway: Asking) -> None:
    consumer = gateway.consumer(settings={"fetch.min.bytes": "10"}).subscribe(PIN)
    send(gateway, PIN, 1)
    assert consumer.values(timeout=1) == [1]
    send(gateway, PIN, "0123456789")
    assert consumer.values(timeout=WAIT * 1_000) == ["0123456789"]
