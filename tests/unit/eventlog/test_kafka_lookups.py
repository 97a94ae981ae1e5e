"""Requests that wait for a topic to be looked up."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.eventlog.base import Once, Receipt, Record
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_once import KeyedRequests
from pinterest_pipeline.eventlog.kafka_producer import Appender
from pinterest_pipeline.eventlog.kafka_reader import Reader
from pinterest_pipeline.eventlog.kafka_request import Request
from pinterest_pipeline.eventlog.partitioners import kafka_partition


@dataclass
class SlowAdmin:
    """Brokers that say what a topic is when they are let go."""

    asked: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def found(self, _: str) -> Any:
        self.asked.set()
        assert self.let_go.wait(30)
        return SimpleNamespace(topic_id="id", partitions=[0, 1])

    def configs(self, _: str, defaults: bool) -> dict[str, str]:
        return {}

    def ends(self, _: str) -> dict[int, int]:
        return {0: 0, 1: 0}


class _AtOnce:
    """A sender whose records land at once."""

    def send(self, request: Request) -> bool:
        request.outcomes = [Receipt(place, 0, 1) for place in request.places]
        return True

    def close(self) -> None:
        pass


def test_a_keyed_request_may_join_a_lookup_that_another_one_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinterest_pipeline.eventlog.kafka_producer.Sender", lambda *_: _AtOnce())
    slow = SlowAdmin()
    clients, admin = Clients("127.0.0.1:1", KafkaSettings(delivery_seconds=1)), cast("Admin", slow)
    appender = Appender(clients, admin, kafka_partition, 4_096)
    keyed = KeyedRequests(tmp_path / "intents.sqlite", appender, admin, Reader(clients, admin, 1))
    futures: list[Future[Any]] = []
    for once in (None, Once("key", b"fingerprint"), None):
        request = Request("pin", [Record(b"value")], once)
        appender.submit(request)
        futures.append(request.future)
        assert slow.asked.wait(30)
    slow.let_go.set()
    assert all(isinstance(future.result(30)[0], Receipt) for future in futures)
    appender.close()
    keyed.close()
