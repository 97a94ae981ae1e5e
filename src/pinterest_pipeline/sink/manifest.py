"""The manifest: for each range of a topic-partition what was planned, and so what lies in which object.

An entry is written before its objects, once, under a key that only its start decides:
`manifest/topics/<topic>/<partition>/<start / 1,000,000>/<start>.json`. So each start has one plan, whoever
makes it; the next entry starts where this one ends. The chain of entries is the account of a partition.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from pinterest_pipeline.errors import BadInput, NoSuchObject
from pinterest_pipeline.eventlog.base import Part
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.sink.building import BuiltObject
from pinterest_pipeline.sink.shape import Shape

ROOT: Final = "manifest"
_FOLDER_OFFSETS: Final = 1_000_000
_AT_ONCE: Final = 8


class PlannedObject(msgspec.Struct, frozen=True):
    key: str
    first: int
    last: int
    count: int
    bytes: int
    sha256: str


class Entry(msgspec.Struct, frozen=True):
    """The plan of the offsets from `start` up to and without `end`."""

    topic: str
    topic_id: str
    """What the log calls this topic; one that is made anew under the name has another."""
    partition: int
    start: int
    end: int
    objects: tuple[PlannedObject, ...]
    landed: int
    """Records that the objects hold."""
    skipped: dict[str, int]
    """Records that no object holds, by reason."""
    dead_lettered: int
    """Those of the skipped that are in the dead-letter topic."""
    missing: int
    """Offsets without a record: deleted by the log before they were read, or marks of transactions."""
    shape: Shape
    wallclock_ms: int

    @property
    def part(self) -> Part:
        return self.topic, self.partition


_ENTRIES: Final = msgspec.json.Decoder(Entry)
"""Made here: msgspec ends the process when threads decode a type that it has not seen before."""


class Manifest:
    """The entries of one `topics.dir`."""

    def __init__(self, store: ObjectStore, topics_dir: str) -> None:
        self._store = store
        self._root = f"{ROOT}/{topics_dir.strip('/')}"

    def propose(self, entry: Entry) -> Entry:
        """The plan for the entry's start: this one, or the one that was there before it."""
        key = self._key(entry.part, entry.start)
        if self._store.put_if_absent(key, msgspec.json.format(msgspec.json.encode(entry), indent=1)):
            return entry
        return self._entry(key)

    def at(self, part: Part, start: int) -> Entry | None:
        """The entry that starts at an offset."""
        try:
            return self._entry(self._key(part, start))
        except NoSuchObject:
            return None

    def resume(self, part: Part, position: int) -> tuple[Entry | None, int | None]:
        """The entry that begins before a position and ends behind it, and where the next one starts.

        A position inside an entry, or in a gap before one, comes from a person who moved the group.
        """
        starts = self._around(part, position)
        entry = self._holding(part, position, starts)
        at = entry.end if entry else position
        return entry, min((start for start in starts if start > at), default=None)

    def holding(self, part: Part, position: int) -> Entry | None:
        """The entry that begins before a position and ends behind it."""
        return self._holding(part, position, self._around(part, position))

    def _holding(self, part: Part, position: int, starts: Sequence[int]) -> Entry | None:
        before = max((start for start in starts if start < position), default=None)
        if before is None:
            return None
        entry = self._entry(self._key(part, before))
        return entry if entry.end > position else None

    def _around(self, part: Part, position: int) -> list[int]:
        """Where entries start that are near a position; all of the partition when none is before it."""
        number = position // _FOLDER_OFFSETS
        chunks = range(max(number - 1, 0), number + 2)
        near = [start for chunk in chunks for start in self._starts(part, chunk)]
        return near if any(start < position for start in near) else self._starts(part)

    def starts(self, part: Part) -> list[int]:
        """Where the entries of a partition start, in their order."""
        return sorted(self._starts(part))

    def entries(self, part: Part) -> Iterator[Entry]:
        """Every entry of a partition, by its start."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(lambda start: self._entry(self._key(part, start)), self.starts(part))

    def _starts(self, part: Part, chunk: int | None = None) -> list[int]:
        folder = f"{self._root}/{part[0]}/{part[1]}" + ("" if chunk is None else f"/{chunk:014d}")
        return [
            int(stored.key.rpartition("/")[2].removesuffix(".json")) for stored in self._store.list(folder)
        ]

    def _key(self, part: Part, start: int) -> str:
        return f"{self._root}/{part[0]}/{part[1]}/{start // _FOLDER_OFFSETS:014d}/{start:020d}.json"

    def _entry(self, key: str) -> Entry:
        try:
            return _ENTRIES.decode(self._store.get(key))
        except msgspec.DecodeError as error:
            raise BadInput(
                f"{self._store.where(key)} is no entry of a manifest: {error}", "move it away"
            ) from error


def planned(built: BuiltObject) -> PlannedObject:
    digest = hashlib.sha256(built.content).hexdigest()
    return PlannedObject(built.key, built.first, built.last, built.count, len(built.content), digest)
