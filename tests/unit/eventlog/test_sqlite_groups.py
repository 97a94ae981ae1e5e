"""Membership in the `sqlite` home: sessions that end, processes that freeze, and who is due what."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.errors import BadInput, Fenced, UnknownGroup
from pinterest_pipeline.eventlog import sqlite_subscription
from pinterest_pipeline.eventlog.base import Part, Record
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_groups import shared
from pinterest_pipeline.eventlog.sqlite_subscription import SqliteSubscription

WAIT = 30
SESSION = 45.0
PARTS: list[Part] = [("pin", number) for number in range(4)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteEventLog]:
    log = SqliteEventLog(path, kafka_partition, 2**20, session_seconds=SESSION)
    log.create("pin", 4)
    log.append("pin", [Record(b"%d" % turn, partition=turn % 4) for turn in range(20)]).result(WAIT)
    yield log
    log.close()


class Clock:
    """The clock of all members of this process, in seconds."""

    def __init__(self) -> None:
        self.ms = time.time_ns() // 1_000_000

    def __call__(self) -> int:
        return self.ms

    def forward(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sqlite_subscription, "now_ms", clock)
    monkeypatch.setattr("pinterest_pipeline.eventlog.sqlite.now_ms", clock)
    return clock


@pytest.fixture
def two(log: SqliteEventLog, clock: Clock) -> tuple[SqliteSubscription, SqliteSubscription]:
    """Two members with two partitions each."""
    one, two = log.subscribe("sink", ["pin"]), log.subscribe("sink", ["pin"])
    for member in (one, two):
        member.poll(100, 0)
    assert [sorted(member.held()) for member in (one, two)] == [PARTS[::2], PARTS[1::2]]
    return one, two


Two = tuple[SqliteSubscription, SqliteSubscription]


def test_a_silent_member_is_put_out(log: SqliteEventLog, clock: Clock, two: Two) -> None:
    silent, other = two
    clock.forward(SESSION * 0.9)
    other.poll(100, 0)
    assert len(log.describe_group("sink").members) == 2
    clock.forward(SESSION * 0.4)
    assert len(log.describe_group("sink").members) == 1
    other.poll(100, 0)
    assert other.held() == set(PARTS)
    with pytest.raises(Fenced, match="partition 0 of 'pin'"):
        silent.commit({PARTS[0]: 5})
    assert log.committed("sink", "pin") == {}


def test_a_member_that_comes_back_joins_again(log: SqliteEventLog, clock: Clock, two: Two) -> None:
    silent, other = two
    clock.forward(SESSION * 1.1)
    other.poll(100, 0)
    other.commit({PARTS[0]: 3})
    silent.poll(100, 0)
    assert silent.held() == frozenset()
    other.poll(100, 0)
    found = silent.poll(100, 0)
    assert (len(silent.held()), len(other.held())) == (2, 2)
    assert silent.held().isdisjoint(other.held())
    assert set(found) == silent.held()
    assert all(records[0].offset == (3 if part == PARTS[0] else 0) for part, records in found.items())


def test_a_member_alone_that_was_silent_is_fenced_too(log: SqliteEventLog, clock: Clock) -> None:
    member = log.subscribe("sink", ["pin"])
    member.poll(100, 0)
    clock.forward(SESSION * 1.1)
    with pytest.raises(UnknownGroup):
        log.describe_group("sink")
    with pytest.raises(Fenced):
        member.commit({PARTS[0]: 5})
    assert sum(len(records) for records in member.poll(100, 0).values()) == 20
    member.commit({PARTS[0]: 5})
    assert log.committed("sink", "pin") == {0: 5}


def test_a_commit_is_a_sign_of_life(log: SqliteEventLog, clock: Clock, two: Two) -> None:
    one, other = two
    for _ in range(3):
        clock.forward(SESSION * 0.6)
        one.commit({PARTS[0]: 5})
        other.poll(100, 0)
    assert one.held() == {PARTS[0], PARTS[2]}
    assert log.committed("sink", "pin") == {0: 5}


def test_a_clock_that_is_put_back_frees_what_the_dead_held(
    log: SqliteEventLog, clock: Clock, two: Two
) -> None:
    _, alive = two
    clock.forward(-86_400)
    alive.poll(100, 0)
    assert alive.held() == set(PARTS)


def test_a_partition_is_not_taken_before_it_is_given_back(log: SqliteEventLog, clock: Clock) -> None:
    first = log.subscribe("sink", ["pin"])
    first.poll(100, 0)
    second = log.subscribe("sink", ["pin"])
    for _ in range(5):
        assert second.poll(100, 0) == {}
    assert log.describe_group("sink").state == "PREPARING_REBALANCE"
    first.commit({PARTS[1]: 5})
    first.poll(100, 0)
    assert set(second.poll(100, 0)) == {PARTS[3]}
    assert [sorted(member.held()) for member in (first, second)] == [PARTS[::2], PARTS[1::2]]
    assert log.describe_group("sink").state == "STABLE"


def test_polls_write_only_now_and_then(log: SqliteEventLog, clock: Clock, path: Path, two: Two) -> None:
    one, _ = two
    watcher = sqlite3.connect(path)

    def version() -> int:
        return int(watcher.execute("PRAGMA data_version").fetchone()[0])

    before = version()
    for _ in range(20):
        clock.forward(SESSION / 3 / 21)
        one.poll(100, 0)
    assert version() == before
    clock.forward(SESSION / 3)
    one.poll(100, 0)
    assert version() != before
    watcher.close()


def test_a_new_topic_of_a_deleted_one_is_read_from_its_beginning(log: SqliteEventLog) -> None:
    member = log.subscribe("sink", ["pin"])
    member.poll(100, 0)
    member.pause([PARTS[0]])
    log.delete("pin")
    with pytest.raises(Fenced):
        member.commit({PARTS[0]: 5})
    log.create("pin", 1)
    log.append("pin", [Record(b"new")]).result(WAIT)
    found = member.poll(100, 0)
    assert {part: [record.value for record in records] for part, records in found.items()} == {
        PARTS[0]: [b"new"]
    }
    member.commit({PARTS[0]: 1})
    assert log.positions("sink") == {"pin": {0: 1}}


def test_a_deleted_topic_is_let_go(log: SqliteEventLog, path: Path) -> None:
    member = log.subscribe("sink", ["pin"])
    member.poll(100, 0)
    log.delete("pin")
    assert member.poll(100, 0) == {}
    assert member.held() == frozenset()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM holdings").fetchone() == (0,)
    connection.close()


def test_partitions_with_much_keep_no_other_waiting(log: SqliteEventLog) -> None:
    member = log.subscribe("sink", ["pin"])
    first = [next(iter(member.poll(1, 0))) for _ in range(4)]
    assert sorted(first) == PARTS


def test_a_member_waits_for_records(log: SqliteEventLog, path: Path) -> None:
    member = log.subscribe("sink", ["pin"])
    while member.poll(100, 0):
        pass
    other = SqliteEventLog(path, kafka_partition, 2**20)
    future = other.append("pin", [Record(b"late", partition=2)])
    found = member.poll(100, WAIT)
    assert future.done() or future.result(WAIT)
    assert [record.value for record in found["pin", 2]] == [b"late"]
    other.close()


MEMBER = """
import sys
from pathlib import Path
from pinterest_pipeline.errors import Fenced
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
log = SqliteEventLog(Path(sys.argv[1]), kafka_partition, 2**20, session_seconds=1)
member = log.subscribe("sink", ["pin"])
while len(member.held()) < 2:
    member.poll(100, 0.05)
