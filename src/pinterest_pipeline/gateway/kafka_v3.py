"""REST v3 as Confluent has it: clusters, brokers, topics and partitions."""

import contextlib
from typing import Annotated, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import BadInput, TopicExists, UnknownTopic
from pinterest_pipeline.eventlog.base import EventLog, PartitionDescription, TopicDescription
from pinterest_pipeline.gateway import error_codes, requests, v3_resources
from pinterest_pipeline.gateway import v3_shapes as shapes
from pinterest_pipeline.gateway.access import denied
from pinterest_pipeline.gateway.error_codes import (
    EXISTS,
    INVALID_NAME,
    INVALID_TOPIC,
    UNKNOWN_CLUSTER,
    UNKNOWN_PARTITION,
    Fault,
)
from pinterest_pipeline.gateway.exchange import read_body
from pinterest_pipeline.gateway.media import content_fault, content_type
from pinterest_pipeline.gateway.operations import Access, Body, Operation
from pinterest_pipeline.gateway.responses import JSON_MEDIA, Answer, kafka_v3
from pinterest_pipeline.gateway.v3_operations import (
    CLUSTERS,
    MEDIA,
    OF_PARTITION,
    OF_TOPIC,
    ONE_CLUSTER,
    ONE_PARTITION,
    ONE_TOPIC,
    PARTITIONS,
    TOPICS,
    Named,
    OneCluster,
    operation,
)
from pinterest_pipeline.gateway.v3_resources import Links
from pinterest_pipeline.gateway.v3_shapes import ResourceList

_MAX_PARTITIONS: Final = 1_000
_CLUSTER: Final = Access("describe", "cluster")
_TOPIC: Final = Access("describe", "topic", "topic_name")


class TopicConfig(msgspec.Struct, forbid_unknown_fields=True):
    """A setting of the topic to be."""

    name: str
    value: str


class CreateTopic(msgspec.Struct, forbid_unknown_fields=True):
    """The topic to be: one partition unless it says more. With `validate_only` nothing is created."""

    topic_name: Annotated[str, msgspec.Meta(extra_json_schema={"pattern": "^[a-zA-Z0-9._-]{1,249}$"})]
    partitions_count: Annotated[int, msgspec.Meta(ge=1, le=_MAX_PARTITIONS)] = 1
    replication_factor: Annotated[int, msgspec.Meta(ge=1, le=2**15 - 1)] | None = None
    configs: list[TopicConfig] = []
    validate_only: bool = False


_create_topic: Final = msgspec.json.Decoder(CreateTopic)


