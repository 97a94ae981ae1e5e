"""What a node is told."""

import base64
from pathlib import Path

from pinterest_pipeline.broker.properties import cluster_id, server_properties


def read(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_a_node_listens_on_loopback_alone_and_makes_no_topics_by_itself() -> None:
    found = read(server_properties(Path("/data/kafka"), 9092, 9093, {}))
    assert found["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert found["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092"
    assert found["controller.quorum.voters"] == "1@127.0.0.1:9093"
    assert found["log.dirs"] == "/data/kafka/log"
    assert found["auto.create.topics.enable"] == "false"


def test_further_listeners_are_added_and_other_properties_win() -> None:
    further = {
        "listeners": "TLS://127.0.0.1:9094",
        "listener.security.protocol.map": "TLS:SSL",
        "offsets.topic.num.partitions": "50",
    }
    found = read(server_properties(Path("/data"), 9092, 9093, further))
    assert found["listeners"].split(",")[2] == "TLS://127.0.0.1:9094"
    assert found["advertised.listeners"].split(",")[1] == "TLS://127.0.0.1:9094"
    assert found["listener.security.protocol.map"].split(",") == [
        "PLAINTEXT:PLAINTEXT",
        "CONTROLLER:PLAINTEXT",
        "TLS:SSL",
    ]
    assert found["offsets.topic.num.partitions"] == "50"


def test_a_cluster_has_an_id_of_its_own_in_kafkas_form() -> None:
    names = {cluster_id() for _ in range(1_000)}
    assert len(names) == 1_000
    assert not any(name.startswith("-") for name in names)
    assert {len(base64.urlsafe_b64decode(name + "==")) for name in names} == {16}
