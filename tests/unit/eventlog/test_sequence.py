import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.eventlog.sequence import offset_of, partition_of, sequence_number, shard_id

OFFSETS = st.integers(0, 2**62)


@given(OFFSETS, OFFSETS)
def test_sequence_numbers_go_back_and_keep_the_order(one: int, other: int) -> None:
    texts = sequence_number(one), sequence_number(other)
    assert [offset_of(text) for text in texts] == [one, other]
    assert (texts[0] < texts[1]) == (int(texts[0]) < int(texts[1])) == (one < other)


def test_a_sequence_number_looks_like_one_of_kinesis() -> None:
    assert sequence_number(23) == "4" + "0" * 53 + "23"


@pytest.mark.parametrize(
    "text", ["", "23", "4" + "0" * 54, "5" + "0" * 55, "4" + "0" * 54 + "x", "4" + "0" * 55 + "\n"]
)
def test_what_is_no_sequence_number(text: str) -> None:
    with pytest.raises(BadInput, match="is no sequence number"):
        offset_of(text)


def test_a_shard_has_the_name_that_kinesis_gives_it() -> None:
    assert shard_id(12) == "shardId-000000000012"
    assert partition_of("shardId-000000000012") == 12


@pytest.mark.parametrize("text", ["", "12", "shardId-12", "shard-000000000012", "shardId-0000000000012"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(BadInput, match="is no shard's name"):
        partition_of(text)
