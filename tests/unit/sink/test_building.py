"""The names and the bytes of objects, for each partitioner and each format, to the last byte."""

import gzip
import io
import json
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.eventlog.base import StoredRecord
from pinterest_pipeline.objects.base import MOST_KEY_BYTES, checked
from pinterest_pipeline.sink.building import IGNORED_NULL, Built, build
from pinterest_pipeline.sink.poison import Poison
from pinterest_pipeline.sink.shape import NO_POSITIONS, Positions, Shape

PART = ("t", 3)
NOW_MS = 1_700_003_600_000
VALUES = (b'{"c":"red","n":1}', b'{"c":"blue","n":2}', b'{"c":"red","n":3}')
TIMES = (1_700_000_000_000, 1_700_000_001_000, 1_700_086_400_000)


def records(*values: bytes | None, **other: Any) -> list[StoredRecord]:
    headers = other.get("headers", ())
    return [
        StoredRecord(3, 40 + number, TIMES[number % 3], other.get("key", b"k"), value, headers)
        for number, value in enumerate(values)
    ]


def built(shape: Shape, *values: bytes | None, **other: Any) -> Built:
    return build(PART, records(*values, **other), shape, NOW_MS)


def contents(shape: Shape, *values: bytes | None, **other: Any) -> dict[str, bytes]:
    return {one.key: one.content for one in built(shape, *values, **other).objects}


PARTITIONERS: Mapping[str, tuple[dict[str, Any], dict[str, list[int]]]] = {
    "default": ({}, {"partition=3/t+3+0000000040": [0, 1, 2]}),
    "field": (
        {"partitioner": "field", "fields": ("c",)},
        {"c=red/t+3+0000000040": [0, 2], "c=blue/t+3+0000000041": [1]},
    ),
    "two fields": (
        {"partitioner": "field", "fields": ("c", "n")},
        {
            "c=red/n=1/t+3+0000000040": [0],
            "c=blue/n=2/t+3+0000000041": [1],
            "c=red/n=3/t+3+0000000042": [2],
        },
    ),
    "daily": (
        {
            "partitioner": "time",
            "extractor": "record",
            "duration_ms": 86_400_000,
            "path_format": "'year'=YYYY/'month'=MM/'day'=dd",
        },
        {
            "year=2023/month=11/day=14/t+3+0000000040": [0, 1],
            "year=2023/month=11/day=15/t+3+0000000042": [2],
        },
    ),
    "wallclock": (
        {"partitioner": "time", "duration_ms": 3_600_000, "path_format": "HH"},
        {"23/t+3+0000000040": [0, 1, 2]},
    ),
}
LINES = tuple(
    value[:-1]
    + b',"_topic":"t","_partition":3,"_offset":%d,"_timestamp":%d}\n' % (40 + number, TIMES[number])
    for number, value in enumerate(VALUES)
)


@pytest.mark.parametrize("partitioner", PARTITIONERS)
def test_json_lands_as_lines_with_positions(partitioner: str) -> None:
    options, folders = PARTITIONERS[partitioner]
    assert contents(Shape(**options), *VALUES) == {
        f"topics/t/{name}.json": b"".join(LINES[number] for number in numbers)
        for name, numbers in folders.items()
    }


@pytest.mark.parametrize("partitioner", PARTITIONERS)
def test_gzip_holds_the_same_lines_and_no_time(partitioner: str) -> None:
    options, folders = PARTITIONERS[partitioner]
    found = contents(Shape(gzip_level=6, **options), *VALUES)
    assert {key: gzip.decompress(content) for key, content in found.items()} == {
        f"topics/t/{name}.json.gz": b"".join(LINES[number] for number in numbers)
        for name, numbers in folders.items()
    }
    assert all(content[4:8] == b"\0\0\0\0" for content in found.values())


@pytest.mark.parametrize("partitioner", PARTITIONERS)
def test_bytes_land_as_they_were_sent(partitioner: str) -> None:
    options, folders = PARTITIONERS[partitioner]
    shape = Shape(format="bytes", converter="bytes", separator="|", extension=".raw", **options)
    assert contents(shape, *VALUES) == {
        f"topics/t/{name}.raw": b"".join(VALUES[number] + b"|" for number in numbers)
        for name, numbers in folders.items()
    }


@pytest.mark.parametrize("partitioner", PARTITIONERS)
def test_parquet_holds_typed_columns(partitioner: str) -> None:
    options, folders = PARTITIONERS[partitioner]
    found = contents(Shape(format="parquet", **options), *VALUES)
    rows = {key: pq.read_table(io.BytesIO(content)).to_pylist() for key, content in found.items()}
    assert rows == {
        f"topics/t/{name}.snappy.parquet": [json.loads(LINES[number]) for number in numbers]
        for name, numbers in folders.items()
    }


