"""What consumer instances do with the log: share its partitions, read them, keep their group's positions.

An instance is a row of the store, not a client of the log: any gateway serves it, and it outlives all of
them. Whoever calls these functions has the instance's turn.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from pinterest_pipeline.errors import (
    BadInput,
    Fenced,
    Forbidden,
    IllegalState,
    UnknownGroup,
    UnknownPartition,
    UnknownTopic,
)
from pinterest_pipeline.eventlog.base import EventLog, Part
from pinterest_pipeline.gateway.consumer_file import Holding, Instance, Kept, Topics
from pinterest_pipeline.gateway.consumer_reads import Reading, next_records, same_records
from pinterest_pipeline.gateway.consumer_shapes import (
    Committed,
    InstanceSettings,
    PartitionOffset,
    PartitionTime,
    Subscribe,
)
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.requests import INTERNAL, is_topic_name

_SHOWN: Final = 100  # characters of a wrong name in an error
_KNOWN_SECONDS: Final = 1.0
"""How long what is known of a topic is believed: the cluster is not asked at every request."""


class Consumers:
    """All that can be done with the instances of a store, over one log."""

    def __init__(self, log: EventLog, store: ConsumerStore) -> None:
        self._log = log
        self._store = store
        self._known: dict[str, tuple[float, tuple[str, int]]] = {}

    def create(self, group: str, name: str, settings: InstanceSettings) -> None:
        """Make an instance; raises ConsumerExists, and IllegalState for a group of other consumers."""
        self._refuse_members(group)
        self._store.create(group, name, settings)

    def remove(self, instance: Instance) -> None:
        """Remove an instance; keeps what it was delivered where its group is still ours alone."""
        with suppress(IllegalState, Fenced):
            self.keep(instance)
        self._store.remove(instance)

    # What is read

    def subscribe(self, instance: Instance, subscription: Subscribe) -> None:
        """Read topics, shared with the group; raises IllegalState, BadInput for a wrong pattern."""
        before = instance.subscription
        if before is None and self._store.holdings(instance):
            raise _exclusive("partitions are assigned")
        if before is not None and (before.topics is None) != (subscription.topics is None):
            raise _exclusive("it is subscribed the other way")
        names = self._names(instance, subscription)
        self._refuse_members(instance.group)
        self.keep(instance)
        self._store.subscribe(instance, subscription)
        self._shared(instance, names)

    def unsubscribe(self, instance: Instance) -> None:
        """Read nothing any more, neither by subscription nor by assignment; keeps as `remove` does."""
        with suppress(IllegalState, Fenced):
            self.keep(instance)
        self._store.subscribe(instance, None)

    def subscribed(self, instance: Instance) -> list[str]:
        return [] if instance.subscription is None else self._names(instance, instance.subscription)

    def assign(self, instance: Instance, parts: Sequence[Part]) -> None:
        """Read these partitions whoever else does; raises IllegalState, UnknownTopic, UnknownPartition."""
        if instance.subscription is not None:
            raise _exclusive("it is subscribed")
        self._check(instance, parts)
        self._refuse_members(instance.group)
        self.keep(instance)
        self._store.assign(instance, parts, self._topics({topic for topic, _ in parts}))

    def held(self, instance: Instance) -> list[Holding]:
        """The partitions that are the instance's now, each with its position."""
        if instance.subscription is None:
            holdings = self._store.holdings(instance)
            _check_allowed(instance, {holding.topic for holding in holdings})
        else:
            holdings = self._shared(instance, self._names(instance, instance.subscription))
        if all(holding.position is not None for holding in holdings):
            return holdings
        self._place(instance, [holding for holding in holdings if holding.position is None])
        return self._store.holdings(instance)

    def _shared(self, instance: Instance, names: Sequence[str]) -> list[Holding]:
        """The instance's share; where what goes to others stood is kept first, so that they go on there."""
        topics = self._topics(names)
        held, surplus = self._store.share(instance, topics)
        if surplus:
            self._keep(instance, surplus)
            self._store.let_go(instance, surplus)
            held, _ = self._store.share(instance, topics)
        return held

    def _place(self, instance: Instance, holdings: Sequence[Holding]) -> None:
        """Begin at the group's positions; without one, at the edge that the instance asked for."""
        placed: list[tuple[Holding, int, int | None]] = []
        for topic, of_topic in _by_topic(holdings).items():
            committed = self._log.committed(instance.group, topic)
            edge = self._edge(instance)(topic)
            for holding in of_topic:
                kept = committed.get(holding.partition)
                placed.append((holding, edge.get(holding.partition, 0) if kept is None else kept, kept))
        self._store.place(placed)

    def _edge(self, instance: Instance) -> Callable[[str], dict[int, int]]:
        return self._log.beginnings if instance.settings.reset == "earliest" else self._log.ends

    # Records

    def next_records(self, instance: Instance, max_bytes: int) -> tuple[Reading, list[Holding]]:
        """What follows, and all partitions it was looked for in; raises IllegalState without any."""
        holdings = self.held(instance)
        if not holdings and instance.subscription is None:
            raise IllegalState("the instance is subscribed to nothing, and no partition is assigned to it")
        reading = next_records(self._log, holdings, instance.settings.format, max_bytes)
        if not reading.records and self._place_lost(instance, holdings):
            return self.next_records(instance, max_bytes)
        return reading, holdings

    def _place_lost(self, instance: Instance, holdings: Sequence[Holding]) -> bool:
        """Set positions behind the end of their partition anew; whether there was one."""
        lost: list[tuple[Holding, int, int | None]] = []
        for topic, of_topic in _by_topic(holdings).items():
            with suppress(UnknownTopic):
                ends = self._log.ends(topic)
                behind = [one for one in of_topic if (one.position or 0) > ends.get(one.partition, 0)]
                edge = self._edge(instance)(topic) if behind else {}
                lost += [(holding, edge.get(holding.partition, 0), None) for holding in behind]
        self._store.place(lost)
        return bool(lost)

    def same_records(self, instance: Instance, kept: Kept) -> Reading:
        """The records of an answer once more; raises IllegalState when they are not there any more."""
        _check_allowed(instance, (range_.topic for range_ in kept.ranges))
        return same_records(self._log, kept, instance.settings.format)

    # Positions of the group

    def keep(self, instance: Instance) -> None:
        """Keep what was delivered as the group's positions, where the instance has auto.commit.enable."""
        self._keep(instance, self._store.holdings(instance))

    def _keep(self, instance: Instance, holdings: Iterable[Holding]) -> None:
        if instance.settings.auto_commit:
            self._commit_delivered(instance, holdings)

    def _commit_delivered(self, instance: Instance, holdings: Iterable[Holding]) -> None:
        dirty = [holding for holding in holdings if holding.dirty]
        if not dirty:
            return
        self._refuse_members(instance.group)
        known = self._topics({holding.topic for holding in dirty})
        for topic, of_topic in _by_topic(dirty).items():
            same = [holding for holding in of_topic if known.get(topic, ("",))[0] == holding.topic_id]
            positions = {holding.partition: holding.position or 0 for holding in same}
            with suppress(UnknownTopic, BadInput):  # it was deleted, and its positions with it
                self._log.commit(instance.group, topic, positions)
            self._store.kept((holding, positions[holding.partition]) for holding in same)

    def commit(self, instance: Instance, offsets: Sequence[PartitionOffset] | None) -> None:
        """Keep positions behind these offsets, or behind all that was delivered.

        Raises UnknownTopic, UnknownPartition, and IllegalState for a partition of another instance.
        """
        if offsets is None:
            self._commit_delivered(instance, self._store.holdings(instance))
            return
        positions = {(entry.topic, entry.partition): entry.offset + 1 for entry in offsets}
        self._check(instance, positions)
        if instance.subscription is not None:
            for part in positions:
                self._refuse_other(instance, part)
        self._refuse_members(instance.group)
        for topic in dict.fromkeys(topic for topic, _ in positions):
            of_topic = {number: position for (name, number), position in positions.items() if name == topic}
            self._log.commit(instance.group, topic, of_topic)
        held = [
            (holding, positions[part])
            for holding in self._store.holdings(instance)
            if (part := (holding.topic, holding.partition)) in positions
        ]
        self._store.kept(held)

    def _refuse_other(self, instance: Instance, part: Part) -> None:
        holder = self._store.holder(instance.group, part)
        if holder not in (None, instance.name):
            raise IllegalState(
                f"partition {part[1]} of '{part[0]}' belongs to the instance '{holder}' of the group now",
                "go on with the partitions of GET .../assignments",
            )

    def committed(self, instance: Instance, parts: Sequence[Part]) -> list[Committed]:
        """The group's positions in these partitions, where there are any."""
        self._check(instance, parts)
        kept = {topic: self._log.committed(instance.group, topic) for topic in {topic for topic, _ in parts}}
        return [
            Committed(topic, partition, kept[topic][partition])
            for topic, partition in parts
            if partition in kept[topic]
        ]

    # Positions of the instance

    def seek(self, instance: Instance, positions: Mapping[Part, int]) -> None:
        """Read on elsewhere; raises IllegalState for a partition that the instance does not hold."""
        holdings = {(holding.topic, holding.partition): holding for holding in self.held(instance)}
        for topic, partition in positions:
            if (topic, partition) not in holdings:
                raise IllegalState(
                    f"partition {partition} of '{topic}' is not the instance's",
                    "see GET .../assignments",
                )
        self._store.place(
            (holdings[part], position, holdings[part].committed) for part, position in positions.items()
        )

    def edges(self, instance: Instance, parts: Sequence[Part], *, end: bool) -> dict[Part, int]:
        """Where partitions begin or end; raises UnknownTopic, UnknownPartition."""
        self._check(instance, parts)
        look = self._log.ends if end else self._log.beginnings
        found = {topic: look(topic) for topic in {topic for topic, _ in parts}}
        return {(topic, partition): found[topic][partition] for topic, partition in parts}

    def at_times(self, instance: Instance, times: Iterable[PartitionTime]) -> dict[Part, int]:
        """The first offsets that are not before these times; raises UnknownTopic, UnknownPartition."""
        found: dict[Part, int] = {}
        for entry in times:
            self._check(instance, [(entry.topic, entry.partition)])
            milliseconds = int(entry.timestamp.timestamp() * 1_000)
            found[entry.topic, entry.partition] = self._log.offsets_at(entry.topic, milliseconds)[
                entry.partition
            ]
        return found

    # What is known of topics and groups

    def _names(self, instance: Instance, subscription: Subscribe) -> list[str]:
        """The topics of a subscription; a pattern fits only those that the caller may read."""
        if subscription.topic_pattern is None:
            names = subscription.topics or []
            _check_allowed(instance, names)
            return names
        return _matching(
            subscription.topic_pattern, [name for name in self._log.topics() if instance.may_read(name)]
        )

    def _topics(self, names: Iterable[str]) -> Topics:
        """Those of the topics that are there."""
        found: dict[str, tuple[str, int]] = {}
        for name in names:
            with suppress(UnknownTopic):
                found[name] = self._topic(name)
        return found

    def _topic(self, name: str) -> tuple[str, int]:
        if not is_topic_name(name):
            raise UnknownTopic(name[:_SHOWN])
        now = time.monotonic()
        until, known = self._known.get(name, (0.0, ("", 0)))
        if now < until:
            return known
        self._known.pop(name, None)
        described = self._log.describe(name)
        self._known[name] = (now + _KNOWN_SECONDS, (described.id, described.partitions))
        return self._known[name][1]

    def _check(self, instance: Instance, parts: Iterable[Part]) -> None:
        _check_allowed(instance, (topic for topic, _ in parts))
        for topic, partition in parts:
            if partition >= self._topic(topic)[1]:
                raise UnknownPartition(topic, partition)

    def _refuse_members(self, group: str) -> None:
        """Raises IllegalState when the log itself shares partitions among the group's consumers."""
        with suppress(UnknownGroup):
            members = self._log.describe_group(group).members
            if members:
                raise IllegalState(
                    f"the group '{group}' has {len(members)} consumers that are no instances of this gateway",
                    "choose another group, or stop them",
                )


