"""What consumer instances do with the log: share its partitions, read them, keep their group's positions.

An instance is a row of the store, not a client of the log: any gateway serves it, and it outlives all of
them. Whoever calls these functions has the instance's turn.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from pinterest_pipeline.errors import (
    BadInput,
    Fenced,
    IllegalState,
    UnknownGroup,
    UnknownTopic,
)
from pinterest_pipeline.eventlog.base import EventLog, Part, offset_of
from pinterest_pipeline.gateway.consumer_file import Holding, Instance, Kept, Range, Topics, of_earlier
from pinterest_pipeline.gateway.consumer_reads import Reading, next_records, same_records
from pinterest_pipeline.gateway.consumer_shapes import (
    Committed,
    InstanceSettings,
    PartitionOffset,
    PartitionTime,
    Subscribe,
)
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.consumer_topics import KnownTopics, check_allowed, fitting


class Consumers:
    """All that can be done with the instances of a store, over one log."""

    def __init__(self, log: EventLog, store: ConsumerStore) -> None:
        self._log = log
        self._store = store
        self._topics = KnownTopics(log)

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
        topics = self._topics.now(names)
        self._shared(self._store.subscribe(instance, subscription, topics), topics)

    def unsubscribe(self, instance: Instance) -> None:
        """Read nothing any more, neither by subscription nor by assignment; keeps as `remove` does."""
        with suppress(IllegalState, Fenced):
            self.keep(instance)
        self._store.unsubscribe(instance)

    def subscribed(self, instance: Instance) -> list[str]:
        return [] if instance.subscription is None else self._names(instance, instance.subscription)

    def assign(self, instance: Instance, parts: Sequence[Part]) -> None:
        """Read these partitions whoever else does; raises IllegalState, UnknownTopic, UnknownPartition."""
        if instance.subscription is not None:
            raise _exclusive("it is subscribed")
        topics = self._topics.now({topic for topic, _ in parts})
        self._topics.check(instance, parts)
        self._refuse_members(instance.group)
        self.keep(instance)
        self._store.assign(instance, parts, topics)
        self._placed(instance, self._store.holdings(instance))

    def held(self, instance: Instance) -> list[Holding]:
        """The partitions that are the instance's now, each with its position."""
        if instance.subscription is None:
            holdings = self._store.holdings(instance)
            check_allowed(instance, {holding.topic for holding in holdings})
            return self._placed(instance, self._renewed(instance, holdings))
        names = self._names(instance, instance.subscription)
        return self._shared(instance, self._present(instance, names))

    def _renewed(self, instance: Instance, holdings: list[Holding]) -> list[Holding]:
        """Assigned partitions, those whose topic was made anew without a position."""
        names = {holding.topic for holding in holdings}
        if not of_earlier(holdings, self._topics.lately(names)):
            return holdings
        topics = self._topics.now(names)
        return self._store.renew(instance, of_earlier(holdings, topics), topics)

    def _shared(self, instance: Instance, topics: Topics) -> list[Holding]:
        """The instance's share; where what goes to others stood is kept first, so that they go on there."""
        held, surplus = self._store.share(instance, topics)
        if surplus:
            self._keep(instance, surplus)
            self._store.let_go(instance, surplus)
            held, _ = self._store.share(instance, topics)
        return self._placed(instance, held)

    def _placed(self, instance: Instance, holdings: list[Holding]) -> list[Holding]:
        """The holdings, each with a position; one whose topic is gone meanwhile stays without."""
        unplaced = [holding for holding in holdings if holding.position is None]
        if not unplaced:
            return holdings
        for topic, of_topic in _by_topic(unplaced).items():
            with suppress(UnknownTopic):
                self._place(instance, topic, of_topic)
        return self._store.holdings(instance)

    def _place(self, instance: Instance, topic: str, holdings: Sequence[Holding]) -> None:
        """Begin at the group's positions; without one, at the edge that the instance asked for.

        With automatic commits that edge is the group's position from now on: whoever holds the partition next
        begins there, and not at a later end.
        """
        committed = self._log.committed(instance.group, topic)
        first = [holding for holding in holdings if holding.partition not in committed]
        edge = self._edge(instance)(topic) if first else {}
        begun = {one.partition: 0 if one.later else edge.get(one.partition, 0) for one in first}
        if instance.settings.auto_commit and begun:
            self._log.commit(instance.group, topic, begun)
            committed |= begun
        positions = begun | committed
        self._store.place((one, positions[one.partition], committed.get(one.partition)) for one in holdings)

    def _edge(self, instance: Instance) -> Callable[[str], dict[int, int]]:
        return self._log.beginnings if instance.settings.reset == "earliest" else self._log.ends

    # Records

    def next_records(self, instance: Instance, max_bytes: int) -> tuple[Reading, list[Holding]]:
        """What follows, and all partitions it was looked for in; raises IllegalState without any."""
        holdings = self.held(instance)
        if not holdings and instance.subscription is None:
            raise IllegalState("the instance is subscribed to nothing, and no partition is assigned to it")
        reading = next_records(self._log, holdings, instance.settings.format, max_bytes)
        lost = [] if reading.records else self._lost(holdings)
        if self._are_of_earlier([*reading.ranges, *lost]):
            return self.next_records(instance, max_bytes)
        if lost:
            self._place_lost(instance, lost)
            return self.next_records(instance, max_bytes)
        return reading, holdings

    def _are_of_earlier(self, places: Sequence[Holding | Range]) -> bool:
        """Whether the topic of one of them was made anew: asked after reading, which goes by its name."""
        return bool(of_earlier(places, self._topics.now({place.topic for place in places})))

    def _lost(self, holdings: Iterable[Holding]) -> list[Holding]:
        """Those that stand behind the end of their partition."""
        lost: list[Holding] = []
        for topic, of_topic in _by_topic(holdings).items():
            with suppress(UnknownTopic):
                ends = self._log.ends(topic)
                lost += [one for one in of_topic if (one.position or 0) > ends.get(one.partition, 0)]
        return lost

    def _place_lost(self, instance: Instance, lost: Iterable[Holding]) -> None:
        for topic, of_topic in _by_topic(lost).items():
            with suppress(UnknownTopic):
                edge = self._edge(instance)(topic)
                self._store.place((holding, edge.get(holding.partition, 0), None) for holding in of_topic)

    def same_records(self, instance: Instance, kept: Kept) -> Reading:
        """The records of an answer once more; raises IllegalState when they are not there any more."""
        check_allowed(instance, (range_.topic for range_ in kept.ranges))
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
        topics = self._topics.now({holding.topic for holding in dirty})
        there = [holding for holding in dirty if topics.get(holding.topic, ("", 0))[0] == holding.topic_id]
        for topic, of_topic in _by_topic(there).items():
            positions = {holding.partition: holding.position or 0 for holding in of_topic}
            with suppress(UnknownTopic, BadInput):  # it was deleted, and its positions with it
                self._log.commit(instance.group, topic, positions)
            self._store.kept((holding, positions[holding.partition]) for holding in of_topic)

    def commit(self, instance: Instance, offsets: Sequence[PartitionOffset] | None) -> None:
        """Keep positions behind these offsets, or behind all that was delivered.

        Raises UnknownTopic, UnknownPartition, and IllegalState for a partition of another instance, or of a
        topic that was made anew since it was read.
        """
        if offsets is None:
            self._commit_delivered(instance, self._store.holdings(instance))
            return
        positions = {(entry.topic, entry.partition): entry.offset + 1 for entry in offsets}
        self._topics.check(instance, positions)
        if instance.subscription is not None:
            for part in positions:
                self._refuse_other(instance, part)
        holdings = self._store.holdings(instance)
        held = [one for one in holdings if (one.topic, one.partition) in positions]
        if self._are_of_earlier(held):
            raise IllegalState("a topic was made anew since its records were read", "read the new one first")
        self._refuse_members(instance.group)
        for topic in dict.fromkeys(topic for topic, _ in positions):
            of_topic = {number: position for (name, number), position in positions.items() if name == topic}
            self._log.commit(instance.group, topic, of_topic)
        self._store.kept((one, positions[one.topic, one.partition]) for one in held)

    def _refuse_other(self, instance: Instance, part: Part) -> None:
        holder = self._store.holder(instance.group, part)
        if holder not in (None, instance.name):
            raise IllegalState(
                f"partition {part[1]} of '{part[0]}' belongs to the instance '{holder}' of the group now",
                "go on with the partitions of GET .../assignments",
            )

    def committed(self, instance: Instance, parts: Sequence[Part]) -> list[Committed]:
        """The group's positions in these partitions, where there are any."""
        self._topics.check(instance, parts)
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
        self._topics.check(instance, parts)
        look = self._log.ends if end else self._log.beginnings
        found = {topic: look(topic) for topic in {topic for topic, _ in parts}}
        return {part: offset_of(part, found[part[0]]) for part in parts}

    def at_times(self, instance: Instance, times: Iterable[PartitionTime]) -> dict[Part, int]:
        """The first offsets that are not before these times; raises UnknownTopic, UnknownPartition."""
        found: dict[Part, int] = {}
        for entry in times:
            part = (entry.topic, entry.partition)
            self._topics.check(instance, [part])
            milliseconds = int(entry.timestamp.timestamp() * 1_000)
            found[part] = offset_of(part, self._log.offsets_at(entry.topic, milliseconds))
        return found

    # What is known of topics and groups

    def _names(self, instance: Instance, subscription: Subscribe) -> list[str]:
        """The topics of a subscription; raises Forbidden for a name that the caller may not read."""
        if subscription.topic_pattern is None:
            check_allowed(instance, subscription.topics or [])
            return fitting(instance, subscription, [])
        return fitting(instance, subscription, self._log.topics())

    def _present(self, instance: Instance, names: Sequence[str]) -> Topics:
        """Those of the topics that are there; asked anew where they are not as the instance knew them."""
        topics = self._topics.lately(names)
        return topics if topics == instance.topics else self._topics.now(names)

    def _refuse_members(self, group: str) -> None:
        """Raises IllegalState when the log itself shares partitions among the group's consumers."""
        with suppress(UnknownGroup):
            members = self._log.describe_group(group).members
            if members:
                raise IllegalState(
                    f"the group '{group}' has {len(members)} consumers that are no instances of this gateway",
                    "choose another group, or stop them",
                )


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