def test_parquet_keeps_what_has_no_column_as_json() -> None:
    values = (b'{"a":1,"b":[1,"x"],"c":{"d":1},"e":18446744073709551616,"f":null}', b'{"a":"x","g":true}')
    (content,) = contents(Shape(format="parquet", positions=NO_POSITIONS), *values).values()
    first, second = pq.read_table(io.BytesIO(content)).to_pylist()
    assert first == {
        "a": "1",
        "b": '[1,"x"]',
        "c": '{"d":1}',
        "e": "18446744073709551616",
        "f": None,
        "g": None,
    }
    assert (second["a"], second["g"]) == ('"x"', True)


def test_parquet_has_a_row_for_each_record_without_a_field() -> None:
    (content,) = contents(Shape(format="parquet", positions=NO_POSITIONS), b"{}", b"{}").values()
    assert pq.read_table(io.BytesIO(content)).to_pylist() == [{"_empty": None}, {"_empty": None}]


@pytest.mark.parametrize("value", [b"5", b"[1]", b"null", b'{"a":1e400}', b'{"a":{"b":[-1e999]}}'])
def test_a_record_that_is_no_row_of_parquet_is_set_aside(value: bytes) -> None:
    found = built(Shape(format="parquet", positions=NO_POSITIONS, errors="all"), value, VALUES[0])
    assert [(one.first, one.count) for one in found.objects] == [(41, 1)]
    assert "no row of Parquet" in found.dead_letters[0].problem.problem


def test_names_follow_their_settings() -> None:
    shape = Shape(topics_dir="a/b", file_delimiter="-", pad_width=3)
    assert list(contents(shape, *VALUES)) == ["a/b/t/partition=3/t-3-040.json"]


def test_the_names_of_position_fields_are_those_that_were_asked_for() -> None:
    shape = Shape(positions=Positions("the%topic", None, "o", None))
    (content,) = contents(shape, b"{}").values()
    assert content == b'{"the%topic":"t","o":40}\n'
    (bare,) = contents(Shape(positions=NO_POSITIONS), b' {"a" : 1,\n"b":2} ').values()
    assert json.loads(bare) == {"a": 1, "b": 2}
    assert bare.count(b"\n") == 1


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        (b'{"c":true}', "c=true"),
        (b'{"c":-7}', "c=-7"),
        (b'{"c":""}', "c="),
        (b'{"c":"../x\\\\y\\n%"}', "c=..%2Fx%5Cy%0A%25"),
        (b'{"c":"\xc3\xbc"}', "c=ü"),
        (b'{"c":"\\ufffe\\uffff"}', "c=%FFFE%FFFF"),
    ],
)
def test_a_field_names_one_folder_and_never_leaves_it(value: bytes, folder: str) -> None:
    shape = Shape(partitioner="field", fields=("c",))
    assert list(contents(shape, value)) == [f"topics/t/{folder}/t+3+0000000040.json"]


@pytest.mark.parametrize(
    "value", [b"[]", b"x", b'{"c":null}', b"{}", b'{"c":1.5}', b'{"c":{}}', b'{"c":"%s"}' % (b"x" * 300)]
)
def test_a_record_that_names_no_folder_is_set_aside(value: bytes) -> None:
    found = built(Shape(partitioner="field", fields=("c",), errors="all"), value, VALUES[0])
    assert [one.first for one in found.objects] == [41]
    assert found.skipped.total() == len(found.dead_letters) == 1


@pytest.mark.parametrize("side", [{}, {"keys": "json"}, {"headers": "json", "gzip_level": 1}])
def test_a_record_whose_key_no_store_could_keep_is_set_aside(side: dict[str, Any]) -> None:
    shape = Shape(partitioner="field", fields=tuple("abcd"), errors="all", **side)
    values = [json.dumps(dict.fromkeys("abcd", "x" * length)).encode() for length in range(200, 220)]
    found = built(shape, *values)
    assert {checked(one.key) for one in found.objects}
    assert found.dead_letters
    longest = max(len(one.key) for one in found.objects)
    assert MOST_KEY_BYTES - 4 < longest <= MOST_KEY_BYTES


