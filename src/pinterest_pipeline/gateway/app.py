"""The gateway as an application: every operation behind a stage or not, one answer for each error."""

from collections.abc import Sequence
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from pinterest_pipeline.config import GatewaySettings, LogSettings
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.eventlog.stream_log import StreamLog
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.consumers import ConsumerOperations
from pinterest_pipeline.gateway.description import described
from pinterest_pipeline.gateway.exchange import Endpoint, Guard, Observer
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.kafka_v2 import KafkaV2
from pinterest_pipeline.gateway.kafka_v2_topics import KafkaV2Topics
from pinterest_pipeline.gateway.kinesis_routes import KinesisProxy
from pinterest_pipeline.gateway.kinesis_wire import KinesisWire
from pinterest_pipeline.gateway.operations import Operation
from pinterest_pipeline.gateway.routes import Router
from pinterest_pipeline.gateway.service import Service
from pinterest_pipeline.gateway.v3 import v3_operations

DEFAULT_SHARDS: Final = LogSettings().shards


def create_app(
    settings: GatewaySettings,
    topics: EventLog,
    streams: StreamLog,
    default_shards: int = DEFAULT_SHARDS,
    guards: Sequence[Guard] = (),
    observers: Sequence[Observer] = (),
    figures: Figures | None = None,
    consumers: ConsumerStore | None = None,
) -> ASGIApp:
    """The application over the two logs and the store of consumer instances; it closes none of them.

    A stream is created with `default_shards`. Without a store there are no consumer instances; where streams
    are in Kinesis, its own API is not answered.

    Guards look at each request before its handler, observers note it after its answer; `figures` are those
    of all workers.
    """
    counted = Figures() if figures is None else figures

    def endpoint(operation: Operation) -> Endpoint:
        counted.add(operation.id)
        return Endpoint(operation, guards, (counted.note, *observers))

    operations = described(
        [
            *KafkaV2(settings, topics).operations(),
            *KafkaV2Topics(topics).operations(),
            *(ConsumerOperations(settings, topics, consumers).operations() if consumers else ()),
            *v3_operations(settings, topics),
            *KinesisProxy(settings, streams, default_shards).operations(),
            *(KinesisWire(settings, streams).operations() if isinstance(streams, SqliteStreamLog) else ()),
            *Service({"topics": topics, "streams": streams}, counted).operations(),
        ],
        secured=bool(guards),
    )
    router = Router(operations, endpoint)
    origins = settings.cors_origins.split()
    return _for_pages_of(origins, router) if origins else router


def _for_pages_of(origins: Sequence[str], app: ASGIApp) -> ASGIApp:
    """Lets pages of these origins call from a browser, without cookies; a preflight needs no key."""
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["*"],
        expose_headers=["Idempotency-Key", "Retry-After", "WWW-Authenticate"],
    )
