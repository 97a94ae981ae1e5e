"""Requests that wait for records: one look at the log for all of them, and no thread for any."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool

from pinterest_pipeline.errors import PipelineError
from pinterest_pipeline.eventlog.base import EventLog, Part
from pinterest_pipeline.gateway.consumer_file import Instance
from pinterest_pipeline.gateway.consumer_store import ConsumerStore
from pinterest_pipeline.gateway.consumer_topics import fitting

STOPPING: Final = "stopping"
"""Names an asyncio.Event in the state that a server gives its requests: set when nobody is to wait longer."""

_LOOK_SECONDS: Final = 0.025
_LIST_SECONDS: Final = 1.0
"""Topics are made seldom, and a list of all of them costs more than the ends of a few."""
_logger: Final = logging.getLogger(__name__)


class _Look(msgspec.Struct, frozen=True):
    """What was found of the topics and groups that somebody waits for."""

    ends: Mapping[str, Mapping[int, int] | None] = {}
    """Where the partitions of topics end; None for a topic that could not be asked."""
    changes: Mapping[str, int] = {}
    """The generation of the last change of each group; one that has no instance is not among them."""
    topics: frozenset[str] = frozenset()


class _Waiter:
    """Waits for records at these positions, for a change in the group, or for a topic of the subscription."""

    def __init__(self, instance: Instance, positions: Mapping[Part, int]) -> None:
        self.instance = instance
        self.positions = positions
        self.topics = {topic for topic, _ in positions}
        self.woken = asyncio.Event()
        self.ends: dict[Part, int] = {}
        """Where the partitions of these topics ended when it was woken."""

    def look(self, found: _Look, come: Set[str]) -> None:
        """Wake up for what was found; `come` are the topics that may be new."""
        changed = found.changes.get(self.instance.group)
        if (
            changed is None
            or changed > self.instance.generation
            or any(self._has_grown(topic, found.ends.get(topic, {})) for topic in self.topics)
            or self._reads_one_more(come)
        ):
            known = {topic: found.ends.get(topic) or {} for topic in self.topics}
            self.ends = {(topic, at): end for topic, ends in known.items() for at, end in ends.items()}
            self.woken.set()

    def _has_grown(self, topic: str, ends: Mapping[int, int] | None) -> bool:
        return ends is None or any(self.positions.get((topic, at), end) != end for at, end in ends.items())

    def _reads_one_more(self, come: Set[str]) -> bool:
        subscription, new = self.instance.subscription, come - self.instance.topics.keys()
        if subscription is None or not new:
            return False
        return not new.isdisjoint(fitting(self.instance, subscription, new))


class Waiting:
    """All who wait in this process. It looks at the log while somebody waits, and rests otherwise."""

    def __init__(self, log: EventLog, store: ConsumerStore) -> None:
        self._log = log
        self._store = store
        self._new: set[_Waiter] = set()
        self._by_topic: dict[str, set[_Waiter]] = {}
        self._by_group: dict[str, set[_Waiter]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._topics: frozenset[str] = frozenset()
        self._listed = -_LIST_SECONDS

    async def wait(
        self, instance: Instance, positions: Mapping[Part, int], seconds: float, stopping: asyncio.Event
    ) -> Mapping[Part, int]:
        """Until there may be something to read, the group changes or is no more, or the time is over.

        Or until the server stops: all requests have the same event for it. Returns where partitions ended.
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
        return waiter.ends

    def _enter(self, waiter: _Waiter) -> None:
        self._new.add(waiter)
        self._by_group.setdefault(waiter.instance.group, set()).add(waiter)
        for topic in waiter.topics:
            self._by_topic.setdefault(topic, set()).add(waiter)

    def _leave(self, waiter: _Waiter) -> None:
        self._new.discard(waiter)
        _drop(self._by_group, waiter.instance.group, waiter)
        for topic in waiter.topics:
            _drop(self._by_topic, topic, waiter)

    async def _look(self, stopping: asyncio.Event) -> None:
        seen = _Look()
        while self._by_group and not stopping.is_set():
            new, self._new = self._new, set()
            found = await run_in_threadpool(self._found, list(self._by_topic), list(self._by_group))
            for waiter in new:
                waiter.look(found, found.topics)
            for waiter in self._concerned(seen, found) - self._new:
                waiter.look(found, found.topics - seen.topics)
            seen = found
            await asyncio.sleep(_LOOK_SECONDS)
        for waiter in _of(self._by_group, self._by_group):
            waiter.woken.set()

    def _concerned(self, seen: _Look, found: _Look) -> set[_Waiter]:
        if found.topics - seen.topics:
            return _of(self._by_group, self._by_group)
        topics = [name for name, ends in found.ends.items() if ends is None or ends != seen.ends.get(name)]
        groups = [name for name in self._by_group if found.changes.get(name) != seen.changes.get(name)]
        return _of(self._by_topic, topics) | _of(self._by_group, groups)

    def _found(self, topics: Iterable[str], groups: list[str]) -> _Look:
        ends = {name: self._ends(name) for name in topics}
        return _Look(ends, self._changes(groups), self._listed_topics())

    def _ends(self, topic: str) -> Mapping[int, int] | None:
        try:
            return self._log.ends(topic)
        except PipelineError as error:  # those who wait for it will meet the error themselves
            _logger.warning("requests that wait for '%s' are woken: %s", topic, error)
            return None

    def _changes(self, groups: list[str]) -> Mapping[str, int]:
        try:
            self._store.remove_unused()
            return self._store.changes(groups)
        except PipelineError as error:
            _logger.warning("requests that wait do not see what changes in their groups: %s", error)
            return dict.fromkeys(groups, 0)

    def _listed_topics(self) -> frozenset[str]:
        if time.monotonic() - self._listed >= _LIST_SECONDS:
            try:
                self._topics = frozenset(self._log.topics())
            except PipelineError as error:
                _logger.warning("requests that wait do not see which topics are made: %s", error)
            self._listed = time.monotonic()
        return self._topics


def _of(index: Mapping[str, set[_Waiter]], names: Iterable[str]) -> set[_Waiter]:
    return set().union(*(index.get(name, ()) for name in names))


def _drop(index: dict[str, set[_Waiter]], name: str, waiter: _Waiter) -> None:
    index[name].discard(waiter)
    if not index[name]:
        del index[name]
