"""Groups of consumers and their committed positions, through the admin API of a cluster."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import ConsumerGroupDescription

from pinterest_pipeline.errors import UnknownGroup, UnknownPartition
from pinterest_pipeline.eventlog.base import Group, GroupMember
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_positions import Positions


class Groups:
    """Asks through an Admin and Positions, and raises what they raise."""

    def __init__(self, admin: Admin, positions: Positions) -> None:
        self._admin = admin
        self._positions = positions

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
        parts = [(topic, part.id) for part in self._admin.found(topic).partitions]
        found = self._positions.of(group, parts)
        return {partition: found[topic, partition] for _, partition in sorted(found)}

    def positions(self, group: str) -> dict[str, dict[int, int]]:
        """By topic and number."""
        found: dict[str, dict[int, int]] = {}
        for (topic, partition), offset in sorted(self._positions.of(group, self._admin.parts()).items()):
            found.setdefault(topic, {})[partition] = offset
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
        self._admin.of_coordinator(
            lambda client, seconds: _kept(
                client.alter_consumer_group_offsets(asked, request_timeout=seconds)[group]
            ),
            topic,
        )


def _kept(asked: "Future[ConsumerGroupTopicPartitions]") -> "Future[None]":
    """A commit that fails as the first of its partitions: also with what passes, said of each of them."""
    kept: Future[None] = Future()

    def note(answered: "Future[ConsumerGroupTopicPartitions]") -> None:
        problem = answered.exception()
        if problem is None:
            errors = [part.error for part in answered.result().topic_partitions or () if part.error]
            problem = KafkaException(errors[0]) if errors else None
        if problem is not None:
            kept.set_exception(problem)
        else:
            kept.set_result(None)

    asked.add_done_callback(note)
    return kept


def _parts(parts: Iterable[Any]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((part.topic, part.partition) for part in parts))
