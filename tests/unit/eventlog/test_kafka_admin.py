"""What the admin client answers at times, and no broker can be made to cause at will."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError

from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.errors import Fenced, Unavailable
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_clients import Clients
from pinterest_pipeline.eventlog.kafka_groups import Groups
from pinterest_pipeline.eventlog.kafka_positions import Positions

PIN = "124df56aef51.pin"


def asked(monkeypatch: pytest.MonkeyPatch, answers: list[int], seconds: float = 5.0) -> Admin:
    """An Admin whose client gives one answer after the other, then the last one for ever."""
    admin = Admin(Clients("127.0.0.1:1", KafkaSettings()), seconds)
    monkeypatch.setattr(admin, "_parts", lambda topic: [0])
    give = iter(answers)
    monkeypatch.setattr(admin, "_asked_offsets", lambda *_: {0: next(give, answers[-1])})
    return admin


def test_an_end_that_was_not_told_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, [-1, -1, 7]).ends(PIN) == {0: 7}


def test_an_end_that_is_never_told_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="does not say where"):
        asked(monkeypatch, [-1], 0.1).ends(PIN)


def test_an_offset_by_time_that_was_not_told_is_not_taken_for_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert asked(monkeypatch, [-1, 3]).offsets_at(PIN, 1) == {0: 3}


def test_a_time_after_all_records_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, [-1, -1, 9]).offsets_at(PIN, 1) == {0: 9}


class CommitClient:
    """An admin client that says one thing after the other of a position, then the last for ever."""

    def __init__(self, says: list[KafkaError | None]) -> None:
        self.says = says
        self.commits = 0

    def alter_consumer_group_offsets(
        self, asked: list[ConsumerGroupTopicPartitions], request_timeout: float
    ) -> dict[str, "Future[SimpleNamespace]"]:
        said = SimpleNamespace(error=self.says[min(self.commits, len(self.says) - 1)])
        self.commits += 1
        answered: Future[SimpleNamespace] = Future()
        answered.set_result(SimpleNamespace(topic_partitions=[said]))
        return {asked[0].group_id: answered}

    def poll(self, timeout: float) -> int:
        return 0


def committing(
    monkeypatch: pytest.MonkeyPatch, says: list[KafkaError | None], seconds: float = 5.0
) -> tuple[Groups, CommitClient]:
    clients = Clients("127.0.0.1:1", KafkaSettings())
    admin, client = Admin(clients, seconds), CommitClient(says)
    monkeypatch.setattr(admin, "client", client)
    monkeypatch.setattr(admin, "cluster", lambda: None)
    monkeypatch.setattr(admin, "found", lambda topic: SimpleNamespace(partitions=[SimpleNamespace(id=0)]))
    monkeypatch.setattr(admin, "_replace", lambda client: None)
    return Groups(admin, Positions(clients, seconds)), client


def test_a_commit_is_made_again_while_the_coordinator_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = [KafkaError(KafkaError.NOT_COORDINATOR), KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)]
    groups, client = committing(monkeypatch, [*passing, None])
    groups.commit("sink", PIN, {0: 5})
    assert client.commits == 3


def test_a_commit_is_given_up_when_there_is_no_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, _ = committing(
        monkeypatch, [KafkaError(KafkaError.NOT_COORDINATOR)], seconds=-0.9
    )  # and one second more
    with pytest.raises(Unavailable, match="Not coordinator"):
        groups.commit("sink", PIN, {0: 5})


def test_a_commit_that_is_refused_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, client = committing(monkeypatch, [KafkaError(KafkaError.UNKNOWN_MEMBER_ID), None])
    with pytest.raises(Fenced):
        groups.commit("sink", PIN, {0: 5})
    assert client.commits == 1
