"""Clients that are slow, or many: each has its time, and all of them together their room."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.unit.gateway.served import (
    ONE,
    SECONDS,
    Served,
    post,
    produce,
    served,
    statuses,
    until_closed,
)

HALF = ONE[:10]
LAST = produce(b"Connection: close")


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Waits for half a second."""
    waits = {"header_seconds": 0.5, "body_seconds": 0.5, "keep_alive_seconds": 0.5}
    with served(tmp_path_factory.mktemp("impatient"), **waits) as running:
        yield running


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Holds 100,000 bytes of bodies of up to 60,000, and ten connections."""
    room = {"max_bytes_in_flight": 100_000, "max_body_bytes": 60_000, "max_connections": 10}
    with served(tmp_path_factory.mktemp("small"), **room) as running:
        yield running


def until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + SECONDS
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


STOPS: list[tuple[bytes, list[int]]] = [
    (b"", []),
    (b"\r\n\r\n", []),
    (b"POST /topics/pin HTTP/1.1\r\nHost: a\r\nX:", [408]),
    (post(b"Content-Length: 25", body=HALF), [408]),
    (post(b"Transfer-Encoding: chunked", body=b"a\r\n" + HALF + b"\r\n"), [408]),
    (produce(), [200]),
    (produce() + b"POST /topics", [200, 408]),
    (produce() + post(b"Content-Length: 25", body=HALF), [200, 408]),
    (b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\n\r\n", [404]),
]


def test_a_client_that_stops_is_told_and_left(impatient: Served) -> None:
    with ExitStack() as stack:
        connections = []
        for sent, _ in STOPS:  # each at once: its time begins with the connection
            connections.append(stack.enter_context(impatient.connect()))
            connections[-1].sendall(sent)
        found = [statuses(until_closed(connection)) for connection in connections]
    assert found == [answers for _, answers in STOPS]


def test_streams_that_do_not_fit_together_are_told(small: Served) -> None:
    """Bodies without a length that are answered while they come in: none of their records has ended."""
    clusters = small.say(b"GET /v3/clusters HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    cluster = json.loads(clusters.partition(b"\r\n\r\n")[2])["data"][0]["cluster_id"]
    head = f"POST /v3/clusters/{cluster}/topics/pin/records HTTP/1.1".encode()
    headers = b"Host: a", b"Content-Type: application/json", b"Transfer-Encoding: chunked"
    begun = b'{"value":{"type":"STRING","data":"' + b"x" * 40_000
    head = b"\r\n".join((head, *headers, b"", b""))
    sent = b"%x\r\n%b\r\n" % (len(begun), begun)

    def open_stream() -> socket.socket:
        connection = stack.enter_context(small.connect())
        connection.sendall(head)
        _until(connection, b"\r\n\r\n")  # the answer has begun
        connection.sendall(sent)
        return connection

    with ExitStack() as stack:
        fitting = [open_stream() for _ in range(2)]
        assert until(lambda: small.figure("bytes_in_flight") > 80_000)
        assert b'"error_code":50303' in _until(open_stream(), b"\r\n0\r\n")
        fitting[0].sendall(b'4\r\n"}}\n\r\n0\r\n\r\n')
        assert b'"error_code":200' in _until(fitting[0], b"\r\n0\r\n")
    assert until(lambda: small.figure("bytes_in_flight") == 0)


def _until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while end not in received:
        received += connection.recv(65_536)
    return received


def test_a_client_that_goes_on_slowly_gets_no_more_time(impatient: Served) -> None:
    with impatient.connect() as connection:
        connection.sendall(b"GET /topics HTTP/1.1\r\nX: ")
        connection.settimeout(0.05)
        received = b""
        deadline = time.monotonic() + SECONDS
        while not received and time.monotonic() < deadline:
            connection.sendall(b"a")
            try:
                received = connection.recv(1_000)
            except TimeoutError:
                continue
    assert statuses(received) == [408]


def test_a_client_that_takes_no_answer_is_left(tmp_path: Path) -> None:
    records = b",".join([b'{"value":"%s"}' % (b"a" * 10_000)] * 800)
    large = produce(b"Connection: close", body=b'{"records":[%s]}' % records)
    with served(tmp_path, answer_seconds=1.0) as running, socket.socket() as connection:
        assert statuses(running.say(large)) == [200]
        shard = b"/streams/pin/sharditerator?shard-id=shardId-000000000000"
        asked = running.say(b"GET " + shard + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        iterator = asked.split(b'"ShardIterator":"')[1].split(b'"')[0]
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(SECONDS)
        connection.connect(("127.0.0.1", running.port))
        connection.sendall(
            b"GET /streams/pin/records HTTP/1.1\r\nHost: a\r\nShard-Iterator: " + iterator + b"\r\n\r\n"
        )
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200 ")
        assert running.holds(connection)
        assert until(lambda: not running.holds(connection))
        assert len(until_closed(connection)) < len(large)


def test_bodies_that_do_not_fit_together_are_refused_before_they_are_sent(small: Served) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(small.connect())
        first.sendall(post(b"Content-Length: 60000", b"Connection: close", body=HALF))
        assert until(lambda: small.figure("bytes_in_flight") == 60_000)
        received = small.say(post(b"Content-Length: 50000"))
        assert statuses(received) == [503]
        assert b"retry-after: 1\r\n" in received
        assert statuses(small.say(LAST)) == [200]
        first.sendall(ONE[10:] + b" " * (60_000 - len(ONE)))
        assert statuses(until_closed(first)) == [200]
    assert until(lambda: small.figure("bytes_in_flight") == 0)
    assert statuses(small.say(produce(b"Connection: close", body=ONE + b" " * 59_000))) == [200]


def test_a_body_without_a_length_is_counted_as_it_comes(small: Served) -> None:
    chunk = b"c350\r\n" + b" " * 50_000 + b"\r\n"
    with small.connect() as first, small.connect() as second:
        first.sendall(post(b"Transfer-Encoding: chunked", body=chunk))
        assert until(lambda: small.figure("bytes_in_flight") == 50_000)
        second.sendall(post(b"Transfer-Encoding: chunked", body=chunk))
        assert until(lambda: small.figure("bytes_in_flight") == 100_000)
        assert statuses(small.say(LAST)) == [503]
    assert until(lambda: small.figure("bytes_in_flight") == 0)
    assert statuses(small.say(LAST)) == [200]


def test_one_connection_more_than_is_taken_is_told_so(small: Served) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(small.connect()) for _ in range(10)]
        assert until(lambda: statuses(small.say(LAST)) == [503])
        received = small.say(LAST)
        assert b"retry-after: 1\r\n" in received
        held[0].sendall(LAST)
        assert statuses(until_closed(held[0])) == [200]
    assert until(lambda: statuses(small.say(LAST)) == [200])


def test_a_thousand_clients_that_wait_take_little_memory(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served(tmp_path_factory.mktemp("patient")) as patient, ExitStack() as stack:
        assert statuses(patient.say(LAST)) == [200]
        before = patient.memory()
        for number in range(1_000):
            connection = stack.enter_context(patient.connect())
            connection.sendall(post(b"Content-Length: 10000000", body=HALF) if number % 2 else b"GET /topics")
        assert until(lambda: patient.figure("connections") > 500)
        assert patient.memory() - before < 40_000_000
        assert patient.figure("bytes_in_flight") <= 256 * 2**20
        assert statuses(patient.say(LAST)) == [200]
