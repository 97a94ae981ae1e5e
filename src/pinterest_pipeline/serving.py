"""The gateway as a process, or as several that share one socket."""

import os
import signal
import socket
import ssl
from contextlib import ExitStack
from typing import Final

from pinterest_pipeline.config import Settings
from pinterest_pipeline.gateway.access import check, guards, lacks_key
from pinterest_pipeline.gateway.access_log import AccessLog
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.figures import Figures, shared_memory
from pinterest_pipeline.gateway.server import bind, serve
from pinterest_pipeline.gateway.tls import server_context
from pinterest_pipeline.local import watch_parent
from pinterest_pipeline.pipeline import prepare
from pinterest_pipeline.terminal import err
from pinterest_pipeline.workers import Workers
from pinterest_pipeline.workspace import Workspace

_NO_LOG: Final = "off"
NO_KEY: Final = (
    "nobody has a key yet, so every call is refused; make one, it needs no restart:"
    " pinpipe keys create --name me --scope 'write:topic:*' --scope 'write:stream:*'"
)


def run_gateway(
    settings: Settings, workers: int | None = None, fd: int | None = None, *, exit_with_parent: bool = False
) -> None:
    """Answer until SIGTERM or SIGINT, on the listening socket `fd` or on one of our own.

    `workers` goes before those of the settings. Raises PortInUse, SettingError, and what the logs raise when
    they cannot be opened.
    """
    listener = (
        socket.socket(fileno=fd) if fd is not None else bind(settings.gateway.host, settings.gateway.port)
    )
    check(settings.gateway, listener.getsockname()[0], settings.data)
    tls = server_context(settings.gateway)
    err.print(f"listening on {settings.gateway.host}:{listener.getsockname()[1]}")
    if lacks_key(settings.gateway, listener.getsockname()[0], settings.data):
        err.print(NO_KEY, soft_wrap=True)
    count = settings.gateway.workers if workers is None else workers
    memory, number = shared_memory(count), 0
    if count > 1:
        place = Workers(count, exit_with_parent=exit_with_parent).run()
        if place is None:
            return
        number = place
    elif exit_with_parent:
        watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    _answer(settings, listener, tls, Figures(memory, number))


def _answer(
    settings: Settings, listener: socket.socket, tls: ssl.SSLContext | None, figures: Figures
) -> None:
    workspace = Workspace(settings)
    with ExitStack() as stack:
        topics, streams = workspace.topics_log(), workspace.streams_log()
        stack.callback(topics.close)
        stack.callback(streams.close)
        prepare(settings, "batch", topics)
        prepare(settings, "stream", streams)
        log = None
        if settings.gateway.access_log != _NO_LOG:
            log = AccessLog(settings.gateway.access_log)
            stack.callback(log.close)
        consumers = ConsumerStore(settings.data / "gateway", settings.gateway.consumer_timeout_seconds)
        stack.callback(consumers.close)
        app = create_app(
            settings.gateway,
            topics,
            streams,
            settings.log.shards,
            guards=guards(settings.gateway, listener.getsockname()[0], settings.data, figures.refused),
            observers=() if log is None else (log.note,),
            figures=figures,
            consumers=consumers,
        )
        on_refusal = {} if log is None else {"on_refusal": log.refused}
        serve(app, listener, settings.gateway, figures, tls=tls, **on_refusal)
