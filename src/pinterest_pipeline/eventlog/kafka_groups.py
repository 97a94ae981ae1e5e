"""Groups of consumers and their committed positions, through the admin API of a cluster."""

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import ConsumerGroupDescription

from pinterest_pipeline.errors import UnknownGroup, UnknownPartition
from pinterest_pipeline.eventlog.base import Group, GroupMember
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_errors import translated


class Groups:
    """Asks through an Admin, and raises what it raises."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def names(self) -> list[str]:
        ask, seconds = self._admin.client.list_consumer_groups, self._admin.seconds
        listed = self._admin.answer(lambda: ask(request_timeout=seconds))
        return sorted(group.group_id for group in listed.valid)

    def describe(self, group: str) -> Group:
        """Raises UnknownGroup."""
        if "\0" in group:  # the client would cut the name there, and ask for another group
            raise UnknownGroup(group)
        known: ConsumerGroupDescription = self._admin.of_coordinator(
            lambda client, seconds: client.describe_consumer_groups([group], request_timeout=seconds)[group],
            group,
        )
        if known.state.name == "DEAD":
            raise UnknownGroup(group)
        members = tuple(
            GroupMember(member.member_id, member.client_id, _parts(member.assignment.topic_partitions))
            for member in known.members
        )
        coordinator = known.coordinator.id if known.coordinator else 0
        return Group(group, known.state.name, members, coordinator, known.partition_assignor)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        parts = [TopicPartition(topic, part.id) for part in self._admin.found(topic).partitions]
        return self._positions(group, parts).get(topic, {})

    def positions(self, group: str) -> dict[str, dict[int, int]]:
        return self._positions(group, None)

    def _positions(self, group: str, parts: list[TopicPartition] | None) -> dict[str, dict[int, int]]:
        """Positions in these partitions, or in all, by topic and number."""
        asked = [ConsumerGroupTopicPartitions(group, parts)]
        try:
            answered = self._admin.of_coordinator(
                lambda client, seconds: client.list_consumer_group_offsets(asked, request_timeout=seconds)[
                    group
                ],
                group,
            )
        except UnknownGroup:
            return {}
        found: dict[str, dict[int, int]] = {}
        for part in sorted(answered.topic_partitions, key=lambda part: (part.topic, part.partition)):
            if part.offset >= 0:
                found.setdefault(part.topic, {})[part.partition] = part.offset
        return found

    def commit(self, group: str, topic: str, positions: Mapping[int, int]) -> None:
        """Keep positions of a group that has no members; raises Fenced when it has some."""
        known = {part.id for part in self._admin.found(topic).partitions}
        for part in positions:
            if part not in known:
                raise UnknownPartition(topic, part)
        if not positions:
            return
        parts = [TopicPartition(topic, part, offset) for part, offset in positions.items()]
        asked = [ConsumerGroupTopicPartitions(group, parts)]
        answered = self._admin.of_coordinator(
            lambda client, seconds: client.alter_consumer_group_offsets(asked, request_timeout=seconds)[
                group
            ],
            topic,
        )
        for kept in answered.topic_partitions:
            if kept.error is not None:
                raise translated(kept.error, topic)


def _parts(parts: Iterable[Any]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((part.topic, part.partition) for part in parts))
