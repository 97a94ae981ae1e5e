"""API keys: made, listed and revoked in one small file; known to every worker from its own copy of it.

A key is `pinpipe_ID_SECRET`. Its id is public and names it in lists and logs. Its secret is 160 random bits,
so nobody finds it by trying, and a plain SHA-256 of the key is all that is kept: the slow digests that
passwords need would protect nothing more here, and cost milliseconds at every request.

Whoever checks a signature needs the secret that made it. That is no part of the key: it is derived from the
key's id and a secret of the gateway's own, which lies in another file. Who reads the file of keys alone can
therefore neither show a key nor sign as one.
"""

import hashlib
import hmac
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from pinterest_pipeline.errors import BadInput, DiskFull, PipelineError, Unavailable, is_disk_full
from pinterest_pipeline.gateway.plans import Plan
from pinterest_pipeline.gateway.scopes import Grant

_FORM: Final = re.compile(rb"pinpipe_([0-9a-f]{12})_[0-9a-f]{40}")
_NO_DIGEST: Final = bytes(32)
_ACCESS_KEY_ID: Final = re.compile(r"pinpipe_([0-9a-f]{12})")
_SIGNING_BYTES: Final = 32
_FRESH_SECONDS: Final = 0.5
_VERSION: Final = 1
_TABLE: Final = """
    CREATE TABLE keys (
        slot INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        digest BLOB NOT NULL,
        scopes TEXT NOT NULL,
        plan TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER,
        revoked_ms INTEGER
    )"""


class Key(msgspec.Struct, frozen=True):
    """A key without its secret. Times are milliseconds since 1970."""

    slot: int
    """Its place in the file of what is used of plans; no two keys of one file ever have the same."""
    id: str
    name: str
    digest: bytes
    scopes: tuple[str, ...]
    plan: Plan
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None

    def ended(self, now: float) -> str:
        """Why it is not good any more at this time (seconds since 1970), or the empty text."""
        if self.revoked_ms is not None:
            return "was revoked"
        return "has expired" if self.expires_ms is not None and now * 1000 >= self.expires_ms else ""


class KeyFile:
    """The file of all keys, which only its owner can read. Raises Unavailable, DiskFull or BadInput."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._signing = path.with_name("signing-secret")

    def create(self, name: str, scopes: Sequence[str], plan: Plan, expires_ms: int | None) -> tuple[str, Key]:
        """Make a key; its text is given here and never again. Raises SettingError for a wrong scope."""
        Grant(scopes)
        id_ = secrets.token_hex(6)
        text = f"pinpipe_{id_}_{secrets.token_hex(20)}"
        row = (
            id_, name, hashlib.sha256(text.encode()).digest(), msgspec.json.encode(list(scopes)).decode(),
            msgspec.json.encode(plan).decode(), time.time_ns() // 1_000_000, expires_ms,
        )  # fmt: skip
        with self.opened() as connection, connection:
            if not self._signing.exists():
                _make_secret(self._signing)
            cursor = connection.execute(
                "INSERT INTO keys (id, name, digest, scopes, plan, created_ms, expires_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            found = connection.execute("SELECT * FROM keys WHERE slot = ?", (cursor.lastrowid,)).fetchone()
        return text, _key(found)

    def secret_access_key(self, key: Key) -> str:
        """The secret that a key signs with."""
        return _derived(self.signing_secret() or b"", key.id)

    def signing_secret(self) -> bytes | None:
        """What the secrets of signatures are derived from; None before the first key is made."""
        try:
            secret = self._signing.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.failure(error) from error
        if len(secret) != _SIGNING_BYTES:
            raise BadInput(
                f"{self._signing} does not hold {_SIGNING_BYTES} bytes", "move it away and make new keys"
            )
        return secret

    def read(self) -> list[Key]:
        """All keys, also those that are not good any more, in the order of their making."""
        if not self.path.exists():
            return []
        with self.opened() as connection:
            return read_keys(connection)

    def revoke(self, id_: str) -> None:
        """End a key; every worker knows it within a second. Raises BadInput when there is no such key."""
        with self.opened() as connection, connection:
            connection.execute(
                "UPDATE keys SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL",
                (time.time_ns() // 1_000_000, id_),
            )
            if not connection.execute("SELECT 1 FROM keys WHERE id = ?", (id_,)).fetchone():
                raise BadInput(f"no key has the id '{id_[:40]}'", "see 'pinpipe keys list'")

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """A connection to the file, which is made if it is not there."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = self.connect()
            try:
                _make_table(connection, self.path)
                yield connection
            finally:
                connection.close()
        except (sqlite3.Error, OSError) as error:
            raise self.failure(error) from error

    def connect(self) -> sqlite3.Connection:
        """A connection to the file that is there."""
        uri = f"file:{quote(str(self.path.absolute()))}?mode=rw"
        return sqlite3.connect(uri, uri=True, check_same_thread=False)

    def failure(self, error: Exception) -> PipelineError:
        if is_disk_full(error):
            return DiskFull(f"no room left for the keys in {self.path}", "free some space, then try again")
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_NOTADB:
            return BadInput(f"{self.path} is no file of keys", "move it away and make new keys")
        return Unavailable(f"the keys in {self.path} cannot be used: {error}", "see to that file")


