import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from pinterest_pipeline.errors import BadInput, DiskFull, PipelineError, Unavailable
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.gateway.error_codes import KINDS, NOT_JSON, Fault
from pinterest_pipeline.gateway.exchange import read_body

TOPIC = "124df56aef51.pin"
STREAM = "streaming-124df56aef51-pin"
ONE = b'{"records":[{"value":1}]}'
PUT = b'{"Data":1,"PartitionKey":"k"}'

Failing = Callable[[SqliteEventLog, Exception], None]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Makes a log fail with an error, whatever it is asked to append or to list."""

    def fail(log: SqliteEventLog, error: Exception) -> None:
        future: Future[Any] = Future()
        future.set_exception(error)

        def raises() -> None:
            raise error

        monkeypatch.setattr(log, "append", lambda *_: future)
        monkeypatch.setattr(log, "topics", raises)

    return fail


@pytest.mark.parametrize("stage", ["", "/dev", "/test", "/prod", "/v2"])
def test_a_stage_changes_nothing(client: Any, stage: str) -> None:
    assert client.get(f"{stage}/health").json() == {"status": "ok"}
    assert client.get(f"{stage}/topics").json() == [TOPIC]
    assert client.get(f"{stage}/streams").json()["StreamNames"] == [STREAM]
    assert client.put(f"{stage}/streams/{STREAM}/record", PUT).status_code == 200


def test_a_server_may_ask_for_the_lifespan(client: Any) -> None:
    asked, told = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}], []

    async def receive() -> dict[str, Any]:
        return asked.pop()

    async def send(message: Any) -> None:
        told.append(message["type"])

    asyncio.run(client.app({"type": "lifespan", "state": {}}, receive, send))
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_stage_is_one_lower_case_segment(client: Any) -> None:
    for path in ("/DEV/topics", "/dev/test/topics", "/topics/topics/x", "/dev", "/a-b/topics"):
        assert client.get(path).status_code == 404, path


def test_a_topic_may_be_named_as_a_route(client: Any, topics: SqliteEventLog) -> None:
    for name in ("topics", "streams", "health"):
        topics.create(name, 1)
        assert client.produce(ONE, topic=name).status_code == 200


def test_no_such_route_is_answered_as_its_half_answers(client: Any) -> None:
    kafka, kinesis = client.get("/nothing"), client.get("/dev/streams/x/y/z")
    assert (kafka.status_code, kafka.json()["error_code"]) == (404, 404)
    assert (kinesis.status_code, kinesis.json()["__type"]) == (404, "UnknownOperationException")


def test_a_wrong_method_says_which_are_taken(client: Any) -> None:
    answer = client.send("DELETE", "/topics")
    assert (answer.status_code, answer.json()["error_code"]) == (405, 405)
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("error", [DiskFull("the disk is full"), Unavailable("the log does not answer")])
def test_a_log_that_cannot_write_is_503_with_a_time_to_come_back(
    client: Any, topics: SqliteEventLog, streams: SqliteEventLog, failing: Failing, error: PipelineError
) -> None:
    failing(topics, error)
    failing(streams, error)
    kafka, kinesis = client.produce(ONE), client.put(f"/streams/{STREAM}/record", PUT)
    for answer in (kafka, kinesis, client.get("/ready")):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert kafka.json() == {"error_code": 50302, "message": str(error)}
    assert kinesis.json() == {"__type": "ServiceUnavailable", "message": str(error)}


def test_ready_says_which_log_is_away_and_health_that_the_process_lives(
    client: Any, streams: SqliteEventLog, failing: Failing
) -> None:
    assert client.get("/ready").json() == {"status": "ready"}
    failing(streams, Unavailable("gone"))
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["message"]) == (503, "streams: gone")
    assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize("error", [RuntimeError("secret place"), BadInput("secret place")])
def test_an_unforeseen_error_shows_nothing(
    client: Any, topics: SqliteEventLog, streams: SqliteEventLog, failing: Failing, error: Exception
) -> None:
    failing(topics, error)
    failing(streams, error)
    kafka, kinesis = client.produce(ONE), client.put(f"/streams/{STREAM}/record", PUT)
    assert (kafka.status_code, kafka.json()["error_code"]) == (500, 50002)
    assert (kinesis.status_code, kinesis.json()["__type"]) == (500, "InternalFailure")
    assert "secret" not in kafka.text + kinesis.text


def test_an_error_of_ours_is_logged(
    client: Any, topics: SqliteEventLog, failing: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    failing(topics, BadInput("secret place"))
    with caplog.at_level(logging.ERROR):
        client.produce(ONE)
    assert "secret place" in caplog.text


def test_a_body_is_not_read_beyond_its_bound(client: Any) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while taken < 1_000:
            taken += 1
            yield b" " * 1_000

    # httpx hands the body over in the pieces of the iterator, with no length announced
    headers = {"Content-Type": "application/vnd.kafka.json.v2+json"}
    answer = client.send("POST", f"/topics/{TOPIC}", content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (413, 413)
    assert taken == 21


def test_an_announced_length_beyond_the_bound_is_not_read_at_all(client: Any) -> None:
    read: list[bool] = []

    async def unread() -> AsyncIterator[bytes]:
        read.append(True)
        yield b""

    headers = {"Content-Type": "application/vnd.kafka.json.v2+json", "Content-Length": "20001"}
    assert client.send("POST", f"/topics/{TOPIC}", content=unread(), headers=headers).status_code == 413
    assert read == []


def test_a_client_that_goes_away_is_no_error_of_ours() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    request = Request({"type": "http", "method": "POST", "headers": []}, gone)
    found = asyncio.run(read_body(request, 100))
    assert isinstance(found, Fault)
    assert found.kind is NOT_JSON
    with pytest.raises(ClientDisconnect):
        asyncio.run(request.body())


def test_every_kind_of_error_is_told_apart() -> None:
    assert (
        len(KINDS)
        == len({(kind.status, kind.kafka, kind.kinesis, kind.when) for kind in KINDS.values()})
        > 10
    )
    assert all(400 <= kind.status < 600 and kind.when for kind in KINDS.values())
