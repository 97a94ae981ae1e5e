"""A member of the sink's group: reads the partitions it holds, closes ranges, lands them, commits.

Ranges of one partition are landed one after the other, in a pool of threads, while the member reads on.
A position is committed only after every object of its range was read back.
"""

import math
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import structlog

from pinterest_pipeline.config import crash_at
from pinterest_pipeline.errors import BadInput, Fenced, Retryable, UnknownTopic
from pinterest_pipeline.eventlog.base import EventLog, Part, StoredRecord, Subscription
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.sink.dead_letters import DeadLetters
from pinterest_pipeline.sink.landing import Lander
from pinterest_pipeline.sink.manifest import Entry
from pinterest_pipeline.sink.reading import present, read_range
from pinterest_pipeline.sink.rotation import OpenRange, open_range
from pinterest_pipeline.sink.rules import Rules

_READ_RECORDS = 10_000
_LANDINGS = 4
_LEASE_SECONDS = 3.0
"""A member that has not polled for so long writes nothing before it has; shorter than any session."""
_TOPICS_SECONDS = 30.0
_MISSING_SECONDS = 5.0
"""How often a topic is looked for that was named and is not there."""
_MANIFEST_READS = 8
_LONGEST_PAUSE = 30.0
_FLUSH_SECONDS = 20.0
_log = structlog.get_logger("sink")


@dataclass(slots=True)
class _Landing:
    """A closed range, or what is left of a plan, on its way to its objects."""

    work: Callable[[], Entry]
    future: Future[Entry]
    failures: int = 0
    again_at: float = 0.0


@dataclass(slots=True)
class _Held:
    """What the member knows of a partition it holds."""

    topic_id: str
    position: int
    """Where the next range starts."""
    expected: int
    """The next offset to come, or a later one."""
    planned: int | None = None
    """Where a range was planned that lies further on, when the group was moved back before it."""
    open: OpenRange | None = None
    landing: _Landing | None = None
    waiting: list[StoredRecord] = field(default_factory=list)
    """Read, but there is no room before the landing is over."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the group is in a partition."""

    position: int
    first: int
    """The first offset that the log still has."""
    topic_id: str


