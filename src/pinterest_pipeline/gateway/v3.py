"""All operations of REST v3 over one log."""

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.gateway.kafka_v3 import KafkaV3
from pinterest_pipeline.gateway.operations import Operation
from pinterest_pipeline.gateway.v3_groups import V3Groups
from pinterest_pipeline.gateway.v3_operations import OneCluster
from pinterest_pipeline.gateway.v3_produce import V3Produce
from pinterest_pipeline.gateway.v3_read import V3Reader


def v3_operations(settings: GatewaySettings, log: EventLog) -> list[Operation]:
    """Those that append come first, so that the document begins with them."""
    cluster = OneCluster(settings, log)
    return [
        *V3Produce(settings, log, cluster).operations(),
        *V3Reader(log, cluster).operations(),
        *KafkaV3(settings, log, cluster).operations(),
        *V3Groups(log, cluster).operations(),
    ]
