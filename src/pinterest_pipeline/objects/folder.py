"""Objects in a folder of this machine: synced to the disk before anybody sees them."""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pinterest_pipeline.errors import BadInput, DiskFull, Forbidden, NoSuchObject, Unavailable, is_disk_full
from pinterest_pipeline.objects.base import INCOMING, StoredObject, checked

_STALE_SECONDS = 600.0
_MOST_SYNCED = 10_000


class FolderStore:
    """Keys are paths below a folder; no key can be the first part of another, as in any file system."""

    def __init__(self, root: Path) -> None:
        with _explained("the folder of objects", str(root)):
            root.mkdir(parents=True, exist_ok=True)
            self._root = root.resolve()
            self._incoming = self._root / INCOMING
            self._incoming.mkdir(exist_ok=True)
        self._synced: set[Path] = set()
        self._sweep()

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Write a file beside, sync it, link it to its name, which never replaces; then sync the folders."""
        path = self._path(key)
        with _explained("the object", key):
            path.parent.mkdir(parents=True, exist_ok=True)
            is_new = False
            with suppress(FileExistsError), self._written(content) as temporary:
                os.link(temporary, path)
                is_new = True
            self._sync_folders(path)  # also when taken: who wrote it may have died before it did so
        return is_new

    def get(self, key: str) -> bytes:
        with self._opened(key) as file:
            return file.read()

    def tail(self, key: str, size: int) -> bytes:
        with self._opened(key) as file:
            file.seek(-min(size, os.fstat(file.fileno()).st_size), os.SEEK_END)
            return file.read()

    def head(self, key: str) -> StoredObject | None:
        try:
            with self._opened(key) as file:
                return StoredObject(key, os.fstat(file.fileno()).st_size)
        except NoSuchObject:
            return None

    def list(self, folder: str) -> Iterator[StoredObject]:
        return self._below(self._path(folder) if folder else self._root)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with _explained("the object", key):
            path.unlink(missing_ok=True)
            if path.parent.exists():
                _sync(path.parent)

    def fetch(self, keys: Sequence[str], folder: Path) -> Sequence[Path]:
        paths = [self._path(key) for key in keys]
        for key, path in zip(keys, paths, strict=True):
            if not path.is_file():
                raise NoSuchObject(self.where(key))
        return paths

    def where(self, key: str) -> str:
        return str(self._root / key)

    def _path(self, key: str) -> Path:
        return self._root / checked(key)

    @contextmanager
    def _opened(self, key: str) -> Iterator[IO[bytes]]:
        path = self._path(key)
        with _explained("the object", key):
            try:
                file = path.open("rb")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise NoSuchObject(self.where(key)) from None
            with file:
                yield file

    @contextmanager
    def _written(self, content: bytes) -> Iterator[Path]:
        """A file with the content, synced; its name goes when the block ends."""
        path = self._incoming / secrets.token_hex(16)
        try:
            with path.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _below(self, folder: Path) -> Iterator[StoredObject]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            path = Path(entry.path)
            if path == self._incoming:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._below(path)
                continue
            with suppress(FileNotFoundError):  # deleted since
                yield StoredObject(path.relative_to(self._root).as_posix(), entry.stat().st_size)

    def _sync_folders(self, path: Path) -> None:
        """Sync the object's folder, and so its name; the folders above when they are new to us."""
        _sync(path.parent)
        if path.parent not in self._synced:
            for part in path.parent.relative_to(self._root).parents:
                _sync(self._root / part)
            if len(self._synced) >= _MOST_SYNCED:  # a folder may be made for each value of a field
                self._synced.clear()
            self._synced.add(path.parent)

    def _sweep(self) -> None:
        """Remove what writers that were killed left behind."""
        for path in self._incoming.iterdir():
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(what: str, name: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise Forbidden(
            f"{what} {name} cannot be reached: {error}", "change the owner or the mode"
        ) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise BadInput(
            f"{what} {name} cannot be kept: a part of its name is a file, or the whole a folder",
            "move away what is there",
        ) from error
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(f"no room left for {what} {name}", "free some space; nothing is lost") from error
        raise Unavailable(f"{what} {name} cannot be read or written: {error}") from error
