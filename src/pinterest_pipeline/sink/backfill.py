"""A range of a topic landed again, under a prefix of its own, with a manifest of its own."""

import time
from bisect import bisect_right
from functools import partial

import msgspec

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.eventlog.base import EventLog, Part
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.sink.landing import Lander
from pinterest_pipeline.sink.reading import matching, read_range
from pinterest_pipeline.sink.rotation import OpenRange, open_range
from pinterest_pipeline.sink.rules import Rules, first_folder
from pinterest_pipeline.sink.span import Span, bounds
from pinterest_pipeline.sink.worker import dead_letters


def backfill(log: EventLog, store: ObjectStore, rules: Rules, prefix: str, span: Span) -> dict[Part, int]:
    """Land the span of each of the rules' topics below `prefix`; returns how many offsets of each partition.

    No group is asked or told. What an earlier run landed there is not landed again, so a run that was killed
    is simply started again. Raises BadInput when the prefix is the sink's own.
    """
    prefix = first_folder(prefix, "--prefix")
    if prefix == rules.shape.topics_dir:
        raise BadInput(f"'{prefix}' is where the sink itself lands", "name another prefix")
    shape = msgspec.structs.replace(rules.shape, topics_dir=prefix)
    read = partial(read_range, log)
    lander = Lander(store, shape, read, dead_letters(log, rules))
    done: dict[Part, int] = {}
    for topic in matching(log, rules):
        topic_id = log.describe(topic).id
        starts, ends = bounds(log, topic, span)
        for number, end in ends.items():
            part, start = (topic, number), starts[number]
            done[part] = max(end - start, 0)
            _land(lander, rules, part, topic_id, start, end)
    return done


def _land(lander: Lander, rules: Rules, part: Part, topic_id: str, start: int, end: int) -> None:
    manifest = lander.manifest
    planned, begun = manifest.starts(part), manifest.holding(part, start)
    if begun is not None:  # of a run that began earlier, and may have died before its upload
        lander.finish(begun, topic_id)
    position = begun.end if begun else start
    while position < end:
        entry = manifest.at(part, position)
        if entry is not None:
            lander.finish(entry, topic_id)
        else:
            following = bisect_right(planned, position)
            until = min([end, *planned[following : following + 1]])
            entry = lander.land(part, topic_id, _range(lander, rules, part, position, until))
        position = entry.end


def _range(lander: Lander, rules: Rules, part: Part, start: int, until: int) -> OpenRange:
    """The next range, which ends where another was planned at the latest."""
    most = min(until, start + rules.rotation.flush_size)
    found = open_range(start, rules.rotation, lander.shape, 0.0, time.time_ns() // 1_000_000)
    records = lander.read(part, start, most)
    if records:
        found.take(records, rules.rotation)
    if not found.is_full:
        found.end = most
    return found
