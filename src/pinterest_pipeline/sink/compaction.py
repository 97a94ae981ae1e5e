"""Small objects merged into large ones, under `compacted/`, with a manifest of their own.

The merged object is planned, uploaded and read back before the small ones are removed, so at every moment
each record is in an object that a reader sees: a reader lists the small objects first, then the merged ones,
and takes of the small ones only those that begin behind the merged ones. No object and no entry is changed.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from pinterest_pipeline.config import crash_at
from pinterest_pipeline.errors import BadInput, NoSuchObject
from pinterest_pipeline.eventlog.base import Part
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.landed import compacted_dir
from pinterest_pipeline.sink.building import BuiltObject
from pinterest_pipeline.sink.landing import is_there
from pinterest_pipeline.sink.manifest import Entry, Manifest, PlannedObject, planned

_log = structlog.get_logger("sink")


@dataclass(slots=True)
class Compacted:
    """What a compaction did."""

    merged: int = 0
    """Small objects that were merged and removed."""
    written: int = 0


@dataclass(slots=True)
class _Merge:
    """The objects of one folder and one kind, in their order."""

    key: str
    parts: list[PlannedObject] = field(default_factory=list)


def compact(store: ObjectStore, topics_dir: str, part: Part, below: int, most_bytes: int) -> Compacted:
    """Merge the entries of a partition that end at or below an offset into ranges of some `most_bytes`.

    `below` is at most what is committed and what every reader has read. Killed at any point and started
    again, it goes on. Raises BadInput for Parquet, whose files cannot be joined as they are.
    """
    source, target = Manifest(store, topics_dir), Manifest(store, compacted_dir(topics_dir))
    entries = [entry for entry in source.entries(part) if entry.end <= below]
    left = {stored.key for stored in store.list(f"{topics_dir}/{part[0]}")}
    done = Compacted()
    position = entries[0].start if entries else 0
    for plan in target.entries(part):
        group = [entry for entry in entries if plan.start <= entry.start < plan.end]
        if any(one.key in left for entry in group for one in entry.objects):
            _replace(store, plan, group, left, done)
        position = plan.end
    waiting = [entry for entry in entries if entry.start >= position]
    for group in _groups(waiting, most_bytes):
        plan = target.propose(_plan(store, group, topics_dir))
        crash_at("after_compaction_plan")
        _replace(store, plan, [entry for entry in group if entry.end <= plan.end], left, done)
    return done


def _groups(entries: Sequence[Entry], most_bytes: int) -> Iterator[list[Entry]]:
    """Consecutive entries of some size; a last one that stands alone is left for the next time."""
    group: list[Entry] = []
    size = 0
    for entry in entries:
        more = sum(planned_object.bytes for planned_object in entry.objects)
        if group and size + more > most_bytes:
            yield group
            group, size = [], 0
        group.append(entry)
        size += more
    if len(group) > 1:
        yield group


def _plan(store: ObjectStore, group: Sequence[Entry], topics_dir: str) -> Entry:
    skipped: dict[str, int] = {}
    for entry in group:
        if entry.shape.format == "parquet":
            raise BadInput("Parquet objects cannot be merged as they are", "set a larger flush.size instead")
        for reason, count in entry.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    return msgspec.structs.replace(
        group[0],
        end=group[-1].end,
        objects=tuple(planned(built) for built in _merged(store, group, topics_dir)),
        landed=sum(entry.landed for entry in group),
        skipped=skipped,
        dead_lettered=sum(entry.dead_lettered for entry in group),
        missing=sum(entry.missing for entry in group),
    )


def _merged(store: ObjectStore, group: Sequence[Entry], topics_dir: str) -> Iterator[BuiltObject]:
    """The large objects, one after the other: lines, raw bytes and gzip members may simply be joined."""
    merges: dict[tuple[str, str], _Merge] = {}
    for entry in group:
        for one in entry.objects:
            folder, _, name = one.key.rpartition("/")
            extension = name[name.rindex(f"{one.first:0{entry.shape.pad_width}d}.") :].partition(".")[2]
            key = compacted_dir(topics_dir) + one.key.removeprefix(topics_dir)
            merges.setdefault((folder, extension), _Merge(key)).parts.append(one)
    for merge in merges.values():
        content = b"".join(store.get(one.key) for one in merge.parts)
        count = sum(one.count for one in merge.parts)
        yield BuiltObject(merge.key, merge.parts[0].first, merge.parts[-1].last, count, content)


def _replace(
    store: ObjectStore, plan: Entry, group: Sequence[Entry], left: Collection[str], done: Compacted
) -> None:
    """See to it that the large objects of a plan are there, then remove the small ones that are left."""
    small = [one for entry in group for one in entry.objects]
    if not all(is_there(store, one) for one in plan.objects):
        topics_dir = plan.shape.topics_dir
        for wanted, built in zip(plan.objects, _merged(store, group, topics_dir), strict=True):
            if planned(built) != wanted:
                raise BadInput(
                    f"the objects of offsets {plan.start} to {plan.end - 1} are not those that were merged",
                    "see 'pinpipe verify'",
                )
            store.put_if_absent(wanted.key, built.content)
            done.written += 1
        crash_at("after_compaction_upload")
        if not all(is_there(store, one) for one in plan.objects):
            raise NoSuchObject(store.where(plan.objects[0].key))
    for one in small:
        if one.key in left:
            store.delete(one.key)
            done.merged += 1
            crash_at("mid_compaction_removal")
    if small:
        _log.info("compacted", topic=plan.topic, partition=plan.partition, start=plan.start, end=plan.end)