part = min(member.held())
print(part[1], flush=True)
for line in sys.stdin:
    try:
        member.commit({part: 1})
    except Fenced:
        print("fenced", flush=True)
    else:
        print("committed", flush=True)
"""


def poll_until(member: SqliteSubscription, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not reached():
        assert time.monotonic() < deadline
        member.poll(100, 0.05)


@pytest.mark.parametrize("stop", [signal.SIGSTOP, signal.SIGKILL])
def test_a_process_that_freezes_or_dies_loses_its_partitions(
    path: Path, log: SqliteEventLog, stop: signal.Signals
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", MEMBER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    others = SqliteEventLog(path, kafka_partition, 2**20)  # no session of theirs ends meanwhile
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        number = int(child.stdout.readline())
        os.kill(child.pid, stop)
        survivor = others.subscribe("sink", ["pin"])
        poll_until(survivor, lambda: survivor.held() == set(PARTS))
        survivor.commit({("pin", number): 4})
        os.kill(child.pid, signal.SIGCONT)
        with suppress(BrokenPipeError):
            child.stdin.write("commit\n")
            child.stdin.flush()
        assert child.stdout.readline().strip() == ("fenced" if stop == signal.SIGSTOP else "")
        assert log.committed("sink", "pin") == {number: 4}
    finally:
        child.kill()
        child.communicate(timeout=WAIT)
        others.close()


@given(
    st.dictionaries(st.integers(1, 9), st.frozensets(st.sampled_from("abc"), min_size=1), min_size=1),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 6)),
)
def test_every_partition_is_due_to_one_member_that_reads_it(
    members: dict[int, frozenset[str]], counts: dict[str, int]
) -> None:
    read = frozenset[str]().union(*members.values())
    parts = [(topic, number) for topic in sorted(read) for number in range(counts.get(topic, 0))]
    owners = shared(members, parts)
    assert sorted(owners) == parts
    assert all(part[0] in members[owner] for part, owner in owners.items())
    assert shared(members, parts) == owners
    if len(set(members.values())) == 1:
        sizes = Counter(dict.fromkeys(members, 0)) + Counter(owners.values())
        shares = [sizes[member] for member in members]
        assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize("replication", [0, 2, 3, -1])
def test_one_machine_keeps_one_copy(log: SqliteEventLog, replication: int) -> None:
    with pytest.raises(BadInput, match=f"{replication} copies.*keeps 1"):
        log.create("geo", 1, replication)
    log.create("geo", 1, 1, {})
    assert log.topics() == ["geo", "pin"]


def test_topics_have_no_settings(log: SqliteEventLog) -> None:
    with pytest.raises(BadInput, match=r"no setting 'retention.ms'"):
        log.create("geo", 1, configs={"retention.ms": "1000"})
    assert log.topics() == ["pin"]
