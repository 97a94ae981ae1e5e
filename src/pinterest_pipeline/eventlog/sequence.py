"""Offsets and partitions under the names that Kinesis gives them (pure)."""

import re
from typing import Final

from pinterest_pipeline.errors import BadInput

ACCOUNT: Final = "000000000000"
"""Stands where AWS has the number of an account."""

_STREAM_ARN: Final = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/"
_DIGITS: Final = 55
LAST_OFFSET: Final = 10**_DIGITS - 1
"""No record has a larger one."""
_SEQUENCE: Final = re.compile(r"4[0-9]{55}")
_SHARD: Final = re.compile(r"shardId-([0-9]{12})")


def sequence_number(offset: int) -> str:
    """An offset as a sequence number: 56 digits, so that the order of the texts is that of the numbers.

    Every record that comes or goes needs one (measured: a format with a width takes fourteen times as long).
    """
    return "4" + str(offset).zfill(_DIGITS)


def offset_of(sequence: str) -> int:
    """The offset of a sequence number; raises BadInput when the text is none of ours."""
    if not _SEQUENCE.fullmatch(sequence):
        raise BadInput(f"'{sequence[:100]}' is no sequence number of this log")
    return int(sequence[1:])


def shard_id(partition: int) -> str:
    """The name of a shard: `shardId-000000000000` is the first."""
    return "shardId-" + str(partition).zfill(12)


def partition_of(shard: str) -> int:
    """The partition of a shard's name; raises BadInput when the text is no such name."""
    match = _SHARD.fullmatch(shard)
    if match is None:
        raise BadInput(f"'{shard[:100]}' is no shard's name", "shards are named like shardId-000000000000")
    return int(match[1])


def stream_arn(name: str) -> str:
    """The Amazon resource name of a stream."""
    return _STREAM_ARN + name
