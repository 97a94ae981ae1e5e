"""Whether the objects are what the manifest says, and the manifest is whole."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from pinterest_pipeline.errors import NoSuchObject
from pinterest_pipeline.eventlog.base import Part
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.landed import compacted_dir
from pinterest_pipeline.sink.manifest import Entry, Manifest, PlannedObject

_AT_ONCE = 8


def manifest_problems(
    store: ObjectStore, topics_dir: str, part: Part, beginning: int, committed: int
) -> list[str]:
    """What is wrong with a partition; [] when every offset from `beginning` to `committed` is accounted for.

    Every such offset lies in exactly one entry, each entry's counts add up, each of its objects is there with
    its size and its SHA-256, and no object is there that no entry names. Entries whose range was compacted
    need the compacted objects instead.
    """
    compacted = list(Manifest(store, compacted_dir(topics_dir)).entries(part))
    boundary = compacted[-1].end if compacted else 0
    entries = list(Manifest(store, topics_dir).entries(part))
    if not entries and not committed:
        return []  # our sink never landed it; perhaps a connector did, which plans nothing
    where = f"{part[0]}, partition {part[1]}"
    problems = _chain_problems(entries, beginning, committed)
    problems += _chain_problems(compacted, boundary, 0)
    for entry in entries + compacted:
        if entry.landed + sum(entry.skipped.values()) + entry.missing != entry.end - entry.start:
            problems.append(f"the counts of the plan from offset {entry.start} do not add up")
    # What is planned and not committed is on its way; its objects need not be there yet.
    expected = compacted + [entry for entry in entries if boundary <= entry.start < committed]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda planned: _object_problem(store, planned), _objects(expected))
        problems += [problem for problem in found if problem]
    named = {planned.key for planned in _objects(entries + compacted)}
    problems += [
        f"no plan names the object {key}" for key in _keys(store, topics_dir, part) if key not in named
    ]
    return [f"{where}: {problem}" for problem in problems]


def _chain_problems(entries: list[Entry], beginning: int, committed: int) -> list[str]:
    """Where entries overlap or leave a gap, or do not reach from `beginning` to `committed`."""
    problems = []
    position = min(beginning, entries[0].start) if entries else beginning
    for entry in entries:
        if entry.start > position:
            problems.append(f"no plan holds the offsets {position} to {entry.start - 1}")
        if entry.start < position:
            problems.append(f"two plans hold the offsets {entry.start} to {min(position, entry.end) - 1}")
        position = max(position, entry.end)
    if position < committed:
        problems.append(f"no plan holds the offsets {position} to {committed - 1}")
    return problems


def _objects(entries: list[Entry]) -> Iterator[PlannedObject]:
    return (planned for entry in entries for planned in entry.objects)


def _object_problem(store: ObjectStore, planned: PlannedObject) -> str | None:
    try:
        content = store.get(planned.key)
    except NoSuchObject:
        return f"the object {planned.key} is missing"
    if len(content) != planned.bytes:
        return f"the object {planned.key} has {len(content)} bytes, and not {planned.bytes} as planned"
    if hashlib.sha256(content).hexdigest() != planned.sha256:
        return f"the object {planned.key} is not the one that was planned"
    return None


def _keys(store: ObjectStore, topics_dir: str, part: Part) -> list[str]:
    """The objects that lie below a topic's folder and are named after this partition."""
    topic, partition = part
    found = (stored.key for stored in store.list(f"{topics_dir}/{topic}"))
    return [key for key in found if key.rpartition("/")[2].startswith(f"{topic}+{partition}+")]
