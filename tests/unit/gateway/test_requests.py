import json
import tracemalloc
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.gateway import requests
from pinterest_pipeline.gateway.error_codes import MISSING_VALUE, NOT_JSON, TOO_LARGE, Fault, Kind

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def parsed(body: bytes) -> list[Record]:
    records = requests.produced(body, 100)
    assert not isinstance(records, Fault), records
    return records


def fault(found: object) -> Fault:
    assert isinstance(found, Fault), found
    return found


@given(st.lists(JSON, min_size=1, max_size=4), st.sampled_from([None, 2]), st.booleans())
def test_any_json_value_goes_in_as_it_is(values: list[object], indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(
        {"records": [{"value": value} for value in values]}, indent=indent, ensure_ascii=ascii_only
    ).encode("utf-8", "surrogatepass")
    assert [json.loads(record.value or b"null") for record in parsed(body)] == values


def test_values_keep_their_bytes_and_lose_the_blanks_around() -> None:
    value = b'{"b": 1.10,\n "a":\t[ 1e3 , 12345678901234567890123456789, "\\u00e9\\/" ], "b":2}'
    assert parsed(b'{"records": [ {"value" : \n ' + value + b" \t} ]}") == [Record(value)]


@pytest.mark.parametrize("value", [b"0", b"false", b'""', b"[]", b"{}", b"-0.0", b"1e999"])
def test_small_values_are_values(value: bytes) -> None:
    assert parsed(b'{"records":[{"value":' + value + b"}]}") == [Record(value)]


@pytest.mark.parametrize("record", [b'{"value":null}', b"{}", b'{"value":null,"key":null,"partition":null}'])
def test_null_is_a_tombstone(record: bytes) -> None:
    assert parsed(b'{"records":[' + record + b"]}") == [Record(None)]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b'"7528"', b'"7528"'),
        (b'"\\u0037528"', b'"7528"'),
        (b"7528", b"7528"),
        (b'{ "a" : [ 1 , 2 ] }', b'{"a":[1,2]}'),
        ('{"id":"é"}'.encode(), '{"id":"é"}'.encode()),
        (b'{"id":"\\u00e9"}', '{"id":"é"}'.encode()),
        (b'{"\\u0062":1.0,"a":["\\/\\ud83d\\ude00"]}', '{"b":1.0,"a":["/😀"]}'.encode()),
        (b'["\\\\u0061\\""]', b'["\\\\u0061\\""]'),
        ('"é"'.encode(), '"é"'.encode()),
        (b'"\\u00e9"', '"é"'.encode()),
        (b"null", None),
    ],
)
def test_a_key_has_one_form(key: bytes, expected: bytes | None) -> None:
    assert parsed(b'{"records":[{"key":' + key + b',"value":1}]}')[0].key == expected


