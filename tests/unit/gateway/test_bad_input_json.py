"""A corpus of JSON in the spirit of JSONTestSuite: valid is kept byte for byte, invalid is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway.app import create_app
from tests.unit.gateway.conftest import Client

MILLION = 10**6
LARGEST = 12 * 2**20

VALID = {
    "null inside": b"[null]",
    "true": b"true",
    "zero": b"0",
    "minus zero": b"-0",
    "a number with all its parts": b"-12.34e+056",
    "a capital exponent": b"1E2",
    "a number beyond 64 bits": b"123456789012345678901234567890",
    "a number beyond a double's digits": b"0.1234567890123456789012345678901234567890",
    "a number beyond a double": b"1e400",
    "a number too small for a double": b"1e-400",
    "a number of 10 MB": b"9" * (10 * MILLION),
    "the empty text": b'""',
    "every escape": rb'"\"\\\/\b\f\n\r\t\u00e9"',
    "an escape of NUL": rb'"\u0000"',
    "a pair of surrogates": rb'"\ud83d\ude00"',
    "small and capital digits of an escape": rb'"\uABcd"',
    "DEL": b'"\x7f"',
    "UTF-8 of two, three and four bytes": '"é€😀"'.encode(),
    "the last character": '"\U0010ffff"'.encode(),
    "characters that are none": '"\uffff\U0001fffe"'.encode(),
    "line separators": '"\u2028\u2029"'.encode(),
    "a byte order mark in a text": '"\ufeff"'.encode(),
    "the empty array": b"[]",
    "the empty object": b"{}",
    "blanks of each kind inside": b"[ 1 ,\t2 ,\r\n3 ]",
    "the same key twice": b'{"a":1,"a":2}',
    "an empty key": b'{"":1}',
    "a key with an escape": rb'{"\u0061":1}',
    "a million numbers": b"[" + b",".join([b"1"] * MILLION) + b"]",
    "a million keys": b"{" + b",".join(b'"%d":0' % number for number in range(MILLION)) + b"}",
    "900 levels": b"[" * 900 + b"]" * 900,
    "900 levels of objects": b'{"a":' * 900 + b"1" + b"}" * 900,
}

INVALID = {
    "nothing": b"",
    "a comma alone": b",",
    "a word": b"nope",
    "a capital word": b"True",
    "half a word": b"tru",
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "minus Infinity": b"-Infinity",
    "a number with a plus": b"+1",
    "a leading zero": b"01",
    "a leading zero after a minus": b"-01",
    "a point without digits before": b".5",
    "a point without digits after": b"5.",
    "an exponent without digits": b"1e",
    "an exponent with a sign only": b"1e+",
    "a minus alone": b"-",
    "a number in hex": b"0x10",
    "two numbers": b"1 2",
    "single quotes": b"'a'",
    "no closing quote": b'"a',
    "a line break in a text": b'"a\nb"',
    "a tab in a text": b'"a\tb"',
    "NUL in a text": b'"a\0b"',
    "NUL after a value": b"1\0",
    "an unknown escape": rb'"\a"',
    "an escape in octal": rb'"\012"',
    "an escape in hex": rb'"\x41"',
    "half an escape": rb'"\u00e"',
    "a high surrogate alone": rb'"\ud83d"',
    "a low surrogate alone": rb'"\ude00"',
    "surrogates in the wrong order": rb'"\ude00\ud83d"',
    "a high surrogate and a letter": rb'"\ud83dx"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "an overlong slash": b'"\xc0\xaf"',
    "a lone continuation": b'"\x80"',
    "a sequence cut short": b'"\xe2\x82"',
    "a byte that UTF-8 has not": b'"\xff"',
    "beyond the last character": b'"\xf4\x90\x80\x80"',
    "latin-1": b'"\xe9"',
    "a trailing comma": b"[1,]",
    "a leading comma": b"[,1]",
    "two commas": b"[1,,2]",
    "no comma": b"[1 2]",
    "no closing bracket": b"[1",
    "a wrong bracket": b"[1}",
    "a key without quotes": b"{a:1}",
    "a number as a key": b"{1:1}",
    "no value": b'{"a":}',
    "no colon": b'{"a" 1}',
    "two colons": b'{"a"::1}',
    "a trailing comma in an object": b'{"a":1,}',
    "a comment": b"/* a */ 1",
    "a line comment": b"1 // a",
    "a form feed": b"\x0c1",
    "a blank that JSON has not": "\u00a01".encode(),
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
    "100,000 levels of objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 levels without end": b"[" * 100_000,
}


@pytest.fixture
def large(tmp_path: Path) -> Iterator[tuple[Client, SqliteStreamLog]]:
    """A gateway over a log that takes records of 12 MiB."""
    log = SqliteStreamLog(tmp_path / "large.sqlite", LARGEST)
    log.create("pin", 1)
    yield Client(create_app(GatewaySettings(max_body_bytes=LARGEST), log, log)), log
    log.close()


@pytest.mark.parametrize("name", VALID)
def test_valid_json_is_kept_as_it_was_sent(large: Any, name: str) -> None:
    client, log = large
    value = VALID[name]
    answer = client.produce(b'{"records":[{"value":' + value + b"}]}", "pin")
    assert answer.status_code == 200
    assert answer.json()["offsets"][0]["error_code"] is None
    assert [record.value for record in log.read("pin", 0, 0, 10)] == [value]


@pytest.mark.parametrize("name", INVALID)
@pytest.mark.parametrize("place", ["value", "key"])
def test_invalid_json_is_refused_and_nothing_is_kept(large: Any, name: str, place: str) -> None:
    client, log = large
    answer = client.produce(b'{"records":[{"%s":%s}]}' % (place.encode(), INVALID[name]), "pin")
    assert (answer.status_code, answer.json()["error_code"]) == (422, 42203)
    put = client.put("/streams/pin/record", b'{"PartitionKey":"a","Data":%s}' % INVALID[name])
    assert (put.status_code, put.json()["__type"]) == (400, "SerializationException")
    assert log.ends("pin") == {0: 0}


@pytest.mark.parametrize(
    ("value", "half"),
    [
        (rb'"\ud83d"', r"\ud83d"),
        (rb'"\uDE00"', r"\uDE00"),
        (rb'"\ude00\ud83d"', r"\ude00"),
        (rb'{"a":"\ud83d\ude00 \ud83dx"}', r"\ud83d"),
    ],
)
def test_half_a_pair_of_surrogates_is_called_so(large: Any, value: bytes, half: str) -> None:
    client, _ = large
    answer = client.produce(b'{"records":[{"value":' + value + b"}]}", "pin")
    assert f"{half} is half of a pair" in answer.json()["message"]


AROUND = b'{"records":[{"value":1}]}'


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + AROUND,
        AROUND.decode().encode("utf-16"),
        AROUND.decode().encode("utf-16-le"),
        AROUND.decode().encode("utf-32"),
        AROUND + b"x",
        AROUND + b"\0",
        AROUND + AROUND,
        AROUND[:-1],
        b"",
        b"\0",
        b"\xff",
        b"[" * MILLION,
        b'{"records":' * 100_000,
    ],
)
def test_what_is_around_the_records_is_json_too(large: Any, body: bytes) -> None:
    client, log = large
    assert client.produce(body, "pin").status_code == 422
    assert client.put("/streams/pin/records", body).status_code == 400
    assert log.ends("pin") == {0: 0}


@pytest.mark.parametrize("blank", [b" ", b"\n", b"\r\n\t "])
def test_blanks_around_the_body_are_nothing(large: Any, blank: bytes) -> None:
    client, _ = large
    assert client.produce(blank + AROUND + blank * 1_000, "pin").status_code == 200


def test_a_million_unknown_keys_are_refused_and_ignored(large: Any) -> None:
    """The REST proxy knows its fields; AWS passes over those it does not know."""
    client, _ = large
    keys = b",".join(b'"%d":0' % number for number in range(MILLION // 2))
    assert client.produce(b'{"records":[{"value":1}],' + keys + b"}", "pin").status_code == 422
    put = client.put("/streams/pin/record", b'{"Data":1,"PartitionKey":"a",' + keys + b"}")
    assert put.status_code == 200


def test_of_a_key_that_comes_twice_the_last_one_counts(large: Any) -> None:
    client, log = large
    assert client.produce(b'{"records":[],"records":[{"value":1,"value":2}]}', "pin").status_code == 200
    assert [record.value for record in log.read("pin", 0, 0, 10)] == [b"2"]
