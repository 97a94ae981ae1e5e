"""Intents are durable, shared, and taken over from the dead."""

import errno
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pinterest_pipeline.errors import DiskFull, KeyInFlight, KeyReused, PipelineError, Unavailable
from pinterest_pipeline.eventlog.base import Once, Receipt, Refusal
from pinterest_pipeline.eventlog.filelock import FileLock
from pinterest_pipeline.eventlog.intents import Begun, Decision, Intents, Interrupted, Over, Plan
from tests.open_files import open_below

ONCE = Once("key", b"fingerprint")
PLAN = Plan((0, Refusal("record_too_large", "5000"), 2), {0: 7, 2: 0})
OUTCOMES: list[Receipt | Refusal] = [Receipt(0, 7, 1), Refusal("record_too_large", "5000"), Receipt(2, 0, 1)]


def begin(
    intents: Intents, once: Once = ONCE, topic: str = "id", plan: Plan = PLAN
) -> Decision | PipelineError:
    answers: list[Decision | PipelineError] = []
    answered = threading.Event()

    def decided(answer: Decision | PipelineError) -> None:
        answers.append(answer)
        answered.set()

    intents.begin(topic, once, plan, decided)
    assert answered.wait(30)
    return answers[0]


def raise_disk_full(_: Intents) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway" / "intents.sqlite"


@pytest.fixture
def intents(path: Path) -> Iterator[Intents]:
    opened = Intents(path)
    yield opened
    opened.close()


def test_a_request_that_is_over_is_answered_from_memory(intents: Intents, path: Path) -> None:
    assert begin(intents) == Begun()
    intents.end("id", "key", OUTCOMES)
    assert begin(intents) == Over(OUTCOMES)
    intents.close()
    again = Intents(path)
    assert begin(again) == Over(OUTCOMES)
    again.close()


def test_another_request_with_the_key_is_refused(intents: Intents) -> None:
    begin(intents)
    assert isinstance(begin(intents, Once("key", b"another")), KeyReused)
    assert begin(intents, Once("another key", b"another")) == Begun()
    assert begin(intents, topic="another id") == Begun()


def test_what_is_under_way_is_in_flight_for_all(intents: Intents, path: Path) -> None:
    begin(intents)
    other = Intents(path)
    for instance in (intents, other):
        assert isinstance(begin(instance), KeyInFlight)
    other.close()


def test_what_failed_is_taken_up_again_with_its_first_plan(intents: Intents) -> None:
    begin(intents)
    intents.end("id", "key", None)
    assert begin(intents, plan=Plan((1, 1, 1), {1: 9})) == Interrupted(PLAN)
    assert isinstance(begin(intents), KeyInFlight)
    intents.end("id", "key", OUTCOMES)
    assert begin(intents) == Over(OUTCOMES)


def test_what_failed_may_be_taken_up_by_another(intents: Intents, path: Path) -> None:
    begin(intents)
    intents.end("id", "key", None)
    assert begin(intents, Once("behind it", b"f")) == Begun()
    other = Intents(path)
    assert begin(other) == Interrupted(PLAN)
    assert isinstance(begin(intents), KeyInFlight)
    other.close()


