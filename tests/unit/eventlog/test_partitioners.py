import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.eventlog.partitioners import (
    HASH_SPACE,
    hash_key,
    hash_range,
    kafka_partition,
    murmur2,
)


# The vectors of Kafka's own test of its hash, which is signed there.
@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_kafka(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


def test_the_sign_is_cut_off_as_kafka_does() -> None:
    assert kafka_partition(b"21", 7) == (-973932308 & 0x7FFFFFFF) % 7


@given(st.binary(max_size=300), st.integers(1, 1_000))
def test_a_key_has_one_partition_that_exists(key: bytes, count: int) -> None:
    assert 0 <= kafka_partition(key, count) < count


@given(st.binary(max_size=50))
def test_a_hash_key_is_the_md5_as_a_number_of_128_bits(key: bytes) -> None:
    found = hash_key(key)
    assert len(found) == 32
    assert int(found, 16) == int.from_bytes(hashlib.md5(key).digest(), "big")


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 1_000])
def test_the_ranges_cover_the_space_once(shards: int) -> None:
    ranges = [hash_range(shard, shards) for shard in range(shards)]
    assert (ranges[0][0], ranges[-1][1]) == (0, HASH_SPACE - 1)
    assert all(left[1] + 1 == right[0] for left, right in itertools.pairwise(ranges))
