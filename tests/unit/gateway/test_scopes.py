import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.gateway.scopes import Grant, parse

NAMES = st.text("ab.*?[]!-", max_size=8)


def test_a_scope_is_a_verb_a_noun_and_a_name() -> None:
    assert parse("write:topic:124df56aef51.*") == ("write", "topic", "124df56aef51.*")
    assert parse("describe:cluster") == ("describe", "cluster", "*")
    assert parse("read:group:a:b") == ("read", "group", "a:b")


@pytest.mark.parametrize(
    "text",
    ["", "write", "write:topic", "write:topic:", "*:topic:a", "write:*:a", "Write:topic:a", "write:topics:a",
     "write:topic:a b", "write:topic:a\n", "write:topic:é", "write:topic:" + "a" * 256],
)  # fmt: skip
def test_what_is_no_scope_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingError, match=r"is no scope.*write:topic:124df56aef51"):
        parse(text)


def test_only_what_a_scope_names_is_allowed() -> None:
    grant = Grant(["write:topic:124df56aef51.*", "read:group:g?", "create:stream:x"])
    assert grant.allows("write", "topic", "124df56aef51.pin")
    assert not grant.allows("write", "topic", "other.pin")
    assert not grant.allows("write", "topic", "x124df56aef51.pin")
    assert not grant.allows("write", "topic", "124DF56AEF51.pin")
    assert not grant.allows("write", "stream", "124df56aef51.pin")
    assert not grant.allows("delete", "topic", "124df56aef51.pin")
    assert grant.allows("read", "group", "g1")
    assert not grant.allows("read", "group", "g12")
    assert not grant.allows("read", "group", "g1\n")
    assert not Grant([]).allows("describe", "cluster", None)


def test_who_may_use_a_noun_may_describe_it() -> None:
    grant = Grant(["write:topic:a", "read:group:g", "delete:stream:s", "create:stream:t"])
    assert grant.allows("describe", "topic", "a")
    assert grant.allows("describe", "group", "g")
    assert grant.allows("describe", "stream", "s")
    assert not grant.allows("describe", "topic", "b")
    assert not grant.allows("describe", "stream", "t")


def test_without_a_name_any_scope_of_the_kind_will_do() -> None:
    grant = Grant(["describe:topic:a"])
    assert grant.allows("describe", "topic", None)
    assert not grant.allows("describe", "stream", None)
    assert not grant.allows("read", "topic", None)


@given(NAMES.filter(bool), NAMES)
def test_only_the_star_and_the_question_mark_are_wild(pattern: str, name: str) -> None:
    literal = "".join(c if c in "*?" else f"[{c}]" if c != "!" else c for c in pattern)
    found = Grant([f"read:topic:{pattern}"]).allows("read", "topic", name)
    assert found == fnmatch.fnmatchcase(name, literal)


def test_a_pattern_with_many_stars_does_not_take_long() -> None:
    grant = Grant(["read:topic:" + "*a" * 100 + "b"])
    assert not grant.allows("read", "topic", "a" * 10_000)
