"""Which partition a key belongs to (pure): as Kafka's producers and as Kinesis decide it."""

import functools
import hashlib
import struct
from typing import Final

_MASK: Final = 0xFFFFFFFF
_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C

HASH_SPACE: Final = 2**128


def murmur2(data: bytes) -> int:
    """The hash of Kafka's Java client (32-bit murmur2), as an unsigned number."""
    length = len(data)
    state = _SEED ^ length
    whole = length & ~3
    for word in struct.unpack(f"<{whole >> 2}I", data[:whole]):
        mixed = (word * _M) & _MASK
        mixed = ((mixed ^ (mixed >> 24)) * _M) & _MASK
        state = ((state * _M) & _MASK) ^ mixed
    if whole != length:
        state = ((state ^ int.from_bytes(data[whole:], "little")) * _M) & _MASK
    state = ((state ^ (state >> 13)) * _M) & _MASK
    return state ^ (state >> 15)


# Keys come again, as the posts that they name do (measured: 1.05 µs for a hash, 0.06 when it is known).
_hash_of_short: Final = functools.lru_cache(maxsize=2**16)(murmur2)
_SHORT: Final = 64  # bytes, which bounds what the hashes that are kept can take


def kafka_partition(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner chooses for a key."""
    hashed = _hash_of_short(key) if len(key) <= _SHORT else murmur2(key)
    return (hashed & 0x7FFFFFFF) % partitions


def hash_key(key: bytes) -> str:
    """The hash key of a partition key, its MD5, as 32 hexadecimal digits."""
    return hashlib.md5(key, usedforsecurity=False).hexdigest()


def hash_range(shard: int, shards: int) -> tuple[int, int]:
    """First and last hash key of a shard: equal parts of the space, the last one takes what is left over."""
    part = HASH_SPACE // shards
    last = HASH_SPACE if shard == shards - 1 else (shard + 1) * part
    return shard * part, last - 1
