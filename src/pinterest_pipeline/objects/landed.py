"""The landed objects of a topic, and where each one ends."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.layout import ObjectName, folder, parse

_TAIL_BYTES = 2**16


class _Line(msgspec.Struct):
    offset: int = msgspec.field(name="_offset")


_LINES = msgspec.json.Decoder(_Line)


@dataclass(frozen=True, slots=True, order=True)
class LandedObject:
    """An object of a topic; `size` in bytes."""

    name: ObjectName
    key: str
    size: int


def landed_objects(store: ObjectStore, topics_dir: str, topic: str) -> list[LandedObject]:
    """The objects of a topic, ordered by partition and first offset, without a gap and without an overlap.

    Where small objects were merged, the large ones stand for them.

    A store that is written to while it is listed may show a later object and not an earlier one.
    Objects of a partition come in order, so all up to the last of a first listing are in a second.
    """
    last = {found.name.partition: found.name.start for found in _listed(store, topics_dir, topic)}
    small = [
        found
        for found in _listed(store, topics_dir, topic)
        if found.name.start <= last.get(found.name.partition, -1)
    ]
    # Listed after the small ones: an object is removed only when the one that holds its lines is there.
    large = _listed(store, compacted_dir(topics_dir), topic)
    largest = {found.name.partition: found.key for found in large}
    ends = {partition: end_offset(store, key) for partition, key in largest.items()}
    return sorted(large + [found for found in small if found.name.start >= ends.get(found.name.partition, 0)])


def compacted_dir(topics_dir: str) -> str:
    """The first folder of the objects that small ones were merged into."""
    return f"compacted/{topics_dir}"


def _listed(store: ObjectStore, topics_dir: str, topic: str) -> list[LandedObject]:
    found = ((parse(stored.key), stored) for stored in store.list(folder(topics_dir, topic)))
    return sorted(
        LandedObject(name, stored.key, stored.size)
        for name, stored in found
        if name is not None and name.topic == topic
    )


def in_steps(objects: Iterable[LandedObject], most_bytes: int) -> Iterator[list[LandedObject]]:
    """The objects in their order, as many at once as `most_bytes` hold; at least one."""
    step: list[LandedObject] = []
    size = 0
    for found in objects:
        if step and size + found.size > most_bytes:
            yield step
            step, size = [], 0
        step.append(found)
        size += found.size
    if step:
        yield step


def end_offset(store: ObjectStore, key: str) -> int:
    """Offset after the last line of an object; raises BadInput when the line has none."""
    tail = store.tail(key, _TAIL_BYTES)
    if b"\n" not in tail[:-1]:  # perhaps not the whole of its last line
        tail = store.get(key)
    last = tail.rstrip(b"\n").rpartition(b"\n")[2]
    try:
        return _LINES.decode(last).offset + 1
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{store.where(key)} ends without an _offset", "write it with the sink") from error
