"""Objects in S3, or in Google's or Azure's store, through obstore: each is one conditional request."""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore as Obstore

from pinterest_pipeline.errors import DiskFull, NoSuchObject, Unavailable, is_disk_full
from pinterest_pipeline.objects.base import StoredObject, checked
from pinterest_pipeline.objects.patience import Patience
from pinterest_pipeline.objects.refusals import refusal

if TYPE_CHECKING:
    from obstore import ObjectMeta

_WRITER = "putid"
"""Metadata that tells this call's object from another writer's; Azure takes letters and digits only."""
_AT_ONCE = 8
_CHUNK_BYTES = 2**20
_PAGE_OBJECTS = 1000


class RemoteStore:
    """Keys below the prefix of `url`; `address` is where requests go, as a person knows it.

    obstore repeats a request for a moment, in silence; what lasts longer is repeated here, aloud.

    An object is one request whatever its size (S3 takes 5 GiB), because a condition on a multipart upload is
    not kept by every store that speaks S3; so there are no parts to be left behind either.
    """

    def __init__(self, store: Obstore, url: str, retry_seconds: float, address: str = "") -> None:
        self._store = store
        self._url = url.rstrip("/")
        self._patience = Patience(address or self._url, retry_seconds)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Repeated until an answer comes: a put whose answer was lost finds its own mark on the object."""
        checked(key)
        return self._patience.repeated(partial(self._put, key, content, secrets.token_hex(16)))

    def get(self, key: str) -> bytes:
        return self._patience.repeated(partial(self._get, checked(key)))

    def _get(self, key: str) -> bytes:
        with self._explained(key, "GetObject"):
            return obstore.get(self._store, key).bytes().to_bytes()

    def tail(self, key: str, size: int) -> bytes:
        return self._patience.repeated(partial(self._tail, checked(key), size))

    def _tail(self, key: str, size: int) -> bytes:
        if self._head(key) == 0:  # a range of nothing is an error
            return b""
        with self._explained(key, "GetObject"):
            found = obstore.get(self._store, key, options={"range": {"suffix": size}})
            return found.bytes().to_bytes()

    def head(self, key: str) -> StoredObject | None:
        try:
            return StoredObject(key, self._patience.repeated(partial(self._head, checked(key))))
        except NoSuchObject:
            return None

    def list(self, folder: str) -> Iterator[StoredObject]:
        """One that broke off begins anew: not every store goes on behind a key in the order it lists."""
        listing = _Listing(self._store, checked(folder) if folder else None)

        def page() -> Sequence[StoredObject] | None:
            with self._explained(folder, "ListBucket"):
                return listing.page()

        while (found := self._patience.repeated(page)) is not None:
            yield from found

    def delete(self, key: str) -> None:
        self._patience.repeated(partial(self._delete, checked(key)))

    def _delete(self, key: str) -> None:
        with self._explained(key, "DeleteObject"):
            obstore.delete(self._store, key)

    def fetch(self, keys: Sequence[str], folder: Path) -> Sequence[Path]:
        paths = [folder / f"{number:06d}{_ending(key)}" for number, key in enumerate(keys)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            tasks = [
                pool.submit(self._patience.repeated, partial(self._download, checked(key), path))
                for key, path in zip(keys, paths, strict=True)
            ]
            try:
                for task in tasks:
                    task.result()
            finally:
                pool.shutdown(cancel_futures=True)
        return paths

    def where(self, key: str) -> str:
        return f"{self._url}/{key}"

    def _head(self, key: str) -> int:
        with self._explained(key, "GetObject"):
            return obstore.head(self._store, key)["size"]

    def _put(self, key: str, content: bytes, writer: str) -> bool:
        attributes = {"Content-Type": "application/x-ndjson", _WRITER: writer}
        try:
            with self._explained(key, "PutObject"):
                found = obstore.put(
                    self._store, key, content, mode="create", attributes=attributes, use_multipart=False
                )
        except _Taken:
            return self._is_own(key, content, writer)
        if not _is_checksum(found["e_tag"], content):
            self._check_size(key, content)
        return True

    def _is_own(self, key: str, content: bytes, writer: str) -> bool:
        """Whether an earlier try of this very call wrote the object that has the key."""
        try:
            with self._explained(key, "GetObject"):
                found = obstore.get(self._store, key, options={"head": True})
        except NoSuchObject as error:  # S3 answers so while another writer's request is under way
            raise Unavailable(f"the object {self.where(key)} is being written by another") from error
        if found.attributes.get(_WRITER) != writer:
            return False
        self._check_size(key, content)
        return True

    def _check_size(self, key: str, content: bytes) -> None:
        size = self._head(key)
        if size != len(content):
            self._delete(key)
            raise Unavailable(f"{self.where(key)} has {size} of {len(content)} bytes; it is removed")

    def _download(self, key: str, path: Path) -> None:
        """Write one object into a file; a body that ends early is an error, never a shorter file."""
        with self._explained(key, "GetObject"):
            found = obstore.get(self._store, key)
            with path.open("wb") as file:
                for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                    file.write(chunk)
                written = file.tell()
        if written != found.meta["size"]:
            raise Unavailable(f"{self.where(key)} came with {written} of {found.meta['size']} bytes")

    @contextmanager
    def _explained(self, key: str, permission: str) -> Iterator[None]:
        """Errors of obstore as ours; `permission` is S3's name of what was asked for."""
        try:
            yield
        except AlreadyExistsError as error:
            raise _Taken from error
        except (BaseError, OSError, ValueError) as error:
            if is_disk_full(error):
                raise DiskFull(
                    f"no room left for {self.where(key)}", "free some space; nothing is lost"
                ) from error
            raise refusal(error, self.where(key), permission) from error


class _Taken(Exception):
    """The store says that a key has an object already."""


class _Listing:
    """The objects below a folder, each once."""

    def __init__(self, store: Obstore, folder: str | None) -> None:
        self._store = store
        self._folder = folder
        self._pages: Iterator[Sequence[ObjectMeta]] | None = None
        self._seen: set[str] = set()

    def page(self) -> Sequence[StoredObject] | None:
        """The next objects, None at the end; called again after an error, it begins anew."""
        if self._pages is None:
            self._pages = obstore.list(self._store, self._folder, chunk_size=_PAGE_OBJECTS)
        try:
            page = next(self._pages, None)
        except BaseException:
            self._pages = None
            raise
        if page is None:
            return None
        found = [StoredObject(meta["path"], meta["size"]) for meta in page if meta["path"] not in self._seen]
        self._seen.update(stored.key for stored in found)
        return found


def _is_checksum(e_tag: str | None, content: bytes) -> bool:
    """Whether the store's answer proves the content: S3's plain ETag is its MD5.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    return (e_tag or "").strip('"') == hashlib.md5(content, usedforsecurity=False).hexdigest()


def _ending(key: str) -> str:
    name = key.rpartition("/")[2]
    ending = name[name.find(".", name.rfind("+")) :] if "." in name else ""
    return ending if ending.replace(".", "").isalnum() else ""
