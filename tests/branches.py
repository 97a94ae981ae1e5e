"""Posts into the logs of both branches, and by the sink itself into objects: for several suites."""

import json
import threading
from collections.abc import Sequence
from typing import Any

from pinterest_pipeline.eventlog.base import Record
from pinterest_pipeline.landing import run_sink
from pinterest_pipeline.pipeline import prepare
from pinterest_pipeline.records import names
from pinterest_pipeline.records.names import BRANCHES, TABLES
from pinterest_pipeline.workspace import Workspace

JsonPost = dict[str, dict[str, Any]]


def append(workspace: Workspace, posts: Sequence[JsonPost]) -> None:
    for branch in BRANCHES:
        log = workspace.topics_log() if branch == "batch" else workspace.streams_log()
        prepare(workspace.settings, branch, log)
        for table in TABLES:
            source = names.source(branch, workspace.settings.pipeline_id, table)
            records = [
                Record(json.dumps(post[table]).encode(), str(post["geo"]["ind"]).encode()) for post in posts
            ]
            log.append(source, records).result()
        log.close()


def land(workspace: Workspace) -> None:
    """The sink until everything is an object; what was left open is closed when it stops."""
    stop = threading.Event()
    thread = threading.Thread(target=run_sink, args=(workspace, stop))
    thread.start()
    topics = [names.topic(workspace.settings.pipeline_id, table) for table in TABLES]
    log = workspace.topics_log()
    ends = sum(sum(log.ends(topic).values()) for topic in topics)
    stop.set()
    thread.join()
    while sum(sum(log.committed("sink", topic).values()) for topic in topics) < ends:
        again = threading.Event()
        threading.Timer(0.3, again.set).start()
        run_sink(workspace, again)
    log.close()