def access_key_id(key: Key) -> str:
    """The name of a key in signatures."""
    return f"pinpipe_{key.id}"


def _derived(signing_secret: bytes, id_: str) -> str:
    """What the key of this id signs with: 160 bits."""
    return hmac.digest(signing_secret, f"secret access key of {id_}".encode(), "sha256").hex()[:40]


def _make_secret(path: Path) -> None:
    """Write a new secret, unless another process was faster; it is there in full or not at all."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, secrets.token_bytes(_SIGNING_BYTES))
        os.fsync(file)
        with suppress(FileExistsError):
            path.hardlink_to(new)
    finally:
        os.close(file)
        new.unlink()


def _make_table(connection: sqlite3.Connection, path: Path) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise BadInput(f"{path} is no file of keys of this version", "move it away and make new keys")


def read_keys(connection: sqlite3.Connection) -> list[Key]:
    return [_key(row) for row in connection.execute("SELECT * FROM keys ORDER BY slot")]


def _key(row: tuple[Any, ...]) -> Key:
    slot, id_, name, digest, scopes, plan, *times = row
    return Key(
        slot, id_, name, digest, tuple(msgspec.json.decode(scopes, type=list[str])),
        msgspec.json.decode(plan, type=Plan), *times,
    )  # fmt: skip


class Keyring:
    """The keys as one worker knows them, never older than half a second. One thread uses it."""

    def __init__(self, file: KeyFile) -> None:
        self._file = file
        self._known: dict[str, tuple[Key, Grant]] = {}
        self._connection: sqlite3.Connection | None = None
        self._version: tuple[int, int] | None = None
        self._signing_secret: bytes | None = None
        self._fresh_until = self._secret_until = 0.0

    def find(self, text: bytes) -> tuple[Key, Grant] | None:
        """The key of this text with what it allows, also one that has ended; None when it is none of ours.

        How long it takes says nothing of the digest; the same is computed for an id that is not known.
        """
        form = _FORM.fullmatch(text)
        found = self._of(form[1].decode() if form else "")
        same = hmac.compare_digest(
            hashlib.sha256(text).digest(), _NO_DIGEST if found is None else found[0].digest
        )
        return found if same else None

    def signer(self, access_key_id: str) -> tuple[Key, Grant, str] | None:
        """The key that signs under this name, what it allows, and its secret; None when there is none."""
        form = _ACCESS_KEY_ID.fullmatch(access_key_id)
        found = self._of(form[1] if form else "")
        secret = self._secret() if found else None
        return None if found is None or secret is None else (*found, _derived(secret, found[0].id))

    def _secret(self) -> bytes | None:
        now = time.monotonic()
        if self._signing_secret is None or now >= self._secret_until:
            self._signing_secret = self._file.signing_secret()
            self._secret_until = now + _FRESH_SECONDS
        return self._signing_secret

    def _of(self, id_: str) -> tuple[Key, Grant] | None:
        now = time.monotonic()
        if now >= self._fresh_until or (id_ and id_ not in self._known):  # a new key is good at once
            self._refresh()
            self._fresh_until = now + _FRESH_SECONDS
        return self._known.get(id_)

    def _refresh(self) -> None:
        """Read the keys again if another connection has written to the file, or another file is there."""
        try:
            inode = self._file.path.stat().st_ino
            if self._connection is None or self._version is None or self._version[0] != inode:
                self.close()
                self._connection = self._file.connect()
            (written,) = self._connection.execute("PRAGMA data_version").fetchone()
            if self._version != (inode, written):
                keys = read_keys(self._connection)
                self._known = {key.id: (key, Grant(key.scopes)) for key in keys}
                self._version = (inode, written)
        except FileNotFoundError:
            self.close()
            self._known = {}
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise self._file.failure(error) from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._version = None
