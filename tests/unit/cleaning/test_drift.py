import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.cleaning.drift import SAYS, added, counted, kind_counts, rescued, rescued_block
from pinterest_pipeline.records.names import TABLES, Table
from pinterest_pipeline.records.schemas import RESCUED, RESERVED, SOURCE_COLUMNS

SAMPLE = {"int": 1, "float": 1.5, "text": "x", "datetime": "2020-01-01T00:00:00"}
PLACE = {"_topic": "t", "_partition": 0, "_offset": 7, "_timestamp": 1}


def row(table: Table, **other: Any) -> dict[str, Any]:
    return {name: SAMPLE[kind] for name, kind in SOURCE_COLUMNS[table].items()} | PLACE | other


def rescued_of(table: Table, fields: Any) -> Any:
    found = rescued(table, json.dumps(fields).encode())
    return None if found is None else json.loads(found)


@pytest.mark.parametrize("table", TABLES)
def test_a_row_as_the_source_has_it_has_not_drifted(table: Table) -> None:
    assert rescued_of(table, row(table)) is None
    assert rescued_of(table, dict.fromkeys(row(table))) is None


def test_the_key_may_have_either_name() -> None:
    named_index = {("index" if name == "ind" else name): value for name, value in row("user").items()}
    assert rescued_of("user", named_index) is None
    assert rescued_of("pin", row("pin", ind=1)) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"colour": {"deep": [1]}}, {"new": {"colour": {"deep": [1]}}}),
        ({"Title": "T"}, {"letter_case": {"Title": "T"}}),
        ({"INDEX": 3}, {"letter_case": {"INDEX": 3}}),
        ({"tag_list": ["a", "b"]}, {"retyped": {"tag_list": ["a", "b"]}}),
        ({"follower_count": 437}, {"retyped": {"follower_count": 437}}),
        ({"downloaded": True}, {"retyped": {"downloaded": True}}),
        ({"index": "12"}, {"retyped": {"index": "12"}}),
        ({RESCUED: "mine"}, {"new": {RESCUED: "mine"}}),
    ],
)
def test_what_is_not_as_expected_is_kept_as_it_came(change: Any, expected: Any) -> None:
    assert rescued_of("pin", row("pin", **change)) == expected


def test_a_missing_field_is_named_but_not_a_null_one() -> None:
    fields = row("pin", description=None)
    del fields["title"]
    assert rescued_of("pin", fields) == {"missing": ["title"]}


def test_a_number_keeps_its_spelling() -> None:
    line = json.dumps(row("geo")).encode()[:-1] + b', "height": 1.500e400}'
    assert rescued("geo", line) == '{"new":{"height":1.500e400}}'


@pytest.mark.parametrize("line", [b"", b"no JSON", b"[]", b"\xff", b'{"_raw":"x","_offset":1}'])
def test_what_is_no_object_of_a_record_has_nothing_to_rescue(line: bytes) -> None:
    assert rescued("pin", line) is None
    assert rescued_block("pin", line + b"\n") is None


def test_only_the_drifted_lines_of_a_block_change() -> None:
    good, bad = (
        json.dumps(row("user")).encode(),
        b"  " + json.dumps(row("user", _rescued_data=1, x=2)).encode(),
    )
    block = rescued_block("user", b"\n".join([good, bad, b"", b"no JSON", good]))
    assert block is not None
    lines = block.split(b"\n")
    assert [lines[0], *lines[2:]] == [good, b"", b"no JSON", good]
    (first, *_) = json.loads(lines[1], object_pairs_hook=list)
    assert tuple(first) == (RESCUED, '{"new":{"_rescued_data":1,"x":2}}')
    assert json.loads(lines[1]) == row("user", _rescued_data=1, x=2)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from([*SOURCE_COLUMNS["geo"], "Ind", "COUNTRY", "other"]) | st.text(max_size=6).filter(
    lambda name: name not in RESERVED  # the sink's own: a record that brings one lands as text
)


@given(fields=st.dictionaries(names, json_values, max_size=8))
def test_every_field_is_as_expected_or_rescued(fields: dict[str, Any]) -> None:
    found = rescued_of("geo", fields) or {}
    expected = {name: SAMPLE[kind] for name, kind in SOURCE_COLUMNS["geo"].items()}
    kept = found.get("new", {}) | found.get("letter_case", {}) | found.get("retyped", {})
    for name, value in fields.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = value is None or (isinstance(value, str) if isinstance(expected.get(name), str) else number)
        is_expected = (name in expected or name == "index") and fits
        assert is_expected != (name in kept)
        assert is_expected or kept[name] == value
    if fields:
        assert set(found.get("missing", [])) == expected.keys() - fields.keys() - {"ind"}


def test_fields_are_counted_by_kind_and_name() -> None:
    texts = ['{"new":{"a":1,"b":2},"missing":["c"]}', '{"new":{"a":null}}']
    assert counted(texts) == {"missing c": 1, "new a": 2, "new b": 1}
    assert kind_counts(counted(texts)) == {"drift.missing": 1, "drift.new": 3}
    assert kind_counts(counted(texts)).keys() <= SAYS.keys()


def test_names_without_end_are_counted_together() -> None:
    found = counted(f'{{"new":{{"f{n}":1}}}}' for n in range(3_000))
    assert sum(found.values()) == 3_000
    assert found["new (others)"] == 2_000


@pytest.mark.parametrize(("table", "key"), [("pin", "ind"), ("user", "index"), ("geo", "ind")])
def test_a_key_that_is_text_is_retyped_under_either_name(table: Table, key: str) -> None:
    assert rescued_of(table, row(table, **{key: "5"})) == {"retyped": {key: "5"}}


@pytest.mark.parametrize("blank", [b"\x0b", b"\x0c", b" \x0b\r"])
def test_blanks_that_are_none_in_json_hide_nothing(blank: bytes) -> None:
    line = blank + json.dumps(row("user", x=1)).encode() + blank
    assert rescued("user", line) == '{"new":{"x":1}}'
    block = rescued_block("user", line)
    assert block is not None
    assert block.startswith(b'{"_rescued_data":')


def test_an_object_that_cannot_be_read_here_does_not_name_its_own_rescue() -> None:
    deep = b'{"_rescued_data":"evil","d":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    assert rescued_block("user", deep) == b'{"_rescued_data":null,' + deep[1:]


def test_a_name_is_shown_short_and_without_signs_that_steer_a_terminal() -> None:
    text = json.dumps({"new": {"\x1b]0;owned\x07": 1, "n" * 300: 2}})
    short, long = sorted(counted([text]), key=len)
    assert short == "new \ufffd]0;owned\ufffd"
    assert long == f"new {'n' * 80}…"


def test_sums_of_counts_are_as_bounded_as_counts() -> None:
    many = [{f"new {start + n}": 1 for n in range(1_000)} for start in (0, 500)]
    found = added(*many)
    assert (len(found), sum(found.values())) == (1_001, 2_000)