def test_a_topic_whose_objects_no_store_could_name_is_set_aside() -> None:
    """Kafka takes names of 249 bytes; with `topics.regex` one of them is not to stop the others."""
    shape = Shape(errors="all")
    found = {
        length: build(("t" * length, 3), records(VALUES[0]), shape, NOW_MS) for length in range(230, 250)
    }
    kept = [length for length, one in found.items() if one.objects]
    assert {checked(found[length].objects[0].key) for length in kept}
    assert kept == list(range(230, 238))  # and 18 bytes of "+3+0000000040.json" make 255
    assert all(found[length].dead_letters for length in range(238, 250))


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        (b'{"at":1700000000000}', "14"),
        (b'{"at":"2023-11-15T00:30:00+01:00"}', "14"),
        (b'{"at":"2023-11-15T00:30:00"}', "15"),
    ],
)
def test_a_field_gives_the_time(value: bytes, folder: str) -> None:
    shape = Shape(
        partitioner="time", extractor="record_field", timestamp_field="at", duration_ms=1000, path_format="dd"
    )
    assert list(contents(shape, value)) == [f"topics/t/{folder}/t+3+0000000040.json"]


@pytest.mark.parametrize(
    "value", [b'{"at":"soon"}', b'{"at":true}', b"{}", b'{"at":9e99}', b'{"at":99999999999999999}']
)
def test_a_field_that_is_no_time_is_set_aside(value: bytes) -> None:
    shape = Shape(
        partitioner="time",
        extractor="record_field",
        timestamp_field="at",
        duration_ms=1000,
        path_format="dd",
        errors="all",
    )
    assert (built(shape, value).objects, len(built(shape, value).dead_letters)) == ([], 1)


def test_nulls_are_kept_ignored_refused_or_written_as_asked() -> None:
    assert b'"_raw":null' in next(iter(contents(Shape(), None).values()))
    ignored = built(Shape(nulls="ignore"), None, VALUES[0])
    assert (dict(ignored.skipped), ignored.dead_letters) == ({IGNORED_NULL: 1}, [])
    assert len(built(Shape(nulls="ignore", report_nulls=True), None).dead_letters) == 1
    with pytest.raises(Poison, match="null"):
        built(Shape(nulls="fail"), None)
    written = contents(Shape(nulls="write", keys="json"), VALUES[0], None)
    assert list(written) == [
        "topics/t/partition=3/t+3+0000000040.json",
        "topics/t/partition=3/t+3+0000000040.keys.json",
        "topics/t/tombstone/t+3+0000000041.keys.json",
    ]
    assert written["topics/t/tombstone/t+3+0000000041.keys.json"] == b'"k"\n'


def test_keys_and_headers_land_beside_in_the_same_order() -> None:
    shape = Shape(keys="bytes", headers="json", gzip_level=1)
    found = contents(shape, VALUES[0], key=b"\xff", headers=(("a", b"1"), ("a", None), ("b", b"\xff")))
    keys, headers = list(found)[1:]
    assert (keys, headers) == (
        "topics/t/partition=3/t+3+0000000040.keys.bin.gz",
        "topics/t/partition=3/t+3+0000000040.headers.json.gz",
    )
    assert gzip.decompress(found[keys]) == b"\xff\n"
    assert json.loads(gzip.decompress(found[headers])) == [
        {"key": "a", "value": "1"},
        {"key": "a", "value": None},
        {"key": "b", "value": "/w=="},
    ]


@pytest.mark.parametrize(
    ("value", "stage"),
    [
        (b"not JSON", "VALUE_CONVERTER"),
        (b"\xff", "VALUE_CONVERTER"),
        (b"[1]", "TRANSFORMATION"),
        (b'{"_offset":1}', "TRANSFORMATION"),
    ],
)
def test_poison_stops_or_is_set_aside_with_its_stage(value: bytes, stage: str) -> None:
    with pytest.raises(Poison):
        built(Shape(errors="none"), value)
    found = built(Shape(errors="all"), value, VALUES[0])
    assert found.dead_letters[0].problem.stage == stage
    assert [one.count for one in found.objects] == [1]


@given(
    st.lists(
        st.binary(max_size=40) | st.text().map(lambda text: json.dumps({"t": text}).encode()), min_size=1
    )
)
def test_any_bytes_come_back_as_they_were_sent(values: list[bytes]) -> None:
    (content,) = contents(Shape(format="bytes", converter="bytes", separator=""), *values).values()
    assert content == b"".join(values)
    (lines,) = contents(Shape(), *values).values()
    assert lines.count(b"\n") == len(values)


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.none(), max_size=4),
        min_size=1,
        max_size=5,
    )
)
def test_any_object_comes_back_in_every_format(rows: list[dict[str, Any]]) -> None:
    values = [json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") for row in rows]
    (lines,) = contents(Shape(), *values).values()
    for line, row in zip(lines.splitlines(), rows, strict=True):
        found = json.loads(line)
        kept = json.loads(found["_raw"]) if "_raw" in found else found  # whole, if it brings a reserved name
        assert {name: kept[name] for name in row} == row
    assert build(PART, records(*values), Shape(), 0) == build(PART, records(*values), Shape(), 0)
