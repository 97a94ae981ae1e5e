"""From a range of one topic-partition to its objects (pure): what a plan says, and what finishes it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pinterest_pipeline.eventlog.base import Part, StoredRecord
from pinterest_pipeline.objects.base import MOST_KEY_BYTES, MOST_SEGMENT_BYTES
from pinterest_pipeline.sink.formats import (
    headers_item,
    key_item,
    side_content,
    side_extension,
    value_content,
    value_extension,
    value_writer,
)
from pinterest_pipeline.sink.partitioners import PARTITIONERS, encoder
from pinterest_pipeline.sink.poison import Poison
from pinterest_pipeline.sink.shape import Shape

IGNORED_NULL = "null value, ignored"
MOST_FOLDER_BYTES = 250


@dataclass(frozen=True, slots=True)
class BuiltObject:
    key: str
    first: int
    last: int
    """Offsets of its first and last record."""
    count: int
    content: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that is set aside, and why."""

    record: StoredRecord
    problem: Poison


@dataclass(slots=True)
class Built:
    objects: list[BuiltObject] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Records that are in no object, by reason."""
    dead_letters: list[DeadLetter] = field(default_factory=list)


@dataclass(slots=True)
class _Group:
    """The records of one encoded partition."""

    first: int
    last: int = 0
    values: list[bytes] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    headers: list[bytes] = field(default_factory=list)


def build(part: Part, records: Sequence[StoredRecord], shape: Shape, wallclock_ms: int) -> Built:
    """The objects of a range, in the order of their first records.

    Raises Poison for a record that the shape says to stop at.
    """
    if _is_plain(shape) and records:
        write = value_writer(*part, shape)
        group = _Group(records[0].offset, records[-1].offset, [write(record) for record in records])
        return Built(_objects(part, f"partition={part[1]}", group, shape))
    return _Builder(part, shape, wallclock_ms).build(records)


def _is_plain(shape: Shape) -> bool:
    """Whether every record lands in one object: then nothing is looked at but its value."""
    return (shape.partitioner, shape.nulls, shape.errors, shape.keys, shape.headers) == (
        "default",
        "keep",
        "keep",
        "",
        "",
    )


class _Builder:
    def __init__(self, part: Part, shape: Shape, wallclock_ms: int) -> None:
        self._part = part
        self._shape = shape
        self._write = value_writer(*part, shape)
        self._encode = encoder(shape, wallclock_ms)
        self._extension_bytes = _longest_extension(shape)
        self._groups: dict[str, _Group] = {}
        self._built = Built()

    def build(self, records: Sequence[StoredRecord]) -> Built:
        for record in records:
            try:
                self._add(record)
            except Poison as problem:
                self._set_aside(record, problem)
        for folder, group in self._groups.items():
            self._built.objects += _objects(self._part, folder, group, self._shape)
        return self._built

    def _add(self, record: StoredRecord) -> None:
        shape = self._shape
        if record.value is None and shape.nulls in ("fail", "ignore"):
            raise _null(shape)
        is_tombstone = record.value is None and shape.nulls == "write"
        value = b"" if is_tombstone else self._write(record)
        folder = shape.tombstone_folder if is_tombstone else self._encode(record)
        if folder not in self._groups:
            self._check_folder(folder, record.offset)
        key = key_item(record, shape) if shape.keys else b""
        group = self._groups.setdefault(folder, _Group(record.offset))
        group.last = record.offset
        if not is_tombstone:
            group.values.append(value)
        if shape.keys:
            group.keys.append(key)
        if shape.headers:
            group.headers.append(headers_item(record.headers))

    def _check_folder(self, folder: str, first: int) -> None:
        """Whether objects can be kept there; asked before the plan, which would name them for good."""
        if any(len(piece.encode()) > MOST_FOLDER_BYTES for piece in folder.split("/")):
            raise Poison(f"the folder {folder[:80]!r} is longer than {MOST_FOLDER_BYTES} bytes", PARTITIONERS)
        stem = _stem(self._part, folder, first, self._shape)
        if len(stem.encode()) + self._extension_bytes > MOST_KEY_BYTES:
            raise Poison(f"the key below {folder[:80]!r} is longer than {MOST_KEY_BYTES} bytes", PARTITIONERS)
        name = stem.rpartition("/")[2]
        if len(name.encode()) + self._extension_bytes > MOST_SEGMENT_BYTES:
            raise Poison(f"the name {name[:80]!r} is longer than {MOST_SEGMENT_BYTES} bytes", PARTITIONERS)

    def _set_aside(self, record: StoredRecord, problem: Poison) -> None:
        is_ignored = record.value is None and self._shape.nulls == "ignore"
        if not is_ignored and self._shape.errors != "all":
            problem.add_note(f"offset {record.offset}")
            raise problem
        self._built.skipped[IGNORED_NULL if is_ignored else problem.problem] += 1
        if not is_ignored or self._shape.report_nulls:
            self._built.dead_letters.append(DeadLetter(record, problem))


def _null(shape: Shape) -> Poison:
    is_ignored = shape.nulls == "ignore"
    reason = IGNORED_NULL if is_ignored else "the value is null, and behavior.on.null.values is fail"
    return Poison(reason, "io.confluent.connect.s3.S3SinkTask")


def _objects(part: Part, folder: str, group: _Group, shape: Shape) -> list[BuiltObject]:
    """The object of values, and those of keys and headers beside it."""
    stem = _stem(part, folder, group.first, shape)
    contents = []
    if group.values:
        contents.append((value_extension(shape), value_content(group.values, shape), group.values))
    for kind, items, is_json in (
        ("keys", group.keys, shape.keys == "json"),
        ("headers", group.headers, True),
    ):
        if items:
            extension = f".{kind}{side_extension(is_json, shape)}"
            contents.append((extension, side_content(items, is_json, shape), items))
    return [
        BuiltObject(stem + extension, group.first, group.last, len(items), content)
        for extension, content, items in contents
    ]


def _stem(part: Part, folder: str, first: int, shape: Shape) -> str:
    """The key of an object up to its extension."""
    topic, partition = part
    slash, plus = shape.directory_delimiter, shape.file_delimiter
    name = f"{topic}{plus}{partition}{plus}{first:0{shape.pad_width}d}"
    return slash.join((shape.topics_dir, topic, folder, name))


def _longest_extension(shape: Shape) -> int:
    """Bytes of the longest extension among the objects that one group of records may have."""
    extensions = [value_extension(shape)]
    if shape.keys:
        extensions.append(f".keys{side_extension(shape.keys == 'json', shape)}")
    if shape.headers:
        extensions.append(f".headers{side_extension(True, shape)}")
    return max(len(extension.encode()) for extension in extensions)
