"""The other form of Kinesis' own API, CBOR, as AWS' SDKs for Java speak it (pure).

It is the JSON of the same request with two differences: data are bytes as they are, and a time is a number of
milliseconds since 1970 with the tag 1 before it, where the standard would have seconds.
"""

from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeVar

import cbor2
import msgspec

T = TypeVar("T")

_TIME: Final = 1
_BYTES_FOLLOW: Final = (2, 3)
"""The major types of bytes and texts, whose content comes behind their length."""

_WITHOUT_LENGTH: Final = 31
_MOST_ITEMS: Final = 10_000
"""A request of 500 records has 3,500. Of items of a byte each, 10 MB would become gigabytes of objects."""

_OTHER_TAGS: Final = (0, 2, 3, 4, 5, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000)
"""What cbor2 would make more of than numbers, texts, bytes, lists and maps."""


def decode(type_: type[T], body: bytes) -> T:
    """A request; raises msgspec.ValidationError when it is not of this type, ValueError when not CBOR."""
    if _has_more(body, _MOST_ITEMS):
        raise ValueError(f"it has more than {_MOST_ITEMS:,} items")
    try:
        found = cbor2.loads(body or b"\xa0", semantic_decoders=_TAGS, tag_hook=_refused)
    except cbor2.CBORError as error:
        raise ValueError(str(error.__cause__ or error)) from error
    return msgspec.convert(found, type_, builtin_types=(bytes,))


def _has_more(body: bytes, most: int) -> bool:
    """Whether it has more items than that: their heads are counted, nothing is made of them."""
    place = 0
    for _ in range(most):
        if place >= len(body):
            return False
        major, length = body[place] >> 5, body[place] & 31
        place += 1
        if 24 <= length <= 27:  # it is in the bytes that follow
            size = 1 << (length - 24)
            length, place = int.from_bytes(body[place : place + size]), place + size
        elif length == _WITHOUT_LENGTH:
            length = 0
        place += length if major in _BYTES_FOLLOW else 0
    return place < len(body)


def encode(content: Any) -> bytes:
    """An answer; whatever is called `…Timestamp` in it is in seconds."""
    return cbor2.dumps(_with_times(msgspec.to_builtins(content, builtin_types=(bytes,))))


def _with_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: cbor2.CBORTag(_TIME, round(one * 1000)) if name.endswith("Timestamp") else _with_times(one)
            for name, one in value.items()
        }
    return [_with_times(one) for one in value] if isinstance(value, list) else value


def _seconds(milliseconds: Any, _: bool) -> float:
    if isinstance(milliseconds, int | float):
        return milliseconds / 1000
    raise ValueError("a time is a number of milliseconds since 1970")


def _refused(_: Any, __: bool) -> NoReturn:
    raise ValueError("the only tag that is taken is 1, for a time")


_TAGS: Final[Mapping[int, Any]] = dict.fromkeys(_OTHER_TAGS, _refused) | {_TIME: _seconds}
