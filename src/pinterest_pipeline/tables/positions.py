"""Positions as the versions of Delta transactions (pure): those are 64-bit numbers, a position may be larger.

A sequence number of AWS has up to 186 bits. So a position is cut into digits of 62 bits: the lowest is the
version of the source itself, the others are those of `SOURCE#1` and `SOURCE#2`. A position below 2**62, as
every offset of ours and of Kafka is, is one version. All are in one commit, and outlive Delta's checkpoints.
"""

from collections.abc import Callable, Mapping
from typing import Final

_BITS: Final = 62
_DIGIT: Final = 2**_BITS - 1


def versions(positions: Mapping[str, int]) -> dict[str, int]:
    """The transactions that keep the positions of sources."""
    return {
        _name(source, place): position >> place * _BITS & _DIGIT
        for source, position in positions.items()
        for place in range(_places(position))
    }


def position(source: str, version: Callable[[str], int | None]) -> int:
    """The position that the transactions keep; 0 when there is none."""
    found, place = 0, 0
    while (digit := version(_name(source, place))) is not None:
        found += digit << place * _BITS
        place += 1
    return found


def _places(position: int) -> int:
    return max(1, -(-position.bit_length() // _BITS))


def _name(source: str, place: int) -> str:
    return f"{source}#{place}" if place else source
