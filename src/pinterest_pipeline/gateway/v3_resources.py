"""What the log knows, as the resources of REST v3 with their links (pure)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import quote

from pinterest_pipeline.eventlog.base import Cluster, PartitionDescription, TopicDescription
from pinterest_pipeline.gateway.operations import Noun
from pinterest_pipeline.gateway.v3_shapes import (
    KafkaBroker,
    KafkaCluster,
    KafkaPartition,
    KafkaReplica,
    KafkaTopic,
    KafkaTopicConfig,
    ListMetadata,
    Metadata,
    Related,
    ResourceList,
)

T = TypeVar("T")

_SINGULAR: Final[Mapping[str, str]] = {
    "brokers": "broker",
    "topics": "topic",
    "configs": "config",
    "partitions": "partition",
    "replicas": "replica",
    "consumer-groups": "consumer-group",
    "consumers": "consumer",
    "assignments": "assignment",
    "lags": "lag",
}


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of what belongs to a cluster; a path is given in its parts: `("topics", "pin")`.

    A caller is led only to what it may see.
    """

    clusters: str
    """The address of the list of clusters."""
    cluster: Cluster
    visible: Callable[[Noun, Iterable[str]], list[str]]
    """Those of the names that the caller may see."""

    def to(self, *path: str | int) -> str:
        return "/".join((self.clusters, *(quote(str(part), safe="") for part in (self.cluster.id, *path))))

    def related(self, *path: str | int) -> Related:
        return Related(self.to(*path))

    def metadata(self, *path: str | int) -> Metadata:
        """The address, and the same path as a Confluent resource name."""
        names = [f"kafka={self.cluster.id}"]
        for kind, name in zip(path[::2], path[1::2], strict=False):
            names.append(f"{_SINGULAR[str(kind)]}={name}")
        return Metadata(self.to(*path), "crn:///" + "/".join([*names, *map(str, path[len(path) // 2 * 2 :])]))

    def listed(self, kind: str, data: list[T], *path: str | int) -> ResourceList[T]:
        """Resources of a kind, with the path of their list."""
        return ResourceList(f"{kind}List", ListMetadata(self.to(*path)), data)


def clusters(links: Links) -> ResourceList[KafkaCluster]:
    return ResourceList("KafkaClusterList", ListMetadata(links.clusters), [cluster(links)])


def cluster(links: Links) -> KafkaCluster:
    return KafkaCluster(
        kind="KafkaCluster",
        metadata=links.metadata(),
        cluster_id=links.cluster.id,
        controller=links.related("brokers", links.cluster.controller),
        acls=links.related("acls"),
        brokers=links.related("brokers"),
        broker_configs=links.related("broker-configs"),
        consumer_groups=links.related("consumer-groups"),
        topics=links.related("topics"),
        partition_reassignments=links.related("topics", "-", "partitions", "-", "reassignment"),
    )


def broker(links: Links, number: int) -> KafkaBroker:
    return KafkaBroker(
        kind="KafkaBroker",
        metadata=links.metadata("brokers", number),
        cluster_id=links.cluster.id,
        broker_id=number,
        configs=links.related("brokers", number, "configs"),
        partition_replicas=links.related("brokers", number, "partition-replicas"),
    )


def topic(links: Links, known: TopicDescription) -> KafkaTopic:
    path = ("topics", known.name)
    return KafkaTopic(
        kind="KafkaTopic",
        metadata=links.metadata(*path),
        cluster_id=links.cluster.id,
        topic_name=known.name,
        is_internal=known.name.startswith("__"),
        replication_factor=max((len(partition.replicas) for partition in known.layout), default=0),
        partitions_count=known.partitions,
        partitions=links.related(*path, "partitions"),
        configs=links.related(*path, "configs"),
        partition_reassignments=links.related(*path, "partitions", "-", "reassignment"),
    )


def topic_config(links: Links, topic_name: str, name: str, value: str) -> KafkaTopicConfig:
    return KafkaTopicConfig(
        kind="KafkaTopicConfig",
        metadata=links.metadata("topics", topic_name, "configs", name),
        cluster_id=links.cluster.id,
        topic_name=topic_name,
        name=name,
        value=value,
    )


def partition(links: Links, topic_name: str, known: PartitionDescription) -> KafkaPartition:
    path = ("topics", topic_name, "partitions", known.partition)
    return KafkaPartition(
        kind="KafkaPartition",
        metadata=links.metadata(*path),
        cluster_id=links.cluster.id,
        topic_name=topic_name,
        partition_id=known.partition,
        leader=links.related(*path, "replicas", known.leader),
        replicas=links.related(*path, "replicas"),
        reassignment=links.related(*path, "reassignment"),
    )


def replica(links: Links, topic_name: str, known: PartitionDescription, number: int) -> KafkaReplica:
    return KafkaReplica(
        kind="KafkaReplica",
        metadata=links.metadata("topics", topic_name, "partitions", known.partition, "replicas", number),
        cluster_id=links.cluster.id,
        topic_name=topic_name,
        partition_id=known.partition,
        broker_id=number,
        is_leader=number == known.leader,
        is_in_sync=number in known.in_sync,
        broker=links.related("brokers", number),
    )
