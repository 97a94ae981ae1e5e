"""Where the server of a folder listens and who may use it: chosen once, so that a restart changes nothing."""

import os
import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from pinterest_pipeline.config import ObjectSettings
from pinterest_pipeline.errors import BadInput, Unavailable
from pinterest_pipeline.ports import HOST, keep

BUCKET = "pinpipe"
PARTS = ("master", "volume", "filer", "s3", "admin")
"""Each listens on two ports: HTTP and gRPC."""
_FILE = "server.json"


class Address(msgspec.Struct, frozen=True):
    """The ports of all parts, two for each in the order of PARTS, and the one key that may do all."""

    ports: list[int]
    access_key_id: str
    secret_access_key: str

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.ports[2 * PARTS.index('s3')]}"


def object_settings(folder: Path, settings: ObjectSettings) -> ObjectSettings:
    """The settings that reach the server of `folder`; raises Unavailable when it never ran."""
    address = read(folder)
    if address is None:
        raise Unavailable(f"the S3 server of {folder} has not run yet", "start it: pinpipe s3")
    changes = {
        "url": f"s3://{BUCKET}",
        "endpoint": address.endpoint,
        "region": "us-east-1",
        "access_key_id": address.access_key_id,
        "secret_access_key": address.secret_access_key,
    }
    return ObjectSettings.model_validate(settings.model_dump() | changes)


def read(folder: Path) -> Address | None:
    """The address that the last server of the folder had, or None; raises BadInput for a damaged file."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Address)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise BadInput(
            f"{folder / _FILE} does not say how the S3 server is reached: {error}",
            "stop the server and remove the file: its next start chooses another key, and keeps all objects",
        ) from None


def chosen(folder: Path, kept: ExitStack) -> Address:
    """The address of the last server if its ports are still free, else the same keys at other ports.

    The ports are nobody else's until `kept` is closed.
    """
    last = read(folder)
    if last and _are_kept(kept, last.ports):
        return last
    key, secret = (last.access_key_id, last.secret_access_key) if last else _new_keys()
    return Address([keep(kept) for _ in range(2 * len(PARTS))], key, secret)


def write(folder: Path, address: Address) -> None:
    write_private(folder / _FILE, msgspec.json.encode(address))


def write_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # else a power cut may leave the name without the content
    temporary.replace(path)


def _new_keys() -> tuple[str, str]:
    return secrets.token_hex(10).upper(), secrets.token_urlsafe(30)


def _are_kept(kept: ExitStack, ports: Sequence[int]) -> bool:
    """Keep all of these ports, or none when one of them is taken."""
    with ExitStack() as those:
        try:
            for port in ports:
                keep(those, port)
        except OSError:
            return False
        kept.enter_context(those.pop_all())
        return True