NUMBERS = st.integers().map(str) | st.sampled_from(["1.0", "1", "-0", "1E+2", "1e2", "0.10", "9" * 100])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
TREES = st.recursive(
    TEXTS | NUMBERS.map(lambda digits: (digits,)) | st.sampled_from([("true",), ("null",)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def spelled(tree: Any, choose: Random) -> str:
    """The JSON of a tree, in which tuples are literals: strings escaped and blanks strewn by chance."""

    def string(text: str) -> str:
        letters = [choose.choice((json.dumps(one), json.dumps(one, ensure_ascii=False))) for one in text]
        return '"' + "".join(letter[1:-1] for letter in letters) + '"'

    blank = choose.choice(("", " ", "\n\t"))
    if isinstance(tree, tuple):
        return str(tree[0])
    if isinstance(tree, str):
        return string(tree)
    if isinstance(tree, list):
        return f"[{blank}{f'{blank},'.join(spelled(one, choose) for one in tree)}{blank}]"
    fields = (f"{string(name)}{blank}:{blank}{spelled(one, choose)}" for name, one in tree.items())
    return f"{{{blank}{f',{blank}'.join(fields)}}}"


@given(TREES.filter(lambda tree: tree != ("null",)), st.randoms(), st.randoms())
def test_a_key_has_the_same_bytes_however_it_is_spelled(tree: Any, one: Random, other: Random) -> None:
    keys = [
        parsed(f'{{"records":[{{"key":{spelled(tree, choose)},"value":1}}]}}'.encode())[0].key
        for choose in (one, other)
    ]
    assert keys[0] == keys[1]
    assert literal(json.loads(keys[0] or b"", parse_int=tuple_of, parse_float=tuple_of)) == literal(tree)


def tuple_of(text: str) -> tuple[str]:
    return (text,)


def literal(tree: Any) -> Any:
    """The tree with its fields in their order, and true and null as themselves."""
    if isinstance(tree, list):
        return [literal(one) for one in tree]
    if isinstance(tree, dict):
        return [(name, literal(one)) for name, one in tree.items()]
    return {("true",): True, ("null",): None}.get(tree, tree) if isinstance(tree, tuple) else tree


def test_a_partition_may_be_asked_for() -> None:
    body = b'{"records":[{"value":1,"partition":2}],"value_schema":null,"key_schema_id":7}'
    assert parsed(body) == [Record(b"1", partition=2)]


def deep(levels: int) -> bytes:
    return b'{"records":[{"value":' + b"[" * levels + b"]" * levels + b"}]}"


BAD_BODIES: list[tuple[bytes, Kind]] = [
    (b"", NOT_JSON),
    (b"index=1", NOT_JSON),
    (b"\xef\xbb\xbf{}", NOT_JSON),
    ('{"records":[{"value":1}]}'.encode("utf-16"), NOT_JSON),
    (b'{"records":[{"value":1}]} {}', NOT_JSON),
    (b'{"records":[{"value":{"a":', NOT_JSON),
    (b'{"records":[{"value":NaN}]}', NOT_JSON),
    (b'{"records":[{"value":[-Infinity]}]}', NOT_JSON),
    (b'{"records":[{"value":{"a":"\\ud800"}}]}', NOT_JSON),
    (b'{"records":[{"value":{"\\udc00":1}}]}', NOT_JSON),
    (b'{"records":[{"value":"\xed\xa0\x80"}]}', NOT_JSON),
    (b'{"records":[{"value":{"a":"\xff"}}]}', NOT_JSON),
    (b'{"records":[{"value":{"a":01}}]}', NOT_JSON),
    (b'{"records":[{"value":{\'a\':1}}]}', NOT_JSON),
    (b'{"records":[{"value":"a\nb"}]}', NOT_JSON),
    (deep(100_000), NOT_JSON),
    (b'{"index":1,"title":"x"}', MISSING_VALUE),
    (b"[]", MISSING_VALUE),
    (b"{}", MISSING_VALUE),
    (b"null", MISSING_VALUE),
    (b'{"records":null}', MISSING_VALUE),
    (b'{"records":[]}', MISSING_VALUE),
    (b'{"records":{"value":1}}', MISSING_VALUE),
    (b'{"records":[1]}', MISSING_VALUE),
    (b'{"records":[{"valeu":1}]}', MISSING_VALUE),
    (b'{"records":[{"value":1,"partition":-1}]}', MISSING_VALUE),
    (b'{"records":[{"value":1,"partition":"0"}]}', MISSING_VALUE),
    (b'{"records":[' + b"{}," * 100 + b"{}]}", TOO_LARGE),
]


@pytest.mark.parametrize(("body", "kind"), BAD_BODIES, ids=[str(body[:40]) for body, _ in BAD_BODIES])
def test_a_bad_body_is_a_fault_that_says_why(body: bytes, kind: Kind) -> None:
    found = fault(requests.produced(body, 100))
    assert found.kind is kind
    assert found.message


@given(st.binary(max_size=40))
def test_nothing_but_valid_json_reaches_the_log(noise: bytes) -> None:
    found = requests.produced(b'{"records":[{"value":"' + noise + b'"}]}', 100)
    if not isinstance(found, Fault):
        assert all(record.value is None or msgspec.json.decode(record.value) is not None for record in found)


def test_a_fault_names_the_place() -> None:
    assert (
        "$.records[1].partition"
        in fault(requests.produced(b'{"records":[{},{"partition":"x"}]}', 100)).message
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"index": 1, "a":"\\u00e9"}', b'{"index": 1, "a":"\\u00e9"}'),
        (b'"{\\"index\\":1}"', b'{"index":1}'),
        (b'"\\u00e9"', "é".encode()),
        (b'""', b""),
        (b"[1]", b"[1]"),
        (b"7", b"7"),
    ],
)
def test_data_of_a_stream(data: bytes, expected: bytes) -> None:
    one = requests.put_record(b'{"StreamName":"x","Data":' + data + b',"PartitionKey":"k"}')
    several = requests.put_records(b'{"records":[{"data":' + data + b',"partition-key":"k"}]}', 100)
    assert one == several == [Record(expected, b"k")]


@pytest.mark.parametrize(("key", "expected"), [('"é"', "é"), ("7528", "7528"), (f'"{"é" * 256}"', "é" * 256)])
def test_partition_keys(key: str, expected: str) -> None:
    body = f'{{"Data":1,"PartitionKey":{key}}}'.encode()
    assert requests.put_record(body) == [Record(b"1", expected.encode())]


@pytest.mark.parametrize(
    "body",
    [
        b'{"Data":1}',
        b'{"PartitionKey":"k"}',
        b'{"Data":null,"PartitionKey":"k"}',
        b'{"Data":1,"PartitionKey":""}',
        b'{"Data":1,"PartitionKey":null}',
        b'{"Data":1,"PartitionKey":"' + b"k" * 257 + b'"}',
        b'{"data":1,"partition-key":"k"}',
    ],
)
def test_a_record_of_a_stream_lacks_something(body: bytes) -> None:
    assert fault(requests.put_record(body)).kind is MISSING_VALUE


def test_records_of_a_stream_name_the_one_that_is_wrong() -> None:
    body = b'{"records":[{"data":1,"partition-key":"k"},{"data":1,"partition-key":""}]}'
    found = fault(requests.put_records(body, 100))
    assert (found.kind, found.message[:10]) == (MISSING_VALUE, "records[1]")


def test_the_number_of_records_of_a_stream_is_bounded() -> None:
    entry = b'{"data":1,"partition-key":"k"}'
    body = b'{"records":[' + b",".join([entry] * 501) + b"]}"
    assert fault(requests.put_records(body, 10_000)).kind is TOO_LARGE
    assert fault(requests.put_records(b'{"records":[]}', 10_000)).kind is MISSING_VALUE
    assert fault(requests.put_records(b"{", 10_000)).kind is NOT_JSON


def test_records_beyond_the_bound_are_not_made() -> None:
    """A body of the size that is taken can hold millions of them."""
    many = b'{"records":[' + b",".join([b"{}"] * 300_000) + b"]}"
    tracemalloc.start()
    found = [
        requests.produced(many, 100),
        requests.produced_binary(many, 100),
        requests.put_records(many, 100),
    ]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {fault(one).kind for one in found} == {TOO_LARGE}
    assert most < 100_000


def test_only_records_are_counted() -> None:
    nested = b'{"records":[{"value":[' + b",".join([b"{}"] * 1_000) + b"]}]}"
    assert isinstance(requests.produced(nested, 1), list)
    assert fault(requests.produced(nested.replace(b"]}]}", b"]},{}]}"), 1)).kind is TOO_LARGE
    assert fault(requests.produced(nested[:-1], 1)).kind is NOT_JSON


@pytest.mark.parametrize(("body", "expected"), [(b"", 2), (b"{}", 2), (b'{"ShardCount":5}', 5)])
def test_shards_to_create(body: bytes, expected: int) -> None:
    assert requests.shard_count(body, 2) == expected


@pytest.mark.parametrize("body", [b'{"ShardCount":0}', b'{"ShardCount":"5"}', b'{"ShardCount":1001}'])
def test_shards_that_cannot_be(body: bytes) -> None:
    assert fault(requests.shard_count(body, 2)).kind is MISSING_VALUE


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "ä", "a/b", "x" * 250, "a\n"])
def test_names_that_no_topic_has(name: str) -> None:
    assert requests.topic_fault(name) is not None


@pytest.mark.parametrize("name", ["124df56aef51.pin", "...", "x" * 249, "_-"])
def test_names_of_topics(name: str) -> None:
    assert requests.topic_fault(name) is None


@pytest.mark.parametrize(
    ("name", "good"), [("s-1._", True), ("x" * 128, True), ("x" * 129, False), ("a b", False)]
)
def test_names_of_streams(name: str, good: bool) -> None:
    assert (requests.stream_fault(name) is None) == good
