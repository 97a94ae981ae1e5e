"""What the admin client answers at times, and no broker can be made to cause at will."""

import pytest

from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.eventlog.kafka_admin import Admin
from pinterest_pipeline.eventlog.kafka_clients import Clients

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
