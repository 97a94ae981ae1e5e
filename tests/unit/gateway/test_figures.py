import asyncio
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from pinterest_pipeline.gateway.error_codes import KINDS, OVERLOADED, TIMEOUT, Fault
from pinterest_pipeline.gateway.exchange import Exchange
from pinterest_pipeline.gateway.figures import Figures, shared_memory
from pinterest_pipeline.gateway.routes import unrouted

OPERATION = unrouted("service")


def exchange(status: int = 200, seconds: float = 0.004, records: int = 3) -> Exchange:
    return Exchange(OPERATION, Request({"type": "http", "headers": []}), status, records, 450, 90, seconds)


def samples(figures: Figures) -> dict[str, float]:
    """Each line of the text, its labels in the order of their names."""
    return {
        sample.name.removeprefix("pinpipe_gateway_")
        + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(figures.text().decode())
        for sample in family.samples
    }


def worker(memory: Any, number: int) -> Figures:
    figures = Figures(memory, number)
    figures.add("unused")
    figures.add(OPERATION.id)
    return figures


def test_an_exchange_is_counted_under_its_operation() -> None:
    figures = worker(None, 0)
    for status, seconds in ((200, 0.004), (200, 0.005), (503, 99.0)):
        figures.note(exchange(status, seconds))
    found = samples(figures)
    assert found["requests_total no_service 200"] == 2
    assert found["requests_total no_service 503"] == 1
    assert found["records_total no_service"] == 9
    assert found["request_bytes_total no_service"] == 1_350
    assert found["response_bytes_total no_service"] == 270
    assert found["request_seconds_count no_service"] == 3
    assert round(found["request_seconds_sum no_service"], 6) == 99.009
    assert [
        found[f"request_seconds_bucket {bound} no_service"] for bound in ("0.0025", "0.005", "10.0", "+Inf")
    ] == [0, 2, 2, 3]
    assert not any("unused" in name for name in found)


def test_every_worker_shows_the_sum_and_a_dead_one_is_still_in_it() -> None:
    memory = shared_memory(3)
    first, second, third = (worker(memory, number) for number in range(3))
    for figures in (first, second, second, third):
        figures.note(exchange())
    first.set_load(10, 2, 100)
    third.set_load(1, 1, 11)
    second = worker(memory, 1)  # it died and was started again
    second.note(exchange())
    for figures in (first, second, third):
        found = samples(figures)
        assert found["requests_total no_service 200"] == 5
        assert [found["connections"], found["requests_in_flight"], found["bytes_in_flight"]] == [11, 3, 111]


def test_refusals_are_counted_by_reason() -> None:
    figures = worker(None, 0)
    for kind in (TIMEOUT, TIMEOUT, OVERLOADED):
        figures.refused(Fault(kind, "why"))
    found = samples(figures)
    assert {name: value for name, value in found.items() if name.startswith("refusals")} == {
        "refusals_total timeout": 2,
        "refusals_total overloaded": 1,
    }


def test_there_is_room_for_every_status_and_many_operations() -> None:
    figures = Figures()
    for number in range(200):
        figures.add(f"operation{number}")
    figures.add(OPERATION.id)
    for kind in KINDS.values():
        figures.note(exchange(kind.status))
    figures.note(exchange(299))
    found = samples(figures)
    assert all(found[f"requests_total no_service {kind.status}"] >= 1 for kind in KINDS.values())
    assert found["requests_total no_service 0"] == 1


def test_two_operations_of_one_name_are_refused() -> None:
    figures = worker(None, 0)
    with pytest.raises(ValueError, match="two operations are called 'no_service'"):
        figures.add(OPERATION.id)


def test_no_operation_is_counted_as_another_one(client: Any) -> None:
    client.send("POST", "/consumers/g", json={"name": "one"})
    client.get("/streams/nothing/sharditerator?shard-id=shardId-000000000000")
    client.get("/streams/nothing/records")
    client.get("/consumers/g/instances/two/records")
    counted = re.findall(r'requests_total{operation="(.+)",status="(.+)"}', client.get("/metrics").text)
    assert set(counted) - {("openapi", "200")} == {
        ("create_consumer", "200"),
        ("get_shard_iterator", "400"),
        ("get_records", "400"),
        ("consume_records", "404"),
    }


def test_the_gateway_counts_its_own_requests(client: Any) -> None:
    topic = "124df56aef51.pin"
    client.produce(b'{"records":[{"value":1},{"value":2},{"value":3,"partition":99}]}')
    client.get("/nothing")
    client.send("DELETE", "/streams")
    client.get(f"/dev/topics/{topic}")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'pinpipe_gateway_requests_total{operation="produce",status="200"} 1.0' in lines
    assert 'pinpipe_gateway_records_total{operation="produce"} 2.0' in lines
    assert 'pinpipe_gateway_requests_total{operation="no_service",status="404"} 1.0' in lines
    assert 'pinpipe_gateway_requests_total{operation="no_kinesis",status="405"} 1.0' in lines
    assert 'pinpipe_gateway_requests_total{operation="get_topic",status="200"} 1.0' in lines


def test_a_lifespan_is_answered(client: Any) -> None:
    told: list[str] = []

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: Any) -> None:
        told.append(message["type"])

    asyncio.run(client.app({"type": "lifespan"}, receive, send))
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
