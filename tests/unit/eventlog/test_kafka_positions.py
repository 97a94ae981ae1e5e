"""What brokers say of single partitions of a group's positions, and no broker can be made to say at will."""

from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, TopicPartition

from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.errors import Forbidden, Unavailable
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_positions import Positions

PIN = "124df56aef51.pin"
NO_POSITION = -1001


class PositionClient:
    """Says one thing after the other of partition 1, then the last for ever; partition 0 stands at 7."""

    def __init__(self, says: list[int | KafkaError]) -> None:
        self.says = says
        self.asked = 0

    def committed(self, parts: list[TopicPartition], timeout: float) -> list[SimpleNamespace]:
        said = self.says[min(self.asked, len(self.says) - 1)]
        self.asked += 1
        error = said if isinstance(said, KafkaError) else None
        offset = said if isinstance(said, int) else NO_POSITION
        return [
            SimpleNamespace(topic=PIN, partition=0, offset=7, error=None),
            SimpleNamespace(topic=PIN, partition=1, offset=offset, error=error),
        ]

    def poll(self, timeout: float) -> None:
        return None

    def close(self) -> None:
        return None


def asking(
    monkeypatch: pytest.MonkeyPatch, says: list[int | KafkaError], seconds: float = 5.0
) -> tuple[Positions, PositionClient]:
    clients, client = Clients("127.0.0.1:1", KafkaSettings()), PositionClient(says)
    monkeypatch.setattr(clients, "consumer", lambda settings: client)
    return Positions(clients, seconds), client


def test_a_position_is_asked_again_while_a_partition_cannot_say(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = [KafkaError(KafkaError.NOT_COORDINATOR), KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT)]
    positions, client = asking(monkeypatch, [*passing, 9])
    assert positions.of("sink", [(PIN, 0), (PIN, 1)]) == {(PIN, 0): 7, (PIN, 1): 9}
    assert client.asked == 3


def test_a_partition_that_never_says_is_not_one_without_position(monkeypatch: pytest.MonkeyPatch) -> None:
    positions, _ = asking(monkeypatch, [KafkaError(KafkaError.NOT_COORDINATOR)], seconds=0.1)
    with pytest.raises(Unavailable, match="Not coordinator"):
        positions.of("sink", [(PIN, 0), (PIN, 1)])


def test_a_partition_that_is_kept_from_us_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    positions, client = asking(monkeypatch, [KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), 9])
    with pytest.raises(Forbidden):
        positions.of("sink", [(PIN, 0), (PIN, 1)])
    assert client.asked == 1


def test_a_partition_that_is_gone_has_no_position(monkeypatch: pytest.MonkeyPatch) -> None:
    positions, _ = asking(monkeypatch, [KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)])
    assert positions.of("sink", [(PIN, 0), (PIN, 1)]) == {(PIN, 0): 7}
