"""What the gateway says of itself: whether it lives, whether it can do its work, what it has counted."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pinterest_pipeline.errors import PipelineError
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.eventlog.stream_log import StreamLog
from pinterest_pipeline.gateway import responses
from pinterest_pipeline.gateway.error_codes import UNAVAILABLE, Fault, Kind
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.operations import PUBLIC, Access, Handler, Operation
from pinterest_pipeline.gateway.responses import KINESIS_MEDIA, Answer, Status


class Service:
    """The operations that are about the gateway and not about data."""

    def __init__(self, logs: Mapping[str, EventLog | StreamLog], figures: Figures) -> None:
        self._logs = logs
        self._figures = figures

    def operations(self) -> list[Operation]:
        return [
            _operation("health", self._health, "Whether the process answers", answers={200: Status}),
            _operation(
                "ready",
                self._ready,
                "Whether both logs answer; which of them does not",
                answers={200: Status},
                faults=(UNAVAILABLE,),
            ),
            _operation(
                "metrics",
                self._metrics,
                "What all workers have counted, in Prometheus' text format",
                access=Access("read", "service"),
                answers={200: str},
                media=CONTENT_TYPE_PLAIN_0_0_4,
            ),
        ]

    async def _health(self, _: Request) -> Answer:
        return responses.kinesis(Status("ok"))

    async def _ready(self, _: Request) -> Answer | Fault:
        away: list[str] = []
        for name, log in self._logs.items():
            try:
                await run_in_threadpool(log.topics)
            except PipelineError as error:
                away.append(f"{name}: {error}")
        return Fault(UNAVAILABLE, "; ".join(away)) if away else responses.kinesis(Status("ready"))

    async def _metrics(self, _: Request) -> Answer:
        return Answer(self._figures.text(), CONTENT_TYPE_PLAIN_0_0_4)


def _operation(
    id: str,  # noqa: A002
    handler: Handler,
    says: str,
    answers: Mapping[int, Any],
    access: Access | None = PUBLIC,
    media: str = KINESIS_MEDIA,
    faults: tuple[Kind, ...] = (),
) -> Operation:
    return Operation(
        id=id,
        api="service",
        method="GET",
        path=f"/{id}",
        handler=handler,
        says=says,
        access=access,
        answers=answers,
        media=media,
        faults=faults,
    )
