"""Requests that wait for records: one look at the log for all of them, and no thread for any."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from starlette.concurrency import run_in_threadpool

from pinterest_pipeline.errors import PipelineError
from pinterest_pipeline.eventlog.base import EventLog, Part
from pinterest_pipeline.gateway.consumer_file import Instance
from pinterest_pipeline.gateway.consumer_store import ConsumerStore

STOPPING: Final = "stopping"
"""Names an asyncio.Event in the state that a server gives its requests: set when nobody is to wait longer."""

_LOOK_SECONDS: Final = 0.025
_logger: Final = logging.getLogger(__name__)

Ends = Mapping[str, Mapping[int, int] | None]
"""Where the partitions of topics end; None for a topic that could not be asked."""


class _Waiter:
    """Waits for records at these positions, or for a change in the group after a generation."""

    def __init__(self, instance: Instance, positions: Mapping[Part, int]) -> None:
        self.group = instance.group
        self.since = instance.generation
        self.positions = positions
        self.topics = {topic for topic, _ in positions}
        self.woken = asyncio.Event()

    def look(self, ends: Ends, changes: Mapping[str, int]) -> None:
        if changes.get(self.group, 0) > self.since or any(map(self._grown, ends.items())):
            self.woken.set()

    def _grown(self, item: tuple[str, Mapping[int, int] | None]) -> bool:
        topic, ends = item
        if topic not in self.topics:
            return False
        return ends is None or any(self.positions.get((topic, at), end) != end for at, end in ends.items())


class Waiting:
    """All who wait in this process. It looks at the log while somebody waits, and rests otherwise."""

    def __init__(self, log: EventLog, store: ConsumerStore) -> None:
        self._log = log
        self._store = store
        self._new: set[_Waiter] = set()
        self._by_topic: dict[str, set[_Waiter]] = {}
        self._by_group: dict[str, set[_Waiter]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._generation = 0

    async def wait(
        self, instance: Instance, positions: Mapping[Part, int], seconds: float, stopping: asyncio.Event
    ) -> None:
        """Until a partition ends elsewhere than at its position, the group changes, or the time is over.

        Or until the server stops: all requests have the same event for it.
        """
        waiter = _Waiter(instance, positions)
        self._enter(waiter)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(stopping))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await waiter.woken.wait()
        finally:
            self._leave(waiter)

    def _enter(self, waiter: _Waiter) -> None:
        self._new.add(waiter)
        self._by_group.setdefault(waiter.group, set()).add(waiter)
        for topic in waiter.topics:
            self._by_topic.setdefault(topic, set()).add(waiter)

    def _leave(self, waiter: _Waiter) -> None:
        self._new.discard(waiter)
        _drop(self._by_group, waiter.group, waiter)
        for topic in waiter.topics:
            _drop(self._by_topic, topic, waiter)

    async def _look(self, stopping: asyncio.Event) -> None:
        seen: Ends = {}
        while self._by_group and not stopping.is_set():
            new, self._new = self._new, set()
            since = min([self._generation, *(waiter.since for waiter in new)])
            ends, changes = await run_in_threadpool(self._ask, list(self._by_topic), since)
            self._generation = max([self._generation, *changes.values()])
            grown = {topic: at for topic, at in ends.items() if at is None or at != seen.get(topic)}
            for waiter in new:
                waiter.look(ends, changes)
            for waiter in self._concerned(grown, changes):
                waiter.look(grown, changes)
            seen = ends
            await asyncio.sleep(_LOOK_SECONDS)
        for waiter in self._concerned((), self._by_group):
            waiter.woken.set()

    def _concerned(self, topics: Iterable[str], groups: Iterable[str]) -> set[_Waiter]:
        found: set[_Waiter] = set()
        found.update(*(self._by_topic.get(topic, ()) for topic in topics))
        found.update(*(self._by_group.get(group, ()) for group in groups))
        return found

    def _ask(self, topics: Iterable[str], since: int) -> tuple[Ends, dict[str, int]]:
        ends: dict[str, Mapping[int, int] | None] = {}
        for topic in topics:
            try:
                ends[topic] = self._log.ends(topic)
            except PipelineError as error:  # those who wait for it will meet the error themselves
                _logger.warning("requests that wait for '%s' are woken: %s", topic, error)
                ends[topic] = None
        try:
            self._store.remove_unused()
            return ends, self._store.changes(since)
        except PipelineError as error:
            _logger.warning("requests that wait do not see what changes in their groups: %s", error)
            return ends, {}


def _drop(index: dict[str, set[_Waiter]], name: str, waiter: _Waiter) -> None:
    index[name].discard(waiter)
    if not index[name]:
        del index[name]