def test_what_is_under_way_stays_so_when_the_disk_is_full(
    intents: Intents, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(intents)
    with monkeypatch.context() as patch:
        patch.setattr(Intents, "_remove_old", raise_disk_full)
        assert isinstance(begin(intents), DiskFull)
        assert isinstance(begin(intents, Once("another", b"f")), DiskFull)
    assert isinstance(begin(intents), KeyInFlight)
    assert begin(intents, Once("another", b"f")) == Begun()


def test_an_end_is_kept_until_there_is_room_for_it(intents: Intents, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(intents)
    with monkeypatch.context() as patch:
        patch.setattr(Intents, "_remove_old", raise_disk_full)
        intents.end("id", "key", OUTCOMES)
        assert isinstance(begin(intents), DiskFull)
    assert begin(intents) == Over(OUTCOMES)


def test_what_a_dead_owner_began_is_taken_over_by_one(path: Path) -> None:
    owner = Intents(path)
    begin(owner)
    owner.close()
    heirs = [Intents(path), Intents(path)]
    answers = [begin(heir) for heir in heirs]
    assert answers[0] == Interrupted(PLAN)
    assert isinstance(answers[1], KeyInFlight)
    for heir in heirs:
        heir.close()


def test_a_name_of_the_dead_may_go_while_it_is_looked_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = path.parent / f"{path.name}-owners"
    owners.mkdir(parents=True)
    (owners / "dead").touch()
    os.utime(owners / "dead", (1, 1))
    number, flock = (owners / "dead").stat().st_ino, fcntl.flock

    def swept_by_another(file: int, operation: int) -> None:
        flock(file, operation)
        if os.fstat(file).st_ino == number:
            (owners / "dead").unlink(missing_ok=True)

    monkeypatch.setattr("fcntl.flock", swept_by_another)
    Intents(path).close()
    assert not list(owners.iterdir())


def test_many_threads_begin_a_key_once(intents: Intents, path: Path) -> None:
    other = Intents(path)
    answers: list[Decision | PipelineError] = []
    threads = [
        threading.Thread(target=lambda to=to: answers.append(begin(to))) for to in [intents, other] * 10
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [type(answer) for answer in answers].count(Begun) == 1
    assert [type(answer) for answer in answers].count(KeyInFlight) == 19
    other.close()


def test_old_rows_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    intents = Intents(path)
    begin(intents)
    intents.end("id", "key", OUTCOMES)
    intents.close()
    monkeypatch.setattr("pinterest_pipeline.eventlog.intents._KEPT_MS", -1_000)
    intents = Intents(path)
    assert begin(intents, Once("another", b"f")) == Begun()
    monkeypatch.undo()
    intents.close()
    intents = Intents(path)
    assert begin(intents) == Begun()
    intents.close()


def test_the_file_does_not_grow_however_many_keys_come_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinterest_pipeline.eventlog.intents._KEPT_MS", -1_000)
    intents, lock = Intents(path), FileLock(path)
    with lock.held():
        for number in range(300):
            intents.begin("id", Once(f"key {number}", b"f"), PLAN, lambda _: None)
    lock.close()
    intents.close()
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM intents").fetchone() == (0,)


def test_a_damaged_row_keeps_nobody_waiting(intents: Intents, path: Path) -> None:
    for key, outcomes in (("over", OUTCOMES), ("failed", None)):
        begin(intents, Once(key, b"f"))
        intents.end("id", key, outcomes)
    assert begin(intents, Once("behind them", b"f")) == Begun()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE intents SET plan = x'00', outcomes = iif(outcomes IS NULL, NULL, x'00')")
    for key in ("over", "failed", "over", "failed"):
        assert isinstance(begin(intents, Once(key, b"f")), Unavailable)
    assert begin(intents, Once("another", b"f")) == Begun()


class Broken:
    """A connection to a disk that fails, also when what was begun is to be undone."""

    in_transaction = True

    def execute(self, *_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")


def test_a_disk_that_fails_keeps_nobody_waiting(intents: Intents, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(intents, "_connection", Broken())
        assert isinstance(begin(intents), Unavailable)
    assert begin(intents) == Begun()


def test_what_cannot_be_opened_leaves_no_file_open(path: Path) -> None:
    owners = path.parent / f"{path.name}-owners"
    path.parent.mkdir()
    owners.touch()
    for _ in range(3):
        with pytest.raises(Unavailable, match="owners"):
            Intents(path)
    assert open_below(path.parent) == []
    owners.unlink()
    Intents(path).close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"intents\.sqlite"):
        Intents(tmp_path / "file" / "intents.sqlite")
