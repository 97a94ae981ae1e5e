"""One range of one topic-partition becomes objects: plan, set aside, upload, verify.

Every step may be repeated by anybody at any time: the plan and the objects are put only where nothing is,
and a plan that is there already is finished as it says. So a crash between two steps, a second sink started
by mistake, and a frozen one that comes back all lead to the same objects.
"""

import hashlib
from collections.abc import Callable, Sequence

import structlog

from pinterest_pipeline.config import crash_at
from pinterest_pipeline.errors import BadInput, NoSuchObject
from pinterest_pipeline.eventlog.base import Part, StoredRecord
from pinterest_pipeline.objects.base import ObjectStore, checked
from pinterest_pipeline.sink.building import Built, build
from pinterest_pipeline.sink.dead_letters import DeadLetters
from pinterest_pipeline.sink.manifest import Entry, Manifest, PlannedObject, planned
from pinterest_pipeline.sink.poison import Poison
from pinterest_pipeline.sink.rotation import OpenRange
from pinterest_pipeline.sink.shape import Shape

Read = Callable[[Part, int, int], Sequence[StoredRecord]]
"""The records of a partition from one offset up to and without another."""
_log = structlog.get_logger("sink")


class Lander:
    """Lands ranges under the `topics_dir` of a shape; safe to use from several threads."""

    def __init__(
        self, store: ObjectStore, shape: Shape, read: Read, dead_letters: DeadLetters | None = None
    ) -> None:
        self._store = store
        self._manifest = Manifest(store, shape.topics_dir)
        self.shape = shape
        self.read = read
        self._dead_letters = dead_letters

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def land(
        self, part: Part, topic_id: str, found: OpenRange, check: Callable[[], None] = lambda: None
    ) -> Entry:
        """Plan a range and finish the plan that its start has, which may be another's and end elsewhere.

        `topic_id` is what the log calls the topic: a plan of an earlier one of its name is none of ours.
        `check` is called before each step that writes, and raises what stops it. Raises BadInput for a record
        that the settings say to stop at, and when a plan or an object does not fit the log.
        """
        records: Sequence[StoredRecord] = found.records
        if len(records) != found.end - found.start:  # are they missing in the log itself?
            records = self.read(part, found.start, found.end)
        built = self._built(part, records, self.shape, found.wallclock_ms)
        check()
        crash_at("before_plan")
        own = self._plan(part, topic_id, found, len(records), built)
        for planned_object in own.objects:  # a plan that names what no store keeps could not be finished
            checked(planned_object.key)
        entry = self._manifest.propose(own)
        crash_at("after_plan")
        if entry == own:
            self._finish(entry, built, check)
        else:
            self.finish(entry, topic_id, check)
        _log.info("landed", topic=part[0], partition=part[1], start=entry.start, end=entry.end)
        return entry

    def finish(self, entry: Entry, topic_id: str, check: Callable[[], None] = lambda: None) -> Entry:
        """Do what is left of a plan that somebody made, and return it."""
        span = f"offsets {entry.start} to {entry.end - 1}"
        where = f"the plan of {entry.topic}, partition {entry.partition}, {span}"
        if entry.topic_id != topic_id:
            raise BadInput(
                f"{where} is of an earlier topic of this name",
                "land the topic that was made anew under another topics.dir",
            )
        if entry.objects and all(is_there(self._store, planned_object) for planned_object in entry.objects):
            return entry  # dead letters go before objects
        records = self.read(entry.part, entry.start, entry.end)
        built = self._built(entry.part, records, entry.shape, entry.wallclock_ms)
        if tuple(map(planned, built.objects)) != entry.objects:
            raise BadInput(
                f"the log does not give the objects that {where} names",
                "was a library upgraded in between? Land it under another topics.dir, or move the plan away"
                " if none of its objects is there",
            )
        self._finish(entry, built, check)
        return entry

    def _built(self, part: Part, records: Sequence[StoredRecord], shape: Shape, wallclock_ms: int) -> Built:
        try:
            return build(part, records, shape, wallclock_ms)
        except Poison as problem:
            where = f"{part[0]}, partition {part[1]}, {', '.join(problem.__notes__)}"
            raise BadInput(
                f"a record cannot be landed: {problem.problem} ({where})",
                "with errors.tolerance=all it goes to errors.deadletterqueue.topic.name, or is skipped",
            ) from problem

    def _plan(self, part: Part, topic_id: str, found: OpenRange, records: int, built: Built) -> Entry:
        skipped = built.skipped.total()
        return Entry(
            topic=part[0],
            topic_id=topic_id,
            partition=part[1],
            start=found.start,
            end=found.end,
            objects=tuple(map(planned, built.objects)),
            landed=records - skipped,
            skipped=dict(built.skipped),
            dead_lettered=len(built.dead_letters) if self._dead_letters else 0,
            missing=found.end - found.start - records,
            shape=self.shape,
            wallclock_ms=found.wallclock_ms,
        )

    def _finish(self, entry: Entry, built: Built, check: Callable[[], None]) -> None:
        if built.dead_letters and self._dead_letters:
            check()
            self._dead_letters.send(entry.part, entry.start, built.dead_letters)
        for number, (plan, made) in enumerate(zip(entry.objects, built.objects, strict=True)):
            check()
            crash_at("mid_upload" if number else "before_upload")
            self._upload(plan, made.content)
        crash_at("after_upload")
        for plan in entry.objects:
            if not is_there(self._store, plan):
                raise BadInput(f"{self._store.where(plan.key)} vanished when it was verified")

    def _upload(self, plan: PlannedObject, content: bytes) -> None:
        if self._store.put_if_absent(plan.key, content):
            return
        existing = self._store.get(plan.key)
        if len(existing) < len(content) and content.startswith(existing):
            # Torn: an older version, or another writer, did not sync it before a power cut.
            self._store.delete(plan.key)
            self._store.put_if_absent(plan.key, content)


def is_there(store: ObjectStore, plan: PlannedObject) -> bool:
    """Whether an object is there as planned, read back whole; raises BadInput when it is another."""
    try:
        content = store.get(plan.key)
    except NoSuchObject:
        return False
    if hashlib.sha256(content).hexdigest() == plan.sha256:
        return True
    raise BadInput(
        f"{store.where(plan.key)} does not hold the records that the log has at its offsets",
        "move it away; the sink then writes it again from the log",
    )
