"""The files that a node reads (pure)."""

import base64
import uuid
from collections.abc import Mapping
from pathlib import Path

LOG4J = """Configuration:
  status: WARN
  Appenders:
    Console: {name: STDOUT, PatternLayout: {pattern: "%d{ISO8601} %p %m (%c)%n"}}
  Loggers:
    Root: {level: INFO, AppenderRef: {ref: STDOUT}}
"""


def cluster_id() -> str:
    """A new id of a cluster in Kafka's form; none begins with a dash, which would make it an option."""
    while True:
        name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not name.startswith("-"):
            return name


def server_properties(folder: Path, port: int, controller_port: int, further: Mapping[str, str]) -> str:
    """One node that is broker and controller, reached over loopback; `further` comes last and wins.

    `further` may name more listeners as `listeners` and `listener.security.protocol.map`: ours stay.
    """
    address, controller = f"PLAINTEXT://127.0.0.1:{port}", f"CONTROLLER://127.0.0.1:{controller_port}"
    more = {name: "," + value for name, value in further.items() if name in _JOINED}
    listeners = more.get("listeners", "")
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listeners": f"{address},{controller}{listeners}",
        "advertised.listeners": f"{address}{listeners}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
        + more.get("listener.security.protocol.map", ""),
        "log.dirs": str(folder / "log"),
        # A topic is made by those who know how many partitions it has, never by a misspelt name.
        "auto.create.topics.enable": "false",
        # One node holds one copy.
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }
    properties |= {name: value for name, value in further.items() if name not in _JOINED}
    return "".join(f"{name}={value}\n" for name, value in properties.items())


_JOINED = ("listeners", "listener.security.protocol.map")