class Sink:
    """One member. `monotonic` gives seconds and `wallclock` milliseconds since 1970; tests set both."""

    def __init__(
        self,
        log: EventLog,
        store: ObjectStore,
        rules: Rules,
        poll_seconds: float = 0.1,
        monotonic: Callable[[], float] = time.monotonic,
        wallclock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._log = log
        self._rules = rules
        self._poll_seconds = poll_seconds
        self._monotonic = monotonic
        self._wallclock = wallclock
        self._lander = Lander(store, rules.shape, partial(read_range, log), dead_letters(log, rules))
        self._pool = ThreadPoolExecutor(_LANDINGS, "landing")
        self._held: dict[Part, _Held] = {}
        self._subscription: Subscription | None = None
        self._topics: list[str] = []
        self._missing: list[str] = []
        self._look_at = 0.0
        self._polled = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Land records until told to stop; what waits is then landed too."""
        failures = 0
        try:
            while not stop.is_set():
                try:
                    self.step(self._poll_seconds)
                    failures = 0
                except (Retryable, UnknownTopic) as error:
                    failures += 1
                    self._held = {}  # records may have been read and not taken: all begins again
                    self._look_at = 0.0  # a topic may have been deleted; that is no matter of the others
                    _log.warning("trying again", problem=str(error), failures=failures)
                    stop.wait(min(self._poll_seconds * 2 ** min(failures, 10), _LONGEST_PAUSE))
            self.flush()
        finally:
            self.close()

    def step(self, seconds: float) -> bool:
        """Read once, waiting at most so long, and move every partition on; True when there were records."""
        subscription = self._joined()
        if subscription is None:
            time.sleep(seconds)
            return False
        busy = any(held.landing for held in self._held.values())
        batches = subscription.poll(_READ_RECORDS, min(seconds, 0.01) if busy else seconds)
        self._polled = time.monotonic()
        self._let_go(subscription)
        new = subscription.held() - self._held.keys()
        batches = {part: records for part, records in batches.items() if part not in new}
        self._begin(subscription, new)
        for part, records in batches.items():
            self._take(subscription, part, records)
        self._move_on(subscription)
        return bool(batches)

    def flush(self) -> None:
        """Land all that was read, as long as the partitions are ours and the store answers."""
        subscription = self._subscription
        deadline = time.monotonic() + _FLUSH_SECONDS
        while subscription is not None and any(self._is_busy(held) for held in self._held.values()):
            if time.monotonic() > deadline:
                _log.warning("stopped before all was landed; the next sink does it")
                return
            subscription.pause(list(self._held))
            subscription.poll(1, 0.01)
            self._polled = time.monotonic()
            self._let_go(subscription)
            for part, held in self._held.items():
                if held.open and not held.landing:
                    self._close(part, held)
            self._move_on(subscription, resume=False)

    def close(self) -> None:
        """Leave the group; what is not committed is read again by whoever comes next."""
        self._pool.shutdown(cancel_futures=True)
        if self._subscription is not None:
            self._subscription.close()

    @staticmethod
    def _is_busy(held: _Held) -> bool:
        return bool(held.open or held.landing or held.waiting)

    def _joined(self) -> Subscription | None:
        """The membership, renewed when other topics are there than before; None while there are none."""
        now = time.monotonic()
        if now < self._look_at:
            return self._subscription
        self._look_at = now + _MISSING_SECONDS
        topics, missing = present(self._log, self._rules)
        if missing and missing != self._missing:
            _log.warning("waiting for topics that are not there yet", topics=", ".join(missing))
        self._missing = missing
        if topics != self._topics and self._subscription is not None:
            self.flush()
            self._subscription.close()
            self._subscription, self._held = None, {}
        self._topics = topics
        if topics and self._subscription is None:
            self._subscription = self._log.subscribe(self._rules.group, topics)
            crash_at("opened")
        if topics and not missing:
            self._look_at = now + _TOPICS_SECONDS if self._rules.pattern else math.inf
        return self._subscription

    def _let_go(self, subscription: Subscription) -> None:
        """Forget what is not ours any more; a landing under way can do no harm, and is not committed."""
        for part in self._held.keys() - subscription.held():
            _log.info("let go", topic=part[0], partition=part[1])
            del self._held[part]

    def _take(self, subscription: Subscription, part: Part, records: list[StoredRecord]) -> None:
        held = self._held[part]
        if records[0].offset < held.expected:  # it was another's meanwhile
            self._begin(subscription, [part])
            return
        held.expected = records[-1].offset + 1
        held.waiting += records
        self._fill(part, held)
        crash_at("mid_write")
        if held.waiting:
            subscription.pause([part])

    def _begin(self, subscription: Subscription, parts: Collection[Part]) -> None:
        """Read partitions from where the group is; what was read of them so far is read again."""
        found: dict[Part, _Place] = {}
        for topic in sorted({topic for topic, _ in parts}):
            first = self._log.beginnings(topic)
            positions = first | self._log.committed(self._rules.group, topic)
            ends = self._log.ends(topic)
            topic_id = self._log.describe(topic).id  # last: what is read from now on is of no earlier topic
            for part in parts:
                if part[0] == topic:
                    _check_position(self._rules.group, part, positions[part[1]], ends[part[1]])
                    found[part] = _Place(positions[part[1]], first.get(part[1], 0), topic_id)
        with ThreadPoolExecutor(_MANIFEST_READS) as pool:
            resume = self._lander.manifest.resume
            plans = list(pool.map(resume, found, [place.position for place in found.values()]))
        for (part, place), (begun, planned) in zip(found.items(), plans, strict=True):
            start = begun.end if begun else place.position
            self._held[part] = _Held(place.topic_id, start, start, planned)
            if begun:
                self._move_behind(subscription, begun, place)
            if start < place.first:
                _say_lost(part, start, place.first)
            subscription.seek(part, start)
            subscription.resume([part])

    def _move_behind(self, subscription: Subscription, begun: Entry, place: _Place) -> None:
        """Go on at the end of a plan that the group was moved into, and do what is left of it.

        Whoever made it may have died. Once the log has lost records of it nobody can finish it.
        """
        topic, partition = begun.part
        _log.warning("moved on to the end of a plan", topic=topic, partition=partition, start=begun.end)
        if begun.start < place.first and begun.topic_id == place.topic_id:
            subscription.commit({begun.part: begun.end})
        else:
            work = partial(self._lander.finish, begun, place.topic_id, self._check_lease)
            self._held[begun.part].landing = self._submit(work)

    def _fill(self, part: Part, held: _Held) -> None:
        """Put waiting records into ranges, as far as ranges can be closed."""
        while held.waiting and not (held.open and held.open.is_full and held.landing):
            if held.open is None:
                held.open = open_range(
                    held.position,
                    self._rules.rotation,
                    self._rules.shape,
                    self._monotonic(),
                    self._wallclock(),
                    held.planned,
                )
            if not held.open.is_full:
                taken = held.open.take(held.waiting, self._rules.rotation)
                held.waiting = held.waiting[taken:]
            if held.open.is_full and held.landing is None:
                self._close(part, held)

    def _close(self, part: Part, held: _Held) -> None:
        assert held.open is not None
        held.landing = self._submit(
            partial(self._lander.land, part, held.topic_id, held.open, self._check_lease)
        )
        held.position = held.open.end
        held.open = None

    def _submit(self, work: Callable[[], Entry]) -> _Landing:
        return _Landing(work, self._pool.submit(work))

    def _check_lease(self) -> None:
        if time.monotonic() - self._polled > _LEASE_SECONDS:
            raise Fenced("this sink was away; others may hold its partitions now", "it asks the group first")

    def _move_on(self, subscription: Subscription, *, resume: bool = True) -> None:
        """Commit what is landed, close what is due, try again what failed."""
        for part in list(self._held):
            self._settle(subscription, part, self._held[part])
            held = self._held.get(part)  # another than before, when the partition is read again
            if held is None:
                continue
            was_waiting = bool(held.waiting)
            self._fill(part, held)
            if was_waiting and not held.waiting and resume:
                subscription.resume([part])
            if held.open and not held.landing and self._is_due(held.open):
                self._close(part, held)
        self._bound_memory()

    def _is_due(self, found: OpenRange) -> bool:
        rules = self._rules
        return found.is_full or found.is_due(
            rules.rotation, rules.shape, self._monotonic(), self._wallclock()
        )

    def _bound_memory(self) -> None:
        """Close the largest range when all together hold more than four may."""
        free = {part: held.open.size for part, held in self._held.items() if held.open and not held.landing}
        if sum(free.values()) > 4 * self._rules.rotation.flush_bytes:
            largest = max(free, key=free.__getitem__)
            self._close(largest, self._held[largest])

    def _settle(self, subscription: Subscription, part: Part, held: _Held) -> None:
        """Take the outcome of a landing that is over: commit its end, or try again later, or give up."""
        landing = held.landing
        if landing is None or not landing.future.done():
            return
        if landing.again_at:
            if self._monotonic() >= landing.again_at:
                held.landing = self._submit(landing.work)
                held.landing.failures = landing.failures
            return
        try:
            entry = landing.future.result()
            crash_at("before_commit")
            subscription.commit({part: entry.end})
        except Fenced:
            del self._held[part]
            if part in subscription.held():  # ours for all we know: the lease was over, not the membership
                self._begin(subscription, [part])
            return
        except Retryable as error:
            landing.failures += 1
            pause = min(0.1 * 2 ** min(landing.failures, 10), _LONGEST_PAUSE)
            landing.again_at = self._monotonic() + pause
            _log.warning("trying again", problem=str(error), topic=part[0], partition=part[1], seconds=pause)
            return
        crash_at("after_commit")
        held.landing = None
        # The plan was another's, and is cut elsewhere; or the next one is.
        if entry.end != held.position or entry.end == held.planned:
            self._begin(subscription, [part])


def _check_position(group: str, part: Part, position: int, end: int) -> None:
    """Kafka would begin at the first record, and we at the position: for ever."""
    if position > end:
        raise BadInput(
            f"the group '{group}' is at offset {position} of {part[0]}, partition {part[1]},"
            f" whose end is {end}",
            "was the topic deleted and made anew? Land it by another name and topics.dir, or move the group",
        )


def _say_lost(part: Part, start: int, first: int) -> None:
    """The next plan counts them as missing, as it does marks of transactions: nobody looks there."""
    _log.warning(
        "records left the log before they were landed",
        topic=part[0],
        partition=part[1],
        first=start,
        count=first - start,
    )


def dead_letters(log: EventLog, rules: Rules) -> DeadLetters | None:
    """Where the rules say that what cannot be landed goes."""
    found = rules.dead_letters
    if found is None:
        return None
    return DeadLetters(log, found.topic, rules.connector, found.replication, with_headers=found.with_headers)
