"""Properties are read as Java reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.sink.msk_connect import as_properties
from pinterest_pipeline.sink.properties import parse_properties


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=b", {"a": "b"}),
        ("a = b \n", {"a": "b "}),
        ("a:b\nc d", {"a": "b", "c": "d"}),
        ("a", {"a": ""}),
        ("# comment\n! comment\n\n  a=1", {"a": "1"}),
        ("a=1\\\n   ,2", {"a": "1,2"}),
        ("a=1\\\\\nb=2", {"a": "1\\", "b": "2"}),
        ("a\\ b\\=c=d", {"a b=c": "d"}),
        ("a=\\u00fc\\t\\n\\q", {"a": "ü\t\nq"}),
        ("a=1\r\nb=2\rc=3", {"a": "1", "b": "2", "c": "3"}),
        ("a=1\na=2", {"a": "2"}),
        ("path.format='year'=YYYY/'month'=MM", {"path.format": "'year'=YYYY/'month'=MM"}),
        ("", {}),
    ],
)
def test_lines_are_read_as_java_reads_them(text: str, found: dict[str, str]) -> None:
    assert parse_properties(text) == found


def test_an_escape_that_is_none_is_named_with_its_line() -> None:
    with pytest.raises(BadInput, match="line 2"):
        parse_properties("a=1\nb=\\u12")


@given(st.text())
def test_any_text_is_read_or_refused_with_its_line(text: str) -> None:
    try:
        found = parse_properties(text)
    except BadInput as error:
        found = {"line": str(error)}
    assert "" not in found or ":" in text or "=" in text


WORDS = st.from_regex(r"[a-zA-Z0-9.,_$/]{1,9}", fullmatch=True)


@given(st.dictionaries(WORDS, WORDS))
def test_what_we_write_is_read_again(properties: dict[str, str]) -> None:
    assert parse_properties(as_properties(properties)) == properties
