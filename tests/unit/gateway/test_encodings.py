"""What was encoded twice is told, and what was not is never told."""

import base64
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.gateway import encodings

POSTS = st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=20), max_size=4)
DOCUMENTS = POSTS | st.lists(POSTS, max_size=3)


def in_json(data: bytes) -> bytes:
    return json.dumps(data.decode()).encode()


ENCODINGS: list[Callable[[bytes], bytes]] = [in_json, base64.b64encode, base64.urlsafe_b64encode]


@given(DOCUMENTS, st.lists(st.sampled_from(ENCODINGS), min_size=1, max_size=3), st.none() | st.just(2))
def test_whatever_was_encoded_again_is_told(
    document: Any, again: list[Callable[[bytes], bytes]], indent: int | None
) -> None:
    data = json.dumps(document, indent=indent).encode()
    for encode in again:
        data = encode(data)
    said = encodings.hint([b"{}", data])
    assert said is not None
    assert said.startswith("the data of record 1 are JSON ")
    assert ("within a JSON string" in said) == (again[-1] is in_json)


@given(DOCUMENTS | st.integers() | st.booleans() | st.none(), st.booleans())
def test_what_was_encoded_once_is_not(document: Any, compact: bool) -> None:
    separators = (",", ":") if compact else None
    assert encodings.hint([json.dumps(document, separators=separators).encode()]) is None


@given(st.text(max_size=40))
def test_plain_text_is_not(text: str) -> None:
    if text[:1] not in ('"', "e", "W", "I", "Z", "V", "S"):
        assert encodings.hint([text.encode()]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"", b'"quoted"', b'"{"', b'"{}', b"eyJ", b"eyJh", b"everything", b"Weather", b"SGVsbG8=", b"VVVV",
        b'"\\ud800"', base64.b64encode(b"\xff{}"), base64.b64encode(b'"text"'), b'"' * 1_000, None,
    ],
)  # fmt: skip
def test_texts_that_only_look_alike_are_not(data: bytes | None) -> None:
    assert encodings.hint([data]) is None


def test_the_records_are_named() -> None:
    twice = in_json(b'{"index":1}')
    said = encodings.hint([b"{}", *[twice] * 8, base64.b64encode(b"{}")])
    assert said is not None
    assert "record 1, 2, 3, 4, 5, … are JSON within a JSON string" in said


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (json.dumps(json.dumps({"Data": 1, "PartitionKey": "k"})), "json=payload"),
        (json.dumps({"records": json.dumps([{"data": 1, "partition-key": "k"}])}), "list of objects"),
        (json.dumps({"records": [json.dumps({"data": 1, "partition-key": "k"})]}), "list of objects"),
    ],
)
def test_bodies_that_were_encoded_twice(body: str, says: str) -> None:
    assert says in str(encodings.hint_of_body(body.encode()))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"1", b'"text"', b"[]", b"{}", b'{"records":1}', b'{"records":[1]}']
)
def test_bodies_that_are_wrong_otherwise(body: bytes) -> None:
    assert encodings.hint_of_body(body) is None


def test_of_a_large_body_only_what_is_told_is_made() -> None:
    """Ten megabytes of empty lists became objects for two seconds, in which nobody else was answered."""
    body = b'{"a":[' + b"[]," * 300_000 + b'0],"records":["{}"]}'
    tracemalloc.start()
    try:
        assert "is text" in str(encodings.hint_of_body(body))
        assert tracemalloc.get_traced_memory()[1] < len(body)
    finally:
        tracemalloc.stop()
