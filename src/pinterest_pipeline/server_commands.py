"""`pinpipe kafka` and `pinpipe s3`: servers of one's own, each with its data in the working folder."""

from typing import Annotated

import typer

from pinterest_pipeline.config import load_settings
from pinterest_pipeline.terminal import err

ExitWithParent = Annotated[bool, typer.Option("--exit-with-parent", hidden=True)]


def kafka(exit_with_parent: ExitWithParent = False) -> None:
    """Run one Apache Kafka node on this machine, until Ctrl-C; the rooms use it with PINPIPE_LOG__HOME=kafka.

    Example: PINPIPE_KAFKA__PORT=9092 pinpipe kafka
    """
    from pinterest_pipeline.broker.distribution import jars
    from pinterest_pipeline.local import stop_event
    from pinterest_pipeline.workspace import Workspace

    settings = load_settings()
    workspace = Workspace(settings)
    with workspace.only_one("kafka"):
        jars(settings.cache, err.say)
        stop = stop_event(exit_with_parent=exit_with_parent)
        node = workspace.kafka_node()
        try:
            node.start(err.say, stop)
            err.say(f"Kafka answers on {node.address}; its data and log are in {node.folder}")
            while not stop.wait(0.5):
                node.check()
        finally:
            node.stop()


def s3(exit_with_parent: ExitWithParent = False) -> None:
    """Run an S3 server of one's own (SeaweedFS) in the working folder, until Ctrl-C.

    The rooms use it with PINPIPE_OBJECTS__URL=pinpipe:s3.

    Example: pinpipe s3
    """
    from pinterest_pipeline.local import stop_event
    from pinterest_pipeline.s3server.server import serve
    from pinterest_pipeline.workspace import Workspace

    workspace = Workspace(load_settings())
    stop = stop_event(exit_with_parent=exit_with_parent)
    with workspace.only_one("s3"):
        serve(workspace.s3, stop, err.say)
