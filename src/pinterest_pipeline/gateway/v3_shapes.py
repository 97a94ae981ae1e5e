"""What REST v3 says of clusters, topics and groups, in the shapes of Confluent's own document (pure).

The links that those shapes ask for are all there, also those to what this gateway does not have (acls,
broker-configs, reassignments): they answer 404.
Source: https://github.com/confluentinc/kafka-rest/blob/master/api/v3/openapi.yaml
"""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Metadata(msgspec.Struct):
    """Where a resource is found, and its name."""

    self: str
    resource_name: str | None


class ListMetadata(msgspec.Struct):
    """Where a list is found; it is never cut into pages."""

    self: str
    next: None = None


class Related(msgspec.Struct):
    """A link."""

    related: str


class Resource(msgspec.Struct, kw_only=True):
    kind: str
    metadata: Metadata
    cluster_id: str


class KafkaCluster(Resource, kw_only=True):
    """A cluster."""

    controller: Related
    acls: Related
    brokers: Related
    broker_configs: Related
    consumer_groups: Related
    topics: Related
    partition_reassignments: Related


class KafkaBroker(Resource, kw_only=True):
    """A broker; its address is not shown."""

    broker_id: int
    host: str | None = None
    port: int | None = None
    configs: Related
    partition_replicas: Related


class KafkaTopic(Resource, kw_only=True):
    """A topic."""

    topic_name: str
    is_internal: bool
    replication_factor: int
    partitions_count: int
    partitions: Related
    configs: Related
    partition_reassignments: Related


class KafkaTopicConfig(Resource, kw_only=True):
    """A setting of a topic that is not the log's default."""

    topic_name: str
    name: str
    value: str | None
    is_default: bool = False
    is_read_only: bool = False
    is_sensitive: bool = False
    source: str = "DYNAMIC_TOPIC_CONFIG"
    synonyms: list[str] = []


class KafkaPartition(Resource, kw_only=True):
    """A partition of a topic."""

    topic_name: str
    partition_id: int
    leader: Related
    replicas: Related
    reassignment: Related


class KafkaReplica(Resource, kw_only=True):
    """A broker's copy of a partition."""

    topic_name: str
    partition_id: int
    broker_id: int
    is_leader: bool
    is_in_sync: bool
    broker: Related


class KafkaConsumerGroup(Resource, kw_only=True):
    """A group of consumers."""

    consumer_group_id: str
    is_simple: bool
    partition_assignor: str
    state: str
    coordinator: Related
    consumer: Related
    lag_summary: Related


class KafkaConsumer(Resource, kw_only=True):
    """A member of a group."""

    consumer_group_id: str
    consumer_id: str
    instance_id: str | None = None
    client_id: str
    assignments: Related


class KafkaConsumerAssignment(Resource, kw_only=True):
    """A partition that a member of a group holds."""

    consumer_group_id: str
    consumer_id: str
    topic_name: str
    partition_id: int
    partition: Related
    lag: Related


class KafkaConsumerLag(Resource, kw_only=True):
    """How far a group is behind the end of a partition; the consumer is empty where none holds it."""

    consumer_group_id: str
    topic_name: str
    partition_id: int
    current_offset: int
    log_end_offset: int
    lag: int
    consumer_id: str
    instance_id: str | None = None
    client_id: str


class KafkaConsumerGroupLagSummary(Resource, kw_only=True):
    """How far a group is behind in all; what names the worst partition is null where it has no position."""

    consumer_group_id: str
    max_lag_consumer_id: str | None
    max_lag_instance_id: str | None = None
    max_lag_client_id: str | None
    max_lag_topic_name: str | None
    max_lag_partition_id: int | None
    max_lag: int
    total_lag: int
    max_lag_consumer: Related | None
    max_lag_partition: Related | None


class ResourceList(msgspec.Struct, Generic[T]):
    """Resources of one kind."""

    kind: str
    metadata: ListMetadata
    data: list[T]
