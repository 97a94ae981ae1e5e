"""A folder of immutable objects: put if absent, durable when the call returns."""

import os
from pathlib import Path

import msgspec
import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from pinterest_pipeline.errors import BadInput, DiskFull, Unavailable, is_disk_full
from pinterest_pipeline.objects.layout import ObjectName, folder, parse

_TAIL_BYTES = 2**16


class _Line(msgspec.Struct):
    offset: int = msgspec.field(name="_offset")


class ObjectStore:
    """Objects below one folder of this machine."""

    def __init__(self, root: Path, topics_dir: str) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root.resolve()
        self._topics_dir = topics_dir
        self._store = LocalStore(self._root)

    def put_if_absent(self, name: ObjectName, content: bytes) -> bool:
        """Write an object; False when the key is taken. Raises DiskFull or Unavailable."""
        key = name.key(self._topics_dir)
        try:
            obstore.put(self._store, key, content, mode="create")
        except AlreadyExistsError:
            self._make_durable(self._root / key)  # who wrote it may have died before it did so
            return False
        except (OSError, BaseError) as error:
            if is_disk_full(error):
                raise DiskFull(
                    f"no room left for the object {key}", "free some space; nothing is lost"
                ) from error
            raise Unavailable(f"the object {key} cannot be written: {error}") from error
        self._make_durable(self._root / key)
        return True

    def get(self, name: ObjectName) -> bytes:
        return obstore.get(self._store, name.key(self._topics_dir)).bytes().to_bytes()

    def names(self, topic: str) -> list[ObjectName]:
        """The objects of a topic, ordered by partition and first offset, without a gap.

        A folder that is written to while it is listed may show a later object and not an earlier one.
        Objects of a partition come in order, so all up to the last of a first listing are in a second.
        """
        last = {name.partition: name.start for name in self._listed(topic)}
        return [name for name in self._listed(topic) if name.start <= last.get(name.partition, -1)]

    def remove_torn(self, name: ObjectName) -> None:
        """Remove an object that a power cut left without its end."""
        obstore.delete(self._store, name.key(self._topics_dir))

    def _listed(self, topic: str) -> list[ObjectName]:
        pages = obstore.list(self._store, folder(self._topics_dir, topic))
        found = (parse(meta["path"]) for page in pages for meta in page)
        return sorted(name for name in found if name is not None and name.topic == topic)

    def end(self, name: ObjectName) -> int:
        """Offset after the last line of an object; raises BadInput when the line has none."""
        last = self._tail(name).rstrip(b"\n").rpartition(b"\n")[2]
        try:
            return msgspec.json.decode(last, type=_Line).offset + 1
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            key = name.key(self._topics_dir)
            raise BadInput(f"{key} ends without an _offset", "write it with the sink") from error

    def _tail(self, name: ObjectName) -> bytes:
        """The end of an object, at least its last line."""
        key = name.key(self._topics_dir)
        size = obstore.head(self._store, key)["size"]
        if size <= _TAIL_BYTES:
            return self.get(name)
        tail = obstore.get_range(self._store, key, start=size - _TAIL_BYTES, end=size).to_bytes()
        return tail if b"\n" in tail[:-1] else self.get(name)

    def path(self, name: ObjectName) -> Path:
        """Where an object can be read as a local file."""
        return self._root / name.key(self._topics_dir)

    def _make_durable(self, path: Path) -> None:
        """Sync the file and every folder that may be new with it: the store syncs nothing by itself."""
        for part in (path, *path.relative_to(self._root).parents):
            descriptor = os.open(self._root / part, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
