"""Confluent's REST proxy v2: what is known of topics, their partitions and the brokers."""

from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pinterest_pipeline.errors import UnknownPartition
from pinterest_pipeline.eventlog.base import EventLog, PartitionDescription, offset_of
from pinterest_pipeline.gateway import media, requests, responses
from pinterest_pipeline.gateway.access import visible
from pinterest_pipeline.gateway.error_codes import NOT_ACCEPTABLE, UNKNOWN_PARTITION, UNKNOWN_TOPIC, Kind
from pinterest_pipeline.gateway.kafka_v2 import negotiated
from pinterest_pipeline.gateway.operations import Access, Handler, Operation
from pinterest_pipeline.gateway.responses import KAFKA_MEDIA, Answer

_TOPIC: Final = "/topics/{topic}"
_PARTITION: Final = f"{_TOPIC}/partitions/{{partition}}"
_ONE_TOPIC: Final = Access("describe", "topic", "topic")


class KafkaV2Topics:
    """The operations over one log. Errors of the log are left to the endpoint."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def operations(self) -> list[Operation]:
        topic, partition = (UNKNOWN_TOPIC,), (UNKNOWN_TOPIC, UNKNOWN_PARTITION)
        any_topic, cluster = Access("describe", "topic"), Access("describe", "cluster")
        return [
            _get("list_topics", "/topics", self._list, "The names of all topics", any_topic, list[str]),
            _get(
                "get_topic",
                _TOPIC,
                self._topic,
                "One topic, its settings and its partitions",
                _ONE_TOPIC,
                responses.Topic,
                topic,
            ),
            _get(
                "list_partitions",
                f"{_TOPIC}/partitions",
                self._partitions,
                "The partitions of a topic",
                _ONE_TOPIC,
                list[responses.TopicPartition],
                topic,
            ),
            _get(
                "get_partition",
                _PARTITION,
                self._partition,
                "One partition of a topic",
                _ONE_TOPIC,
                responses.TopicPartition,
                partition,
            ),
            _get(
                "get_partition_offsets",
                f"{_PARTITION}/offsets",
                self._offsets,
                "The first offset of a partition, and the next one to be written",
                _ONE_TOPIC,
                responses.PartitionOffsets,
                partition,
            ),
            _get(
                "list_brokers",
                "/brokers",
                self._brokers,
                "The ids of all brokers",
                cluster,
                responses.Brokers,
            ),
        ]

    async def _list(self, request: Request) -> Answer:
        return responses.kafka(visible(request, "topic", await run_in_threadpool(self._log.topics)))

    async def _topic(self, request: Request) -> Answer:
        name = request.path_params["topic"]
        return responses.topic(await run_in_threadpool(self._log.describe, name))

    async def _partitions(self, request: Request) -> Answer:
        described = await run_in_threadpool(self._log.describe, request.path_params["topic"])
        return responses.kafka([responses.topic_partition(known) for known in described.layout])

    async def _partition(self, request: Request) -> Answer:
        return responses.kafka(responses.topic_partition(await self._known(request)))

    async def _offsets(self, request: Request) -> Answer:
        number, topic = (await self._known(request)).partition, request.path_params["topic"]
        beginnings = await run_in_threadpool(self._log.beginnings, topic)
        ends = await run_in_threadpool(self._log.ends, topic)
        beginning, end = (offset_of((topic, number), offsets) for offsets in (beginnings, ends))
        return responses.kafka(responses.PartitionOffsets(beginning, end))

    async def _known(self, request: Request) -> PartitionDescription:
        """The partition that the path names; raises UnknownTopic or UnknownPartition."""
        topic, named = request.path_params["topic"], request.path_params["partition"]
        layout = (await run_in_threadpool(self._log.describe, topic)).layout
        number = requests.partition_number(named)
        if number is None or number >= len(layout):
            raise UnknownPartition(topic, named[:100])
        return layout[number]

    async def _brokers(self, _: Request) -> Answer:
        cluster = await run_in_threadpool(self._log.cluster)
        return responses.kafka(responses.Brokers(list(cluster.brokers)))


def _get(
    id: str,  # noqa: A002
    path: str,
    handler: Handler,
    says: str,
    access: Access,
    answer: Any,
    faults: tuple[Kind, ...] = (),
) -> Operation:
    return Operation(
        id=id,
        api="kafka_v2",
        method="GET",
        path=path,
        handler=negotiated(handler),
        says=says,
        access=access,
        answers={200: answer},
        media=KAFKA_MEDIA,
        other_media=media.ANSWERS[1:],
        faults=(*faults, NOT_ACCEPTABLE),
    )
