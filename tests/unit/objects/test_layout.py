"""Names of objects are Confluent's."""

import pytest

from pinterest_pipeline.objects.layout import ObjectName, parse

NAME = ObjectName("124df56aef51.pin", 0, 42)


def test_a_name_is_the_one_confluents_sink_gives() -> None:
    key = NAME.key("topics")
    assert key == "topics/124df56aef51.pin/partition=0/124df56aef51.pin+0+0000000042.json"
    assert parse(key) == NAME


@pytest.mark.parametrize(
    "key",
    [
        "topics/t/partition=0/t+0+0000000042.json#1",
        "topics/t/partition=0/t+1+0000000042.json",
        "topics/t/partition=0/t+0+42.json",
        "topics/t/_SUCCESS",
    ],
)
def test_other_names_are_no_objects(key: str) -> None:
    assert parse(key) is None
