"""Starts SeaweedFS (`weed mini`) in a folder, waits until it answers, stops it."""

import ctypes
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from pinterest_pipeline.errors import AlreadyRunning, BadInput, MissingPart, Unavailable
from pinterest_pipeline.ports import HOST, let_listen
from pinterest_pipeline.s3server.address import (
    BUCKET,
    PARTS,
    Address,
    chosen,
    read,
    write,
    write_private,
)

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0  # it takes about 4
_PROBE = ".ready"  # an object that is read and written to see whether that can be done
_PR_SET_PDEATHSIG = 1  # prctl(2)


class S3Server:
    """A running SeaweedFS whose data, keys and ports are kept in one folder; listens on loopback only."""

    def __init__(self, folder: Path) -> None:
        """Start and wait; raises MissingPart, AlreadyRunning, or Unavailable with the server's last words."""
        program = weed()
        folder.mkdir(parents=True, exist_ok=True)
        if is_ready(folder):
            raise AlreadyRunning(f"an S3 server runs in {folder} already", "stop it first")
        self._log = folder / "weed.log"
        with ExitStack() as kept:
            self.address = chosen(folder, kept)
            write_private(folder / "identities.json", _identities(self.address))
            let_listen(kept)
            with self._log.open("ab") as log:
                self.process = subprocess.Popen(
                    [program, *_arguments(folder, self.address)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                    start_new_session=True,
                )
            try:
                self._wait_until_ready()
            except BaseException:
                self.stop()
                raise
        write(folder, self.address)

    def stop(self) -> None:
        """Ask it to finish and wait for it."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(self.address):
            self.raise_if_dead()
            if time.monotonic() > deadline:
                raise Unavailable(f"SeaweedFS is not ready after {_READY_SECONDS:.0f} s", f"see {self._log}")
            time.sleep(0.05)

    def raise_if_dead(self) -> None:
        """Raises Unavailable with the server's last words when it is no more."""
        if self.process.poll() is not None:
            words = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
            raise Unavailable(f"SeaweedFS died with {self.process.returncode}: {' '.join(words)}")


def serve(folder: Path, stop: threading.Event, say: Callable[[str], object]) -> None:
    """Run a server until told to stop; raises as its start does, and Unavailable when it dies."""
    server = S3Server(folder)
    try:
        say(f"S3 at {server.address.endpoint}, bucket {BUCKET}; the key is in {folder}")
        while not stop.wait(0.1):
            server.raise_if_dead()
    finally:
        server.stop()


def is_ready(folder: Path) -> bool:
    """Whether a server of this folder answers."""
    address = read(folder)
    return address is not None and _answers(address)


def weed() -> str:
    """The path of SeaweedFS, whose own package puts it beside the interpreter; raises MissingPart."""
    found = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if found is None:
        raise MissingPart("SeaweedFS is not installed", "s3-server")
    return found


def _arguments(folder: Path, address: Address) -> list[str]:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    if "," in str(data):
        raise BadInput(f"SeaweedFS cannot keep data in {data}", "name a folder without a comma")
    ports = {
        f"-{part}.port{suffix}": address.ports[2 * number + place]
        for number, part in enumerate(PARTS)
        for place, suffix in enumerate(("", ".grpc"))
    }
    return [
        "mini",
        f"-dir={data}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        *(f"{name}={port}" for name, port in ports.items()),
        f"-bucket={BUCKET}",
        f"-s3.config={folder / 'identities.json'}",
        # Nothing that we do not use, and no word to anybody outside.
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam=false",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
    ]


def _identities(address: Address) -> bytes:
    """https://github.com/seaweedfs/seaweedfs/wiki/Amazon-S3-API#authentication-with-access-key"""
    key = {"accessKey": address.access_key_id, "secretKey": address.secret_access_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return msgspec.json.encode(
        {"identities": [{"name": "pinpipe", "credentials": [key], "actions": actions}]}
    )


def _answers(address: Address) -> bool:
    """Whether an object can be read and written; a listing answers seconds before the volumes do."""
    key: Any = {
        "access_key_id": address.access_key_id,
        "secret_access_key": address.secret_access_key,
        "token": None,
        "expires_at": None,
    }
    store = S3Store(
        BUCKET,
        aws_endpoint_url_s3=address.endpoint,
        region="us-east-1",
        client_options={"allow_http": True, "timeout": timedelta(seconds=2)},
        retry_config={"max_retries": 0},
        credential_provider=lambda: key,
    )
    try:
        with suppress(FileNotFoundError):  # a server's first start
            obstore.get(store, _PROBE).bytes()
        obstore.put(store, _PROBE, b"ready")
    except BaseError:
        return False
    return True


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, however that dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
