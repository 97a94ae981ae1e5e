"""The protocol of an object store: whole objects at keys, written once, never changed.

Every home keeps these promises; the suite `tests/contract/test_objects.py` runs on each.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pinterest_pipeline.errors import BadInput

MOST_KEY_BYTES = 900
"""S3 takes 1,024 bytes of UTF-8; a prefix in the store's URL needs some of them."""
MOST_SEGMENT_BYTES = 255
INCOMING = ".incoming"
"""Where a folder keeps files that are being written; no object lies below it."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a listing shows it; `size` in bytes."""

    key: str
    size: int


class ObjectStore(Protocol):
    """Safe to use from several threads.

    Each method raises Unavailable when the store does not answer for now (after tries of its own), Forbidden
    when it refuses a login or a permission, SettingError when there is no such bucket, DiskFull when a disk
    has no room, and BadInput for a key that not every home can keep (see `checked`).
    """

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """True: this call wrote the object, whole and durable. False: the key is taken, by whatever content.

        Nobody sees a part of an object. After an error the object may be there, whole; call again to know.
        """
        ...

    def get(self, key: str) -> bytes:
        """The whole content; raises NoSuchObject."""
        ...

    def tail(self, key: str, size: int) -> bytes:
        """The last `size` bytes, all of a smaller object; raises NoSuchObject."""
        ...

    def head(self, key: str) -> StoredObject | None:
        """What a listing would say of the key, or None."""
        ...

    def list(self, folder: str) -> Iterator[StoredObject]:
        """Every object below `folder` ("" for all), page by page, in no promised order.

        An object that was there before the call is never missed; one that is written meanwhile may be.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object, if it is there: for torn objects and for those that a larger one replaces."""
        ...

    def fetch(self, keys: Sequence[str], folder: Path) -> Sequence[Path]:
        """Local files with the objects' content, in the order of the keys; raises NoSuchObject.

        A folder of this machine gives its own files: read them, never write. Other homes write copies into
        `folder`, several at once, with the keys' endings (`.json`, `.json.gz`); remove them when done.
        """
        ...

    def where(self, key: str) -> str:
        """The place of a key as a person can find it: a path or a URL."""
        ...


def checked(key: str) -> str:
    """The key itself; raises BadInput when a folder or a bucket could not keep it just so."""
    problem = _problem(key)
    if problem:
        raise BadInput(f"the key {key[:200]!r} {problem}", "name the object otherwise")
    return key


def _problem(key: str) -> str | None:
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return "is no Unicode text"
    segments = key.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        return "has an empty part, '.' or '..'"
    if any(character < " " or character in "\x7f\\\ufffe\uffff" for character in key):
        return "holds a control character or a backslash"
    if segments[0] == INCOMING:
        return f"lies in {INCOMING}, which holds what is not yet written"
    if len(encoded) > MOST_KEY_BYTES or any(len(part.encode()) > MOST_SEGMENT_BYTES for part in segments):
        return f"is longer than {MOST_KEY_BYTES} bytes, or a part of it than {MOST_SEGMENT_BYTES}"
    return None
