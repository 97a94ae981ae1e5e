"""What a client may send on one connection, byte by byte, against a server on loopback."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.gateway.served import ONE, Served, post, produce, served, statuses, until_closed

CHUNKED = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
SECOND = produce(b"Connection: close")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Bodies of up to 5,000 bytes, heads of up to 2,000, addresses of up to 300."""
    sizes = {"max_body_bytes": 5_000, "max_header_bytes": 2_000, "max_url_bytes": 300}
    with served(tmp_path_factory.mktemp("served"), **sizes) as running:
        yield running


AMBIGUOUS = {
    "CL.TE": post(b"Content-Length: 5", CHUNKED, body=END + SECOND),
    "TE.CL": post(CHUNKED, b"Content-Length: 5", body=END + SECOND),
    "two lengths": post(b"Content-Length: 25", b"Content-Length: 5", body=ONE),
    "the same length twice": post(b"Content-Length: 25", b"Content-Length: 25", body=ONE),
    "a list of lengths": post(b"Content-Length: 25, 25", body=ONE),
    "a signed length": post(b"Content-Length: +25", body=ONE),
    "a negative length": post(b"Content-Length: -1", body=ONE),
    "a length in hex": post(b"Content-Length: 0x19", body=ONE),
    "no length in the length": post(b"Content-Length: ", body=ONE),
    "a length of 23 digits": post(b"Content-Length: 99999999999999999999999", body=ONE),
    "a blank before the colon": post(b"Content-Length : 25", body=ONE),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=END),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=END),
    "chunked, identity": post(b"Transfer-Encoding: chunked, identity", body=END),
    "chunked twice": post(CHUNKED, CHUNKED, body=END),
    "x, then chunked": post(b"Transfer-Encoding: x", CHUNKED, body=END),
    "chunked, then x": post(CHUNKED, b"Transfer-Encoding: x", body=END),
    "vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=END),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"', body=END),
    "chunked in HTTP/1.0": post(CHUNKED, body=END).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a folded header": post(b"X: a", b" b", body=ONE),
    "bare LF": produce().replace(b"\r\n", b"\n"),
    "bare LF after a header": produce(b"X: a\nY: b"),
    "bare CR": produce(b"X: a\rY: b"),
    "NUL in a header": produce(b"X: a\0b"),
    "NUL in the address": b"GET /topics\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "UTF-8 in the address": "GET /tópics HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "a blank in a name": produce(b"X Y: a"),
    "no name": produce(b": a"),
    "no colon": produce(b"abc"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 as a version": b"GET /topics HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /topics\r\n\r\n",
    "HTTP/1.2": b"GET /topics HTTP/1.2\r\nHost: a\r\n\r\n",
    "no Host": b"GET /topics HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /topics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "an address with a wrong port": b"GET http://a:99999999/topics HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method in small letters": b"get /topics HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a chunk of LF": post(CHUNKED, body=b"1\nx\n0\n\n"),
    "a chunk of negative size": post(CHUNKED, body=b"-1\r\nx\r\n" + END),
    "a chunk size in C": post(CHUNKED, body=b"0x1\r\nx\r\n" + END),
    "a chunk size too large": post(CHUNKED, body=b"ffffffffffffffffff\r\nx\r\n" + END),
    "a chunk that is longer than it says": post(CHUNKED, body=b"1\r\nxyz\r\n" + END),
    "a chunk extension with LF": post(CHUNKED, body=b"1;a\nb\r\nx\r\n" + END),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_two_servers_could_read_differently_is_refused_and_the_connection_closed(
    server: Served, name: str
) -> None:
    before = server.produced()
    received = server.say(AMBIGUOUS[name])
    assert statuses(received) == [400]
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert set(json.loads(body)) == {"error_code", "__type", "message"}
    assert server.produced() == before


@pytest.mark.parametrize("name", ["xchunked", "x, then chunked", "two lengths", "no Host"])
def test_a_refused_request_does_not_reach_its_operation(server: Served, name: str) -> None:
    """A DELETE is a request that needs no body to do its harm."""
    delete = (
        AMBIGUOUS[name]
        .replace(b"POST /topics/pin", b"DELETE /streams/pin")
        .replace(b"GET /topics", b"DELETE /streams/pin")
    )
    assert statuses(server.say(delete)) == [400]
    assert statuses(server.say(SECOND)) == [200]


def test_what_comes_before_a_bad_request_is_answered_first(server: Served) -> None:
    before = server.produced()
    received = server.say(produce() + produce() + AMBIGUOUS["CL.TE"])
    assert statuses(received) == [200, 200, 400]
    assert server.produced() == before + 2


def test_requests_may_come_before_the_answers(server: Served) -> None:
    before = server.produced()
    received = server.say(b"".join([produce()] * 20) + SECOND)
    assert statuses(received) == [200] * 21
    offsets = [int(part.split(b",")[0]) for part in received.split(b'"offset":')[1:]]
    assert offsets == list(range(before, before + 21))


def test_requests_before_the_answers_are_bounded(server: Served) -> None:
    before = server.produced()
    found = statuses(server.say(b"".join([produce()] * 500)))
    assert found[-1] == 400
    assert set(found[:-1]) == {200}
    assert server.produced() == before + len(found) - 1 < before + 500


@pytest.mark.parametrize("step", [1, 7, 400])
def test_a_request_may_come_in_pieces(server: Served, step: int) -> None:
    whole = post(
        CHUNKED, b"Connection: close", body=b"5\r\n" + ONE[:5] + b"\r\n14\r\n" + ONE[5:] + b"\r\n" + END
    )
    assert statuses(server.say(*(whole[start : start + step] for start in range(0, len(whole), step)))) == [
        200
    ]


def test_a_trailer_is_no_header(server: Served) -> None:
    body = b"19\r\n" + ONE + b"\r\n0\r\nIdempotency-Key: a\r\nContent-Encoding: gzip\r\n\r\n"
    assert statuses(server.say(post(CHUNKED, body=body) + SECOND)) == [200, 200]


def test_an_offer_of_another_protocol_is_passed_over(server: Served) -> None:
    """As Java's HTTP client makes it, with its first request."""
    offer = (b"Connection: close, Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEA")
    before = server.produced()
    assert statuses(server.say(produce(*offer))) == [200]
    assert server.produced() == before + 1


@pytest.mark.parametrize("size", [1_000, 30_000, 3_000_000])
def test_a_head_too_large(server: Served, size: int) -> None:
    grown = 2 if size < 2_000 else 1
    headers = [b"X-%d: " % number + b"a" * size for number in range(grown)]
    assert statuses(server.say(produce(*headers))) == [431]


def test_a_head_without_end_is_not_kept(server: Served) -> None:
    before = server.memory()
    endless = [b"a" * 100_000] * 300
    assert statuses(server.say(b"GET /topics HTTP/1.1\r\nX: ", *endless)) == [431]
    assert server.memory() - before < 10_000_000


def test_a_trailer_without_end_is_refused(server: Served) -> None:
    assert statuses(server.say(post(CHUNKED, body=b"0\r\nX: " + b"a" * 200_000))) == [431]


def test_chunks_of_one_byte_are_taken(server: Served) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in ONE + b" " * 2_000)
    assert statuses(server.say(post(CHUNKED, b"Connection: close", body=chunks + END))) == [200]