def _check_allowed(instance: Instance, topics: Iterable[str]) -> None:
    for topic in topics:
        if not instance.may_read(topic):
            raise Forbidden(f"the key has no scope to read topic '{topic[:_SHOWN]}'")


def _by_topic(holdings: Iterable[Holding]) -> dict[str, list[Holding]]:
    found: dict[str, list[Holding]] = {}
    for holding in holdings:
        found.setdefault(holding.topic, []).append(holding)
    return found


def _exclusive(found: str) -> IllegalState:
    return IllegalState(
        f"subscription to topics, partitions and pattern are mutually exclusive, and {found}",
        "DELETE .../subscription first",
    )


def _matching(pattern: str, names: Sequence[str]) -> list[str]:
    """The names that fit as a whole, without the cluster's own.

    RE2 takes a time that grows with the text only, whatever pattern a caller sends.
    """
    import pyarrow as pa  # needed by few, and not quick to import
    import pyarrow.compute as pc

    try:
        fit = pc.match_substring_regex(pa.array(names, pa.string()), pattern=f"^(?:{pattern})$").to_pylist()
    except pa.ArrowInvalid as error:
        raise BadInput(f"the topic_pattern is no regular expression: {error}") from None
    return [name for name, fits in zip(names, fit, strict=True) if fits and not name.startswith(INTERNAL)]
