import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from pinterest_pipeline.eventlog.base import Record, StoredRecord
from pinterest_pipeline.gateway.error_codes import MISSING_VALUE, NOT_JSON, Fault
from pinterest_pipeline.gateway.v3_records import Sendable, V3Sized, iso, sendable, stored

TRACE = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)


def sent(body: bytes) -> Record:
    found = sendable(body, ())
    assert isinstance(found, Sendable), found
    return found.record


def refused(body: bytes) -> Fault:
    found = sendable(body, ())
    assert isinstance(found, Fault), found
    return found


def test_each_type_is_kept_as_its_bytes() -> None:
    record = sent(
        b'{"key":{"type":"STRING","data":"caf\\u00e9"},"value":{"type":"BINARY","data":"AP8="},"partition_id":3}'
    )
    assert (record.key, record.value, record.partition) == ("café".encode(), b"\x00\xff", 3)
    for value in (
        b"0",
        b"false",
        b'""',
        b"[]",
        b"{}",
        b"12345678901234567890123",
        b"1.0e2",
        b'{"b": 1,"a":2}',
    ):
        assert sent(b'{"value":{"type":"JSON","data":' + value + b"}}").value == value


@pytest.mark.parametrize("field", ["key", "value"])
@pytest.mark.parametrize(
    "given", ["null", '{"type":"JSON"}', '{"type":"JSON","data":null}', '{"type":"BINARY","data":null}']
)
def test_null_is_nothing(field: str, given: str) -> None:
    record = sent(f'{{"{field}":{given}}}'.encode())
    assert (record.key, record.value) == (None, None)


@pytest.mark.parametrize("spellings", [(b'"a"', b'"\\u0061"'), (b'[{"a":1.0}]', b'[ {"\\u0061" : 1.0 } ]')])
def test_a_key_as_json_has_one_form(spellings: tuple[bytes, bytes]) -> None:
    keys = {sent(b'{"key":{"type":"JSON","data":' + key + b"}}").key for key in spellings}
    assert keys == {spellings[0]}


@pytest.mark.parametrize("type_", ["AVRO", "JSONSCHEMA", "PROTOBUF", "json", ""])
def test_other_types_are_refused_with_those_that_are_taken(type_: str) -> None:
    fault = refused(json.dumps({"value": {"type": type_, "data": 1}}).encode())
    assert fault.kind is MISSING_VALUE
    assert "BINARY, JSON, STRING" in fault.message
    assert "value" in fault.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"value":{"data":1}}',
        b'{"value":{"type":"JSON","data":1,"schema_id":1}}',
        b'{"value":{"type":"STRING","data":1}}',
        b'{"value":{"type":"BINARY","data":"="}}',
        b'{"value":{"type":"BINARY","data":"YQ==\\n"}}',
        b'{"partition_id":-1}',
        b'{"partition_id":"0"}',
        b'{"partition_id":true}',
        b'{"headers":[{"value":"YQ=="}]}',
        b'{"headers":[{"name":"h","value":"?"}]}',
        b'{"headers":[{"name":"a\\u0000b","value":"YQ=="}]}',
        b'{"timestamp":"2024-01-01"}',
        b'{"timestamp":"2024-01-01T00:00:00"}',
        b'{"timestamp":"1969-12-31T23:59:59Z"}',
        b'{"timestamp":-1}',
        b'{"timestamp":253402300800000}',
        b'{"valeu":null}',
    ],
)
def test_what_is_wrong_is_refused(body: bytes) -> None:
    assert refused(body).kind is MISSING_VALUE


@pytest.mark.parametrize("body", [b"{", b'{"value":{"type":"JSON","data":NaN}}', b'{"value":"\xff"}'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert refused(body).kind is NOT_JSON


@pytest.mark.parametrize(
    "time", ['"2021-02-05T19:14:42.5Z"', '"2021-02-05T20:14:42.5+01:00"', "1612552482500"]
)
def test_a_time_is_iso_or_milliseconds(time: str) -> None:
    assert sent(f'{{"timestamp":{time}}}'.encode()).timestamp == 1_612_552_482_500
    assert iso(1_612_552_482_500) == "2021-02-05T19:14:42.500Z"


def test_headers_keep_their_order_and_the_trace_joins_them() -> None:
    body = b'{"headers":[{"name":"h","value":"YQ=="},{"name":"h","value":null},{"name":"g","value":""}]}'
    found = sendable(body, TRACE)
    assert isinstance(found, Sendable)
    assert found.record.headers == (("h", b"a"), ("h", None), ("g", b""), *TRACE)


def test_a_trace_of_the_record_itself_stays() -> None:
    found = sendable(b'{"headers":[{"name":"traceparent","value":"YQ=="}]}', TRACE)
    assert isinstance(found, Sendable)
    assert found.record.headers == (("traceparent", b"a"),)


def test_sizes_are_those_of_what_is_stored() -> None:
    found = sendable('{"key":{"type":"STRING","data":"é"},"value":null}'.encode(), ())
    assert isinstance(found, Sendable)
    assert (found.key, found.value) == (V3Sized("STRING", 2), UNSET)


values = st.recursive(
    st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(values.filter(lambda value: value is not None))
def test_any_json_comes_back_as_it_was(value: Any) -> None:
    text = json.dumps(value).encode()
    record = sent(b'{"value":{"type":"JSON","data":' + text + b"}}")
    shown = stored(StoredRecord(0, 0, 0, None, record.value)).value
    assert shown is not None
    assert (shown.type, bytes(shown.data)) == ("JSON", text)


@given(st.binary())
def test_any_bytes_come_back_as_they_were(value: bytes) -> None:
    data = base64.b64encode(value)
    record = sent(b'{"value":{"type":"BINARY","data":"' + data + b'"}}')
    assert record.value == value
    shown = stored(StoredRecord(0, 0, 0, None, value)).value
    assert shown is not None
    back = bytes(shown.data) if shown.type == "JSON" else base64.b64decode(json.loads(bytes(shown.data)))
    assert back == value


@pytest.mark.parametrize("value", [b"null", b" 1", b"1\n", b"", b"{", b"\xff", b"nan"])
def test_bytes_that_would_not_come_back_are_shown_in_base64(value: bytes) -> None:
    shown = stored(StoredRecord(0, 0, 0, None, value)).value
    assert shown is not None
    assert (shown.type, json.loads(bytes(shown.data))) == ("BINARY", base64.b64encode(value).decode())
