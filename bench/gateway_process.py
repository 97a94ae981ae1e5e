"""A gateway for `bench.gateway`, in a process of its own: `python -m bench.gateway_process HOME FOLDER`.

HOME is `sqlite`, `kafka=ADDRESS`, or `noop`: the same server, routes and endpoint around a handler that does
nothing but read the body.
"""

import sys
from pathlib import Path

from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings, KafkaSettings
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway import responses
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.exchange import Endpoint, read_body
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.operations import PUBLIC, Operation
from pinterest_pipeline.gateway.responses import Answer
from pinterest_pipeline.gateway.routes import Router
from pinterest_pipeline.gateway.server import bind, serve

TOPIC = "bench"
PARTITIONS = 3


def open_log(home: str, folder: Path) -> EventLog:
    """The log of a home, with the topic."""
    kind, _, address = home.partition("=")
    log: EventLog
    if kind == "kafka":
        from pinterest_pipeline.eventlog.kafka import KafkaEventLog

        log = KafkaEventLog(address, KafkaSettings(), kafka_partition, 2**20, folder / "intents.sqlite")
    else:
        log = SqliteEventLog(folder / "bench.sqlite", kafka_partition, 2**20)
    if TOPIC not in log.topics():
        log.create(TOPIC, PARTITIONS)
    return log


def _noop(figures: Figures) -> Router:
    async def handler(request: Request) -> Answer:
        await read_body(request, 2**20)
        return responses.kafka({})

    operation = Operation(
        id="noop",
        api="kafka_v2",
        method="POST",
        path="/topics/{topic}",
        handler=handler,
        says="Nothing",
        access=PUBLIC,
        answers={},
        media=responses.KAFKA_MEDIA,
    )

    def endpoint(operation: Operation) -> Endpoint:
        figures.add(operation.id)
        return Endpoint(operation, observers=(figures.note,))

    return Router([operation], endpoint)


def main(home: str, folder: Path) -> None:
    settings, figures, listener = GatewaySettings(max_connections=12_000), Figures(), bind("127.0.0.1", 0)
    if home == "noop":
        print(listener.getsockname()[1], flush=True)
        serve(_noop(figures), listener, settings, figures)
        return
    log, streams = open_log(home, folder), SqliteStreamLog(folder / "streams.sqlite", 2**20)
    print(listener.getsockname()[1], flush=True)
    serve(create_app(settings, log, streams, figures=figures), listener, settings, figures)
    log.close()
    streams.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
