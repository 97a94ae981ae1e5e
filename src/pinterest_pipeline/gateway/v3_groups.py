"""REST v3: groups of consumers, their members, and how far they are behind."""

import contextlib
from typing import Final

from pinterest_pipeline.errors import UnknownGroup, UnknownTopic
from pinterest_pipeline.eventlog.base import EventLog, Group, GroupMember, Part
from pinterest_pipeline.gateway.error_codes import UNKNOWN_CLUSTER, UNKNOWN_GROUP, UNKNOWN_PARTITION, Fault
from pinterest_pipeline.gateway.operations import Access, Operation
from pinterest_pipeline.gateway.v3_operations import ONE_CLUSTER, Named, OneCluster
from pinterest_pipeline.gateway.v3_resources import Links
from pinterest_pipeline.gateway.v3_shapes import (
    KafkaConsumer,
    KafkaConsumerAssignment,
    KafkaConsumerGroup,
    KafkaConsumerGroupLagSummary,
    KafkaConsumerLag,
    ResourceList,
)

GROUPS: Final = f"{ONE_CLUSTER}/consumer-groups"
ONE_GROUP: Final = f"{GROUPS}/{{consumer_group_id}}"
CONSUMERS: Final = f"{ONE_GROUP}/consumers"
LAG: Final = f"{ONE_GROUP}/lags/{{topic_name}}/partitions/{{partition_id}}"

_GROUP: Final = Access("describe", "group", "consumer_group_id")
_OF_GROUP: Final = (UNKNOWN_CLUSTER, UNKNOWN_GROUP)


class V3Groups:
    """The operations over one log. Errors of the log are left to the endpoint."""

    def __init__(self, log: EventLog, cluster: OneCluster) -> None:
        self._log = log
        self._cluster = cluster

    def operations(self) -> list[Operation]:
        return [*self._on_groups(), *self._on_lags()]

    def _on_groups(self) -> list[Operation]:
        get, group, consumer = self._cluster.get, KafkaConsumerGroup, KafkaConsumer
        any_group, one = Access("describe", "group"), f"{CONSUMERS}/{{consumer_id}}"
        held, assignments = ResourceList[KafkaConsumerAssignment], f"{one}/assignments"
        of = _OF_GROUP
        return [
            get(
                "list_groups",
                GROUPS,
                self._groups,
                "All groups of consumers",
                any_group,
                ResourceList[KafkaConsumerGroup],
            ),
            get("get_group", ONE_GROUP, self._group, "One group of consumers", _GROUP, group, of),
            get(
                "list_consumers",
                CONSUMERS,
                self._consumers,
                "The members of a group",
                _GROUP,
                ResourceList[KafkaConsumer],
                of,
            ),
            get("get_consumer", one, self._consumer, "One member of a group", _GROUP, consumer, of),
            get(
                "list_assignments",
                assignments,
                self._held,
                "What a member of a group holds",
                _GROUP,
                held,
                of,
            ),
        ]

    def _on_lags(self) -> list[Operation]:
        get, of = self._cluster.get, _OF_GROUP
        summary, lag = KafkaConsumerGroupLagSummary, KafkaConsumerLag
        lags, sums = f"{ONE_GROUP}/lags", f"{ONE_GROUP}/lag-summary"
        return [
            get(
                "get_lag_summary",
                sums,
                self._summary,
                "How far a group is behind in all",
                _GROUP,
                summary,
                of,
            ),
            get(
                "list_lags",
                lags,
                self._lags,
                "How far a group is behind in each partition where it has a position",
                _GROUP,
                ResourceList[KafkaConsumerLag],
                of,
            ),
            get(
                "get_lag",
                LAG,
                self._lag,
                "How far a group is behind in one partition",
                _GROUP,
                lag,
                (*of, UNKNOWN_PARTITION),
            ),
        ]

    def _groups(self, links: Links, _: Named) -> ResourceList[KafkaConsumerGroup]:
        groups = []
        for name in links.visible("group", self._log.groups()):
            with contextlib.suppress(UnknownGroup):  # gone meanwhile
                groups.append(_group(links, self._log.describe_group(name)))
        return links.listed("KafkaConsumerGroup", groups, "consumer-groups")

    def _group(self, links: Links, named: Named) -> KafkaConsumerGroup:
        return _group(links, self._log.describe_group(named["consumer_group_id"]))

    def _consumers(self, links: Links, named: Named) -> ResourceList[KafkaConsumer]:
        group = self._log.describe_group(named["consumer_group_id"])
        members = [_consumer(links, group.name, member) for member in group.members]
        return links.listed("KafkaConsumer", members, "consumer-groups", group.name, "consumers")

    def _consumer(self, links: Links, named: Named) -> KafkaConsumer | Fault:
        found = self._member(named)
        return found if isinstance(found, Fault) else _consumer(links, named["consumer_group_id"], found)

    def _held(self, links: Links, named: Named) -> ResourceList[KafkaConsumerAssignment] | Fault:
        group, found = named["consumer_group_id"], self._member(named)
        if isinstance(found, Fault):
            return found
        seen = links.visible("topic", {topic for topic, _ in found.partitions})
        held = [_assignment(links, group, found.id, part) for part in found.partitions if part[0] in seen]
        path = ("consumer-groups", group, "consumers", found.id, "assignments")
        return links.listed("KafkaConsumerAssignment", held, *path)

    def _member(self, named: Named) -> GroupMember | Fault:
        wanted = named["consumer_id"]
        for member in self._log.describe_group(named["consumer_group_id"]).members:
            if member.id == wanted:
                return member
        return Fault(UNKNOWN_GROUP, f"the group has no member '{wanted[:100]}'")

    def _lags(self, links: Links, named: Named) -> ResourceList[KafkaConsumerLag]:
        group = named["consumer_group_id"]
        return links.listed("KafkaConsumerLag", self._behind(links, group), "consumer-groups", group, "lags")

    def _lag(self, links: Links, named: Named) -> KafkaConsumerLag | Fault:
        topic, number = named["topic_name"], named["partition_id"]
        for lag in self._behind(links, named["consumer_group_id"]):
            if (lag.topic_name, lag.partition_id) == (topic, number):
                return lag
        return Fault(UNKNOWN_PARTITION, f"the group has no position in partition {number} of '{topic[:100]}'")

    def _summary(self, links: Links, named: Named) -> KafkaConsumerGroupLagSummary:
        group = named["consumer_group_id"]
        lags = self._behind(links, group)
        worst = max(lags, key=lambda lag: lag.lag, default=None)
        return _summary(links, group, worst, sum(lag.lag for lag in lags))

    def _behind(self, links: Links, group: str) -> list[KafkaConsumerLag]:
        known = self._log.describe_group(group)
        holders = {part: member for member in known.members for part in member.partitions}
        lags = []
        found = self._log.positions(group)
        for topic in links.visible("topic", sorted(found)):
            with contextlib.suppress(UnknownTopic):  # deleted meanwhile
                ends = self._log.ends(topic)
                lags += [
                    _lag(links, group, (topic, number), position, ends[number], holders.get((topic, number)))
                    for number, position in sorted(found[topic].items())
                    if number in ends
                ]
        return lags