@pytest.mark.parametrize("size", [400, 10_000, 1_000_000])
def test_an_address_too_long(server: Served, size: int) -> None:
    received = server.say(b"GET /topics/" + b"a" * size + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert statuses(received) in ([414], [431])
    assert size > 400 or statuses(received) == [414]


def test_an_answer_before_its_body_is_seen_though_it_is_the_last_one(tmp_path: Path) -> None:
    """Closed on a client that still sends, the connection was reset, and the answer lost with it."""
    request = post(b"Content-Length: 3000000", b"Connection: close").replace(b"kafka.json", b"kafka.none")
    with served(tmp_path) as large, large.connect() as connection:
        connection.sendall(request)
        connection.recv(1, socket.MSG_PEEK)
        for _ in range(30):
            connection.sendall(b"x" * 100_000)
        assert statuses(until_closed(connection)) == [415]


def test_an_announced_body_too_large_is_refused_before_it_is_sent(server: Served) -> None:
    with server.connect() as connection:
        connection.sendall(post(b"Content-Length: 5001", b"Expect: 100-continue"))
        received = until_closed(connection)
    assert statuses(received) == [413]


def test_a_body_that_grows_too_large_is_refused(server: Served) -> None:
    before = server.produced()
    chunks = b"".join([b"3e8\r\n" + b" " * 1_000 + b"\r\n"] * 6)
    assert statuses(server.say(post(CHUNKED, body=chunks + END))) == [413]
    assert server.produced() == before


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(server: Served) -> None:
    with server.connect() as connection:
        connection.sendall(post(b"Content-Length: 25", b"Expect: 100-continue", b"Connection: close"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(ONE)
        assert statuses(until_closed(connection)) == [200]


def test_a_client_that_was_not_asked_for_its_body_gets_its_last_answer(server: Served) -> None:
    """It may leave its body out: its next request was read in place of it, and never answered."""
    waiting = b"Content-Length: 25\r\nExpect: 100-continue\r\n\r\n"
    received = server.say(b"POST /topics/pin HTTP/1.1\r\nHost: a\r\n" + waiting)
    assert statuses(received) == [415]
    assert b"\r\nconnection: close\r\n" in received
    with server.connect() as connection:
        connection.sendall(post(b"Content-Length: 25", b"Expect: 100-continue", body=ONE) + SECOND)
        assert statuses(until_closed(connection)) == [100, 200, 200]


def test_a_body_nobody_asked_for_does_not_disturb_the_next_request(server: Served) -> None:
    wrong_media = b"POST /topics/pin HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(wrong_media)
        assert statuses(connection.recv(1_000)) == [415]
        connection.sendall(ONE + SECOND)
        assert statuses(until_closed(connection)) == [200]


@pytest.mark.parametrize(
    "target", [b"*", b"http://other/nothing", b"//", b"/%", b"/%ff%fe", b"/%00", b"/nothing?" + b"a" * 100]
)
def test_an_address_of_any_form_is_answered(server: Served, target: bytes) -> None:
    assert statuses(server.say(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")) == [
        404
    ]