class KafkaV3:
    """The operations over one log. Errors of the log are left to the endpoint."""

    def __init__(self, settings: GatewaySettings, log: EventLog, cluster: OneCluster) -> None:
        self._settings = settings
        self._log = log
        self._cluster = cluster

    def operations(self) -> list[Operation]:
        return [*self._on_cluster(), *self._on_topics(), *self._on_partitions()]

    def _on_cluster(self) -> list[Operation]:
        get = self._cluster.get
        brokers, broker = f"{ONE_CLUSTER}/brokers", f"{ONE_CLUSTER}/brokers/{{broker_id}}"
        all_clusters, all_brokers = ResourceList[shapes.KafkaCluster], ResourceList[shapes.KafkaBroker]
        return [
            get(
                "list_clusters",
                CLUSTERS,
                self._clusters,
                "The cluster, in a list",
                _CLUSTER,
                all_clusters,
                (),
            ),
            get("get_cluster", ONE_CLUSTER, self._one, "The cluster", _CLUSTER, shapes.KafkaCluster),
            get("list_brokers", brokers, self._brokers, "All brokers", _CLUSTER, all_brokers),
            get("get_broker", broker, self._broker, "One broker", _CLUSTER, shapes.KafkaBroker),
        ]

    def _on_topics(self) -> list[Operation]:
        get, one, configs = self._cluster.get, shapes.KafkaTopic, ResourceList[shapes.KafkaTopicConfig]
        any_topic, delete = Access("describe", "topic"), Access("delete", "topic", "topic_name")
        return [
            get(
                "list_topics", TOPICS, self._topics, "All topics", any_topic, ResourceList[shapes.KafkaTopic]
            ),
            operation(
                "create_topic",
                "POST",
                TOPICS,
                self._create,
                "Create a topic; with validate_only, say whether it could be",
                Access("create", "topic"),
                {201: one, 200: one},
                (*error_codes.OF_BODY, UNKNOWN_CLUSTER, INVALID_NAME, INVALID_TOPIC, EXISTS),
                Body(CreateTopic, (JSON_MEDIA,)),
            ),
            get("get_topic", ONE_TOPIC, self._topic, "One topic", _TOPIC, one, OF_TOPIC),
            operation(
                "delete_topic",
                "DELETE",
                ONE_TOPIC,
                self._delete,
                "Delete a topic with its records",
                delete,
                {204: None},
                OF_TOPIC,
            ),
            get(
                "list_topic_configs",
                f"{ONE_TOPIC}/configs",
                self._configs,
                "The settings of a topic that are not the log's defaults",
                _TOPIC,
                configs,
                OF_TOPIC,
            ),
        ]

    def _on_partitions(self) -> list[Operation]:
        get, one, replica = self._cluster.get, shapes.KafkaPartition, shapes.KafkaReplica
        path = f"{ONE_PARTITION}/replicas"
        return [
            get(
                "list_partitions",
                PARTITIONS,
                self._partitions,
                "The partitions of a topic",
                _TOPIC,
                ResourceList[shapes.KafkaPartition],
                OF_TOPIC,
            ),
            get("get_partition", ONE_PARTITION, self._partition, "One partition", _TOPIC, one, OF_PARTITION),
            get(
                "list_replicas",
                path,
                self._replicas,
                "The copies of a partition",
                _TOPIC,
                ResourceList[shapes.KafkaReplica],
                OF_PARTITION,
            ),
            get(
                "get_replica",
                f"{path}/{{broker_id}}",
                self._replica,
                "One copy of a partition",
                _TOPIC,
                replica,
                OF_PARTITION,
            ),
        ]

    def _clusters(self, links: Links, _: Named) -> ResourceList[shapes.KafkaCluster]:
        return v3_resources.clusters(links)

    def _one(self, links: Links, _: Named) -> shapes.KafkaCluster:
        return v3_resources.cluster(links)

    def _brokers(self, links: Links, _: Named) -> ResourceList[shapes.KafkaBroker]:
        brokers = [v3_resources.broker(links, number) for number in links.cluster.brokers]
        return links.listed("KafkaBroker", brokers, "brokers")

    def _broker(self, links: Links, named: Named) -> shapes.KafkaBroker | Fault:
        number = named["broker_id"]
        if number not in links.cluster.brokers:
            return Fault(UNKNOWN_CLUSTER, f"the cluster has no broker {number}")
        return v3_resources.broker(links, number)

    def _topics(self, links: Links, _: Named) -> ResourceList[shapes.KafkaTopic]:
        topics = []
        for name in links.visible("topic", self._log.topics()):
            with contextlib.suppress(UnknownTopic):  # deleted meanwhile
                topics.append(v3_resources.topic(links, self._log.describe(name)))
        return links.listed("KafkaTopic", topics, "topics")

    def _topic(self, links: Links, named: Named) -> shapes.KafkaTopic:
        return v3_resources.topic(links, self._log.describe(named["topic_name"]))

    def _configs(self, links: Links, named: Named) -> ResourceList[shapes.KafkaTopicConfig]:
        name = named["topic_name"]
        known = self._log.describe(name).configs
        configs = [v3_resources.topic_config(links, name, key, value) for key, value in known.items()]
        return links.listed("KafkaTopicConfig", configs, "topics", name, "configs")

    def _partitions(self, links: Links, named: Named) -> ResourceList[shapes.KafkaPartition]:
        name = named["topic_name"]
        layout = self._log.describe(name).layout
        partitions = [v3_resources.partition(links, name, known) for known in layout]
        return links.listed("KafkaPartition", partitions, "topics", name, "partitions")

    def _partition(self, links: Links, named: Named) -> shapes.KafkaPartition | Fault:
        known = self._known(named)
        return (
            known if isinstance(known, Fault) else v3_resources.partition(links, named["topic_name"], known)
        )

    def _replicas(self, links: Links, named: Named) -> ResourceList[shapes.KafkaReplica] | Fault:
        name, known = named["topic_name"], self._known(named)
        if isinstance(known, Fault):
            return known
        replicas = [v3_resources.replica(links, name, known, number) for number in known.replicas]
        return links.listed(
            "KafkaReplica", replicas, "topics", name, "partitions", known.partition, "replicas"
        )

    def _replica(self, links: Links, named: Named) -> shapes.KafkaReplica | Fault:
        known, number = self._known(named), named["broker_id"]
        if isinstance(known, Fault):
            return known
        if number not in known.replicas:
            return Fault(UNKNOWN_CLUSTER, f"broker {number} has no copy of the partition")
        return v3_resources.replica(links, named["topic_name"], known, number)

    def _known(self, named: Named) -> PartitionDescription | Fault:
        return partition_of(self._log.describe(named["topic_name"]), named["partition_id"])

    async def _create(self, request: Request) -> Answer | Fault:
        fault = content_fault(content_type(request), MEDIA)
        body = fault or await read_body(request, self._settings.max_body_bytes)
        if isinstance(body, Fault):
            return body
        asked = requests.decoded(_create_topic, body)
        if isinstance(asked, Fault):
            return asked
        fault = denied(request, "create", "topic", asked.topic_name)
        return await run_in_threadpool(self._created, request, asked) if fault is None else fault

    def _created(self, request: Request, asked: CreateTopic) -> Answer | Fault:
        name = asked.topic_name
        wrong = self._cluster.fault(request.path_params["cluster_id"]) or requests.topic_fault(name)
        if wrong is not None:
            return wrong
        links = self._cluster.links(request)
        if asked.validate_only:
            return self._could_be(links, asked)
        configs = {config.name: config.value for config in asked.configs}
        try:
            self._log.create(asked.topic_name, asked.partitions_count, asked.replication_factor, configs)
        except BadInput as error:
            return Fault(INVALID_TOPIC, str(error))
        return kafka_v3(v3_resources.topic(links, self._log.describe(asked.topic_name)), 201)

    def _could_be(self, links: Links, asked: CreateTopic) -> Answer:
        """The topic as it would be; the log itself is asked only whether the name is free."""
        with contextlib.suppress(UnknownTopic):
            self._log.describe(asked.topic_name)
            raise TopicExists(asked.topic_name)
        brokers = links.cluster.brokers[: asked.replication_factor or 1]
        layout = [
            PartitionDescription(number, brokers[0], brokers, brokers)
            for number in range(asked.partitions_count)
        ]
        return kafka_v3(v3_resources.topic(links, TopicDescription(asked.topic_name, "", tuple(layout))))

    async def _delete(self, request: Request) -> Answer | Fault:
        return await run_in_threadpool(self._deleted, request.path_params)

    def _deleted(self, named: Named) -> Answer | Fault:
        fault = self._cluster.fault(named["cluster_id"])
        if fault is not None:
            return fault
        self._log.delete(named["topic_name"])
        return Answer(b"", JSON_MEDIA, 204)


def partition_of(known: TopicDescription, number: int) -> PartitionDescription | Fault:
    """A partition of a topic by its number."""
    if number < known.partitions:
        return known.layout[number]
    return Fault(
        UNKNOWN_PARTITION, f"'{known.name}' has no partition {number}, the last one is {known.partitions - 1}"
    )
