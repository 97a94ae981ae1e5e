import itertools
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.gateway.json_stream import ObjectStream

texts = st.text(alphabet=st.sampled_from('{}[]"\\ \n\tü😀a'), max_size=8)
values = st.recursive(
    texts | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.lists(st.dictionaries(texts, values, max_size=4), max_size=6)
blanks = st.text(alphabet=" \t\r\n", max_size=3)


@given(objects, blanks, st.booleans(), st.lists(st.integers(0, 400), max_size=12))
def test_objects_are_found_however_they_are_cut(
    given: list[dict[str, Any]], blank: str, ascii_only: bool, cuts: list[int]
) -> None:
    written = [json.dumps(one, ensure_ascii=ascii_only).encode() for one in given]
    body = blank.encode() + blank.encode().join(written) + blank.encode()
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    stream = ObjectStream()
    found = [one for start, end in itertools.pairwise(places) for one in stream.feed(body[start:end])]
    assert found == written
    assert (stream.held, stream.broken) == (0, False)


def test_byte_by_byte() -> None:
    body = b'{"a":"\\"}\\\\"}{"b":{"c":"{"}}'
    stream = ObjectStream()
    found = [one for place in range(len(body)) for one in stream.feed(body[place : place + 1])]
    assert found == [b'{"a":"\\"}\\\\"}', b'{"b":{"c":"{"}}']


def ends(body: str) -> list[int]:
    """Where the objects of a body end that begins with one, character by character."""
    found, depth, in_text, escaped = [], 0, False, False
    for place, character in enumerate(body, 1):
        if not depth and character not in "{ ":
            break
        if in_text:
            in_text = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_text = True
        elif character in "{}":
            depth += 1 if character == "{" else -1
            found += [place] if not depth else []
    return found


@given(st.text(alphabet='{}{}{}"\\ a[', max_size=60), st.lists(st.integers(0, 60), max_size=12))
def test_braces_and_texts_decide_also_where_nothing_is_valid(rest: str, cuts: list[int]) -> None:
    body = "{" + rest
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    stream = ObjectStream()
    found = [
        one for start, end in itertools.pairwise(places) for one in stream.feed(body[start:end].encode())
    ]
    expected = ends(body)
    assert [one.decode().strip() for one in found] == [
        body[start:end].strip() for start, end in itertools.pairwise([0, *expected])
    ]


def test_what_is_no_object_ends_the_stream_after_the_ones_before_it() -> None:
    for wrong in (b"[1]", b"7", b'"text"', b"}", b",", b"null", b"\xef\xbb\xbf{}"):
        stream = ObjectStream()
        assert stream.feed(b'{"a":1}\n' + wrong + b'{"b":1}') == [b'{"a":1}']
        assert stream.broken
        assert stream.feed(b'{"c":1}') == []


def test_an_object_that_has_not_ended_is_held() -> None:
    stream = ObjectStream()
    assert stream.feed(b' {"a":"}') == []
    assert stream.held == len(b'{"a":"}')
    assert stream.feed(b'"}') == [b'{"a":"}"}']


def test_the_work_grows_with_the_bytes_and_not_with_their_square() -> None:
    """A text of a megabyte in pieces of ten bytes: looked at twice in full it would not end in time."""
    stream = ObjectStream()
    assert stream.feed(b'{"a":"') == []
    for _ in range(100_000):
        assert stream.feed(b'}{\\"}{}{}{'[:10]) == []
    assert stream.feed(b'"}')[0].startswith(b'{"a":"}{')
