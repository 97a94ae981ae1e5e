"""Several instances of one file, as the workers of a gateway have it, do what one would have done.

What an instance knows of a topic must end with whatever another one does to it.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pinterest_pipeline.errors import TopicExists, UnknownTopic
from pinterest_pipeline.eventlog.base import Once, Receipt, Record, StoredRecord
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog

WAIT: Final = 30
INSTANCES: Final = st.integers(0, 2)
TOPICS: Final = st.sampled_from(["pin", "geo"])
VALUES: Final = st.lists(st.binary(max_size=3), min_size=1, max_size=4)
Keyed = dict[tuple[str, str], tuple[list[bytes], list[int]]]


class SharedFile(RuleBasedStateMachine):
    """The values of each topic, and of each request with a key what it said and where it went."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "log.sqlite"
        self.logs = [SqliteEventLog(path, kafka_partition, 2**20) for _ in range(3)]
        self.topics: dict[str, list[bytes]] = {}
        self.keyed: Keyed = {}

    def _expects(self, topic: str, do: Callable[[], list[int]]) -> list[int] | None:
        try:
            return do()
        except UnknownTopic:
            assert topic not in self.topics
            return None

    def _offsets(self, which: int, topic: str, values: list[bytes], once: Once | None = None) -> list[int]:
        outcomes = self.logs[which].append(topic, [Record(value) for value in values], once).result(WAIT)
        return [outcome.offset for outcome in outcomes if isinstance(outcome, Receipt)]

    @rule(which=INSTANCES, topic=TOPICS, values=VALUES)
    def append(self, which: int, topic: str, values: list[bytes]) -> None:
        offsets = self._expects(topic, lambda: self._offsets(which, topic, values))
        if offsets is not None:
            start = len(self.topics[topic])
            assert offsets == list(range(start, start + len(values)))
            self.topics[topic] += values

    @rule(which=INSTANCES, topic=TOPICS, key=st.sampled_from("ab"), values=VALUES)
    def append_once(self, which: int, topic: str, key: str, values: list[bytes]) -> None:
        values, known = self.keyed.get((topic, key), (values, None))
        once = Once(key, b"the same")
        offsets = self._expects(topic, lambda: self._offsets(which, topic, values, once))
        if offsets is None:
            return
        if known is None:
            start = len(self.topics[topic])
            known = list(range(start, start + len(values)))
            self.topics[topic] += values
            self.keyed[topic, key] = (values, known)
        assert offsets == known

    @rule(which=INSTANCES, topic=TOPICS)
    def create(self, which: int, topic: str) -> None:
        try:
            self.logs[which].create(topic, 1)
        except TopicExists:
            assert topic in self.topics
        else:
            assert topic not in self.topics
            self.topics[topic] = []

    @rule(which=INSTANCES, topic=TOPICS)
    def delete(self, which: int, topic: str) -> None:
        try:
            self.logs[which].delete(topic)
        except UnknownTopic:
            assert topic not in self.topics
        else:
            del self.topics[topic]
            self.keyed = {name: what for name, what in self.keyed.items() if name[0] != topic}

    @rule(which=INSTANCES, topic=TOPICS)
    def commit(self, which: int, topic: str) -> None:
        if topic in self.topics:
            self.logs[which].commit("sink", topic, {0: len(self.topics[topic])})

    @invariant()
    def reads_what_was_appended(self) -> None:
        for log in self.logs:
            assert log.topics() == sorted(self.topics)
            for topic, values in self.topics.items():
                found: list[StoredRecord] = log.read(topic, 0, 0, len(values) + 1)
                assert [(record.offset, record.value) for record in found] == list(enumerate(values))
                assert log.ends(topic) == {0: len(values)}

    def teardown(self) -> None:
        for log in self.logs:
            log.close()
        self.folder.cleanup()


TestSharedFile = SharedFile.TestCase
TestSharedFile.settings = settings(max_examples=60, stateful_step_count=30)
