"""A landed line is one line of JSON that holds the record and its position, whatever the record is."""

import base64
import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.records.codec import landed_line, position_suffix, wire_row

POSITION = {"_topic": "t.pin", "_partition": 0, "_offset": 7, "_timestamp": 1_700_000_000_000}
SUFFIX = position_suffix(POSITION)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def test_the_bytes_of_an_object_are_kept_as_they_came() -> None:
    line = landed_line(b'{"ind": 1,  "n":1.50e3}', SUFFIX)
    assert line.startswith(b'{"ind": 1,  "n":1.50e3,"_topic"')
    assert json.loads(line) == {"ind": 1, "n": 1500.0, **POSITION}


@pytest.mark.parametrize("value", [b"{}", b" {\n} \r\n", b'{\r\n"a":\n1}', b'{"a":"x\\ny"}'])
def test_line_breaks_between_tokens_do_not_break_the_line(value: bytes) -> None:
    line = landed_line(value, SUFFIX)
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line) == {**json.loads(value), **POSITION}


@pytest.mark.parametrize("value", [b"5", b'"text"', b"[1]", b"", b"{broken", b"null", b"{} {}"])
def test_what_is_no_object_is_kept_as_raw_text(value: bytes) -> None:
    assert json.loads(landed_line(value, SUFFIX)) == {"_raw": value.decode(), **POSITION}


def test_bytes_that_are_no_text_are_kept_in_base64() -> None:
    line = json.loads(landed_line(b"\xff\x00", SUFFIX))
    assert base64.b64decode(line.pop("_raw_base64")) == b"\xff\x00"
    assert line == POSITION


def test_invalid_utf8_inside_an_object_is_kept_in_base64() -> None:
    line = json.loads(landed_line(b'{"a":"\xff"}', SUFFIX))
    assert base64.b64decode(line["_raw_base64"]) == b'{"a":"\xff"}'


def test_a_tombstone_is_null_and_not_empty_text() -> None:
    assert json.loads(landed_line(None, SUFFIX)) == {"_raw": None, **POSITION}


def test_a_record_cannot_pretend_another_position() -> None:
    value = b'{"ind":1,"_offset":999}'
    assert json.loads(landed_line(value, SUFFIX)) == {"_raw": value.decode(), **POSITION}


@given(st.dictionaries(st.text().filter(lambda name: not name.startswith("_")), json_values, max_size=5))
def test_any_object_comes_back(value: dict[str, object]) -> None:
    line = landed_line(json.dumps(value).encode("utf-8", "surrogatepass"), SUFFIX)
    assert json.loads(line) == {**value, **POSITION}


@given(st.binary(max_size=50))
def test_any_bytes_give_one_valid_line(value: bytes) -> None:
    line = landed_line(value, SUFFIX)
    assert b"\n" not in line
    assert json.loads(line)["_offset"] == 7


def test_dates_travel_in_iso_form() -> None:
    row = {"ind": 1, "timestamp": datetime(2020, 1, 2, 3, 4, 5), "age": None}  # noqa: DTZ001
    assert wire_row(row) == {"ind": 1, "timestamp": "2020-01-02T03:04:05", "age": None}
