"""What the operations of REST v3 have in common: their paths, their cluster, their links."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.base import EventLog
from pinterest_pipeline.gateway.access import visible
from pinterest_pipeline.gateway.address import own_address
from pinterest_pipeline.gateway.error_codes import (
    UNKNOWN_CLUSTER,
    UNKNOWN_PARTITION,
    UNKNOWN_TOPIC,
    Fault,
    Kind,
)
from pinterest_pipeline.gateway.operations import PATH_NUMBERS, Access, Body, Handler, Operation, Parameter
from pinterest_pipeline.gateway.responses import JSON_MEDIA, Answer, kafka_v3
from pinterest_pipeline.gateway.v3_resources import Links

CLUSTERS: Final = "/v3/clusters"
ONE_CLUSTER: Final = f"{CLUSTERS}/{{cluster_id}}"
TOPICS: Final = f"{ONE_CLUSTER}/topics"
ONE_TOPIC: Final = f"{TOPICS}/{{topic_name}}"
PARTITIONS: Final = f"{ONE_TOPIC}/partitions"
ONE_PARTITION: Final = f"{PARTITIONS}/{{partition_id}}"

OF_TOPIC: Final = (UNKNOWN_CLUSTER, UNKNOWN_TOPIC)
OF_PARTITION: Final = (*OF_TOPIC, UNKNOWN_PARTITION)
_NUMBER: Final = re.compile("[0-9]{1,10}")
MEDIA: Final = ("", JSON_MEDIA)

Named = Mapping[str, Any]
"""The parameters of a path."""

Show = Callable[[Links, Named], Any]
"""What a path names, as it is written, or a Fault; it may ask the log."""


def operation(
    id: str,  # noqa: A002
    method: str,
    path: str,
    handler: Handler,
    says: str,
    access: Access,
    answers: Mapping[int, Any],
    faults: tuple[Kind, ...],
    body: Body | None = None,
    parameters: tuple[Parameter, ...] = (),
) -> Operation:
    """An operation of REST v3."""
    return Operation(
        id=f"v3_{id}",
        api="kafka_v3",
        method=method,
        path=path,
        handler=handler,
        says=says,
        access=access,
        answers=answers,
        media=JSON_MEDIA,
        body=body,
        parameters=parameters,
        faults=faults,
    )


def numbered(request: Request) -> Named | Fault:
    """The parameters of the path, those that are numbers as numbers."""
    named = dict(request.path_params)
    for name in PATH_NUMBERS & named.keys():
        text = named[name]
        if not _NUMBER.fullmatch(text):
            kind = UNKNOWN_CLUSTER if name == "broker_id" else UNKNOWN_PARTITION
            return Fault(kind, f"the {name} in the path is '{text[:100]}', not a whole number")
        named[name] = int(text)
    return named


class OneCluster:
    """The cluster of a log, and the operations that show something of it."""

    def __init__(self, settings: GatewaySettings, log: EventLog) -> None:
        self._settings = settings
        self._log = log
        self._id = ""

    def fault(self, asked: str) -> Fault | None:
        """What is wrong with the id of a cluster. One that is not known is asked for: it may be made anew."""
        if asked != self._id:
            self._id = self._log.cluster().id
        if asked == self._id:
            return None
        return Fault(UNKNOWN_CLUSTER, f"there is no cluster '{asked[:100]}' here, only '{self._id}'")

    async def fault_soon(self, asked: str) -> Fault | None:
        """As `fault`, without a thread for the known id: those who wait for brokers have them all."""
        return None if asked == self._id else await run_in_threadpool(self.fault, asked)

    def links(self, request: Request) -> Links:
        here = own_address(request, self._settings) + CLUSTERS
        return Links(here, self._log.cluster(), partial(visible, request))

    def here(self, request: Request) -> str:
        """The address of what a request asks for, without its query."""
        return own_address(request, self._settings) + quote(request.scope["path"])

    def shown(self, show: Show) -> Handler:
        """Answers with what `show` makes of the path."""

        async def handler(request: Request) -> Answer | Fault:
            return await run_in_threadpool(work, request)

        def work(request: Request) -> Answer | Fault:
            named = numbered(request)
            if isinstance(named, Fault):
                return named
            fault = self.fault(named["cluster_id"]) if "cluster_id" in named else None
            shown = fault or show(self.links(request), named)
            return shown if isinstance(shown, Fault) else kafka_v3(shown)

        return handler

    def get(
        self,
        id: str,  # noqa: A002
        path: str,
        show: Show,
        says: str,
        access: Access,
        answer: Any,
        faults: tuple[Kind, ...] = (UNKNOWN_CLUSTER,),
    ) -> Operation:
        return operation(id, "GET", path, self.shown(show), says, access, {200: answer}, faults)
