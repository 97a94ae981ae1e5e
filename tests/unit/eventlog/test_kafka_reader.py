"""A reader of Kafka closes every client that it does not keep."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_reader import Reader


class Opened:
    """Makes clients, and knows which of them are open."""

    def __init__(self) -> None:
        self.open: list[Any] = []

    def consumer(self, _: object) -> Any:
        client = SimpleNamespace()
        client.close = lambda: self.open.remove(client)
        self.open.append(client)
        return client


class Away:
    """Brokers that know of a topic, and go away before they say where it begins."""

    def found(self, _: str) -> Any:
        return SimpleNamespace(topic_id="id", partitions=[SimpleNamespace(id=0)])

    def bounds(self, *_: object) -> tuple[int, int]:
        raise Unavailable("the brokers are away", "try again")


def test_a_read_that_cannot_begin_leaves_no_client_open() -> None:
    clients = Opened()
    reader = Reader(cast("Clients", clients), cast("Admin", Away()), 1)
    with pytest.raises(Unavailable, match="away"):
        reader.read("pin", 0, 0, 1, 1)
    assert clients.open == []
    reader.close()