def _group(links: Links, known: Group) -> KafkaConsumerGroup:
    path = ("consumer-groups", known.name)
    return KafkaConsumerGroup(
        kind="KafkaConsumerGroup",
        metadata=links.metadata(*path),
        cluster_id=links.cluster.id,
        consumer_group_id=known.name,
        is_simple=not known.assignor and not known.members,
        partition_assignor=known.assignor,
        state=known.state,
        coordinator=links.related("brokers", known.coordinator),
        consumer=links.related(*path, "consumers"),
        lag_summary=links.related(*path, "lag-summary"),
    )


def _consumer(links: Links, group: str, member: GroupMember) -> KafkaConsumer:
    path = ("consumer-groups", group, "consumers", member.id)
    return KafkaConsumer(
        kind="KafkaConsumer",
        metadata=links.metadata(*path),
        cluster_id=links.cluster.id,
        consumer_group_id=group,
        consumer_id=member.id,
        client_id=member.client_id,
        assignments=links.related(*path, "assignments"),
    )


def _assignment(links: Links, group: str, consumer: str, part: Part) -> KafkaConsumerAssignment:
    topic, number = part
    path = ("consumer-groups", group, "consumers", consumer, "assignments", topic, "partitions", number)
    return KafkaConsumerAssignment(
        kind="KafkaConsumerAssignment",
        metadata=links.metadata(*path),
        cluster_id=links.cluster.id,
        consumer_group_id=group,
        consumer_id=consumer,
        topic_name=topic,
        partition_id=number,
        partition=links.related("topics", topic, "partitions", number),
        lag=links.related("consumer-groups", group, "lags", topic, "partitions", number),
    )


def _lag(
    links: Links, group: str, part: Part, position: int, end: int, holder: GroupMember | None
) -> KafkaConsumerLag:
    topic, number = part
    return KafkaConsumerLag(
        kind="KafkaConsumerLag",
        metadata=links.metadata("consumer-groups", group, "lags", topic, "partitions", number),
        cluster_id=links.cluster.id,
        consumer_group_id=group,
        topic_name=topic,
        partition_id=number,
        current_offset=position,
        log_end_offset=end,
        lag=max(0, end - position),
        consumer_id=holder.id if holder else "",
        client_id=holder.client_id if holder else "",
    )


def _summary(
    links: Links, group: str, worst: KafkaConsumerLag | None, total: int
) -> KafkaConsumerGroupLagSummary:
    held = worst is not None and bool(worst.consumer_id)
    path = ("consumer-groups", group)
    return KafkaConsumerGroupLagSummary(
        kind="KafkaConsumerGroupLagSummary",
        metadata=links.metadata(*path, "lag-summary"),
        cluster_id=links.cluster.id,
        consumer_group_id=group,
        max_lag_consumer_id=worst.consumer_id if worst else None,
        max_lag_client_id=worst.client_id if worst else None,
        max_lag_topic_name=worst.topic_name if worst else None,
        max_lag_partition_id=worst.partition_id if worst else None,
        max_lag=worst.lag if worst else 0,
        total_lag=total,
        max_lag_consumer=links.related(*path, "consumers", worst.consumer_id) if worst and held else None,
        max_lag_partition=(
            links.related("topics", worst.topic_name, "partitions", worst.partition_id) if worst else None
        ),
    )
