"""Wrong media types, numbers, names and addresses: a clear answer below 500, and nothing is kept."""

import gzip
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinterest_pipeline.eventlog.sqlite import SqliteEventLog

TOPIC = "124df56aef51.pin"
STREAM = "streaming-124df56aef51-pin"
ONE = b'{"records":[{"value":1}]}'
JSON = "application/vnd.kafka.json.v2+json"


def post(client: Any, path: str, body: bytes = ONE, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.send("POST", path, content=body, headers={"Content-Type": JSON} | named)


@pytest.mark.parametrize(
    "media",
    [
        "",
        "text/plain",
        "application/xml",
        "application/vnd.kafka.v2+json",
        "application/vnd.kafka.json.v2",
        "application/vnd.kafka.json.v2+jsonx",
        "multipart/form-data; boundary=x",
        "\u00e9",
        JSON + "," + JSON,
    ],
)
def test_a_media_type_we_do_not_read(client: Any, topics: SqliteEventLog, media: str) -> None:
    answer = client.send(
        "POST", f"/topics/{TOPIC}", content=ONE, headers=[(b"Content-Type", media.encode("latin-1"))]
    )
    assert (answer.status_code, answer.json()["error_code"]) == (415, 415)
    assert topics.ends(TOPIC) == {0: 0, 1: 0}


@pytest.mark.parametrize(
    "media", [JSON.upper(), JSON + ";charset=utf-8", JSON + "; charset=utf-16", f" {JSON} ;x"]
)
def test_parameters_and_letter_case_of_the_media_type_do_not_matter(client: Any, media: str) -> None:
    assert client.produce(ONE, media=media).status_code == 200


def test_a_body_that_is_packed_is_refused_unread(client: Any, topics: SqliteEventLog) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    for encoding in ("gzip", "GZIP", "br", "deflate", "gzip, identity", "x"):
        answer = post(client, f"/topics/{TOPIC}", bomb, Content_Encoding=encoding)
        assert (answer.status_code, answer.json()["error_code"]) == (415, 415)
        assert encoding in answer.json()["message"]
    put = client.send("PUT", f"/streams/{STREAM}/record", content=bomb, headers={"Content-Encoding": "gzip"})
    assert (put.status_code, put.json()["__type"]) == (415, "UnsupportedMediaTypeException")
    assert post(client, f"/topics/{TOPIC}", Content_Encoding="identity").status_code == 200


@pytest.mark.parametrize(
    "name",
    [
        "%2e",
        "%00",
        "a%00b",
        "a" * 250,
        "%2e%2e",
        "a%20b",
        "%C3%A9",
        "%D0%B0",
        "a%0Ab",
        "%F0%9F%98%80",
        "%ff",
        "a:b",
        "*",
        "$x",
        "a%5Cb",
    ],
)
def test_a_name_that_no_topic_has(client: Any, topics: SqliteEventLog, name: str) -> None:
    answer = post(client, f"/topics/{name}")
    assert answer.status_code in (400, 404)
    assert answer.json()["error_code"] in (40002, 404)
    assert client.get(f"/topics/{name}").status_code in (400, 404)
    created = client.send("POST", f"/streams/{name}")
    assert created.status_code in (400, 404)
    assert client.send("DELETE", f"/streams/{name}").status_code in (400, 404)
    assert topics.topics() == [TOPIC]


@pytest.mark.parametrize(
    "path",
    [
        "/topics/..%2fstreams",
        "/topics/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/topics/a%2fb",
        "//topics",
        "/topics//",
        "/topics/",
        "/;/topics",
        "/topics;a=b",
    ],
)
def test_a_path_is_taken_as_it_is(client: Any, path: str) -> None:
    address = f"http://gateway{path}"  # whole, since '//topics' alone would name a host
    assert client.get(address).status_code == 404
    assert post(client, address).status_code == 404


@pytest.mark.parametrize(
    "partition", ["-1", "2147483648", "9223372036854775808", "1e400", "0.5", "true", '"0"', "[]", "{}"]
)
def test_a_partition_that_is_none(client: Any, topics: SqliteEventLog, partition: str) -> None:
    answer = client.produce(b'{"records":[{"value":1,"partition":%s}]}' % partition.encode())
    if answer.status_code == 200:
        assert answer.json()["offsets"][0]["error_code"] == 40402
    else:
        assert (answer.status_code, answer.json()["error_code"]) == (422, 422)
    assert topics.ends(TOPIC) == {0: 0, 1: 0}


@pytest.mark.parametrize("count", ["0", "-1", "1001", "2147483648", "1.5", '"1"', "true", "1e400"])
def test_a_number_of_shards_that_is_none(client: Any, count: str) -> None:
    answer = client.send(
        "POST",
        "/streams/new",
        content=b'{"ShardCount":%s}' % count.encode(),
        headers={"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["__type"]) == (400, "ValidationException")


@pytest.mark.parametrize(
    "token", ["x", "W10=", "bnVsbA==", "é", "A" * 10_000, "WyJhIiwxLDkyMjMzNzIwMzY4NTQ3NzU4MDgsMF0="]
)
def test_an_iterator_that_was_not_given_here(client: Any, token: str) -> None:
    header = [(b"Shard-Iterator", token.encode("latin-1"))]
    answer = client.send("GET", f"/streams/{STREAM}/records", headers=header)
    assert (answer.status_code, answer.json()["__type"]) == (400, "InvalidArgumentException")


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "TRACE", "PUT", "FOO"])
def test_a_method_that_is_not_taken(client: Any, method: str) -> None:
    answer = client.send(method, f"/topics/{TOPIC}", headers={"X-HTTP-Method-Override": "GET"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


PATHS = st.sampled_from(
    [
        "/topics/a",
        "/topics",
        "/streams/a/record",
        "/streams/a",
        "/streams/a/records",
        "/health",
        "/ready",
        "/metrics",
    ]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
    path=st.one_of(PATHS, st.text(max_size=30).map(lambda text: "/" + quote(text))),
    body=st.one_of(
        st.binary(max_size=60),
        st.sampled_from([ONE, b"{}", b"[]", b"null", b'{"records":null}', b'{"records":[null]}']),
    ),
    headers=st.dictionaries(
        st.sampled_from(
            [
                "Content-Type",
                "Idempotency-Key",
                "traceparent",
                "Shard-Iterator",
                "Content-Encoding",
                "Content-Length",
                "Accept",
            ]
        ),
        st.one_of(
            st.sampled_from([JSON, "application/json", "-1", "1e3", "9" * 30]),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
        ),
        max_size=3,
    ),
)
def test_nothing_is_an_error_of_ours(
    client: Any, method: str, path: str, body: bytes, headers: dict[str, str]
) -> None:
    assert client.send(method, path, content=body, headers=headers).status_code < 500
