"""Whatever happens in a group, in whatever order: no partition has two holders, and all get one again."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pinterest_pipeline.errors import Fenced
from pinterest_pipeline.eventlog import sqlite_subscription
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_subscription import SqliteSubscription

SESSION = 45
PARTITIONS = 5


class GroupHistory(RuleBasedStateMachine):
    """Members of two instances; `seen` is the time, in seconds, of the last sign of life of each."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "log.sqlite"
        self.logs = [SqliteEventLog(path, kafka_partition, 2**20, session_seconds=SESSION) for _ in range(2)]
        self.logs[0].create("pin", PARTITIONS)
        self.now = 1_000_000
        self.patched = pytest.MonkeyPatch()
        self.patched.setattr(sqlite_subscription, "now_ms", lambda: self.now * 1000)
        self.seen: dict[SqliteSubscription, int] = {}

    @precondition(lambda self: len(self.seen) < 4)
    @rule(which=st.integers(0, 1))
    def join(self, which: int) -> None:
        self.seen[self.logs[which].subscribe("sink", ["pin"])] = self.now

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def poll(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(list(self.seen)))
        member.poll(1, 0)
        if self.now - self.seen[member] >= SESSION / 3:
            self.seen[member] = self.now

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), offset=st.integers(0, 9))
    def commit(self, data: st.DataObject, offset: int) -> None:
        """Fenced only after a session of silence; else no other one that lives holds the partition."""
        member = data.draw(st.sampled_from(list(self.seen)))
        if not member.held():
            return
        part = data.draw(st.sampled_from(sorted(member.held())))
        try:
            member.commit({part: offset})
        except Fenced:
            assert not self.lives(member)
        else:
            assert self.logs[0].committed("sink", "pin")[part[1]] == offset
            others = [other for other in self.seen if other is not member and self.lives(other)]
            assert not any(part in other.held() for other in others)
            self.seen[member] = self.now

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(list(self.seen)))
        member.close()
        del self.seen[member]

    @rule(seconds=st.sampled_from([1, 16, 44, 46]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    def lives(self, member: SqliteSubscription) -> bool:
        return self.now - self.seen[member] <= SESSION

    @invariant()
    def no_partition_has_two_holders(self) -> None:
        held = [part for member in self.seen if self.lives(member) for part in member.held()]
        assert len(held) == len(set(held))

    def teardown(self) -> None:
        for _ in range(3):
            for member in self.seen:
                member.poll(1, 0)
        held = sorted(part for member in self.seen for part in member.held())
        assert held == ([("pin", number) for number in range(PARTITIONS)] if self.seen else [])
        for log in self.logs:
            log.close()
        self.patched.undo()
        self.folder.cleanup()


GroupHistory.TestCase.settings = settings(max_examples=25, stateful_step_count=20)
TestGroupHistory = GroupHistory.TestCase
