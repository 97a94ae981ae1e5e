"""Real parts that several suites share: one for the whole run, each test with names of its own in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pinterest_pipeline.broker.node import Node
from pinterest_pipeline.config import Settings

CACHE = Path(Settings.model_fields["cache"].default)


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A Kafka node on loopback, at any free port."""
    node = Node(tmp_path_factory.mktemp("kafka"), CACHE)
    node.start(lambda _: None)
    yield node
    node.stop()
