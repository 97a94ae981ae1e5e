"""The S3 server of one's own keeps data, keys and ports, is alone in its folder, dies with its parent."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from pinterest_pipeline.config import ObjectSettings
from pinterest_pipeline.errors import AlreadyRunning, Unavailable
from pinterest_pipeline.objects.base import ObjectStore
from pinterest_pipeline.objects.store import open_store
from pinterest_pipeline.s3server.address import object_settings, read
from pinterest_pipeline.s3server.server import S3Server, is_ready
from tests.command import environment, pinpipe

pytestmark = pytest.mark.services

_SECONDS = 60.0


@contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    server = S3Server(folder)
    try:
        yield server
    finally:
        server.stop()


def store_of(folder: Path) -> ObjectStore:
    return open_store(object_settings(folder, ObjectSettings()), folder)


def test_kill_9_loses_nothing_and_a_restart_changes_no_address(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        store = store_of(tmp_path)
        assert all(store.put_if_absent(f"a/{number}", b"x" * 9_000) for number in range(50))
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        assert not is_ready(tmp_path)
    with running(tmp_path) as second:
        assert second.address == first.address
        assert len(list(store.list("a"))) == 50
        assert store.get("a/49") == b"x" * 9_000


def test_a_port_that_was_taken_meanwhile_is_another_then(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        store_of(tmp_path).put_if_absent("a", b"x")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # its last connections may linger
        other.bind(("127.0.0.1", first.address.ports[0]))
        other.listen()
        with running(tmp_path) as second:
            assert first.address.ports[0] not in second.address.ports
            assert store_of(tmp_path).get("a") == b"x"


def test_a_second_server_of_a_folder_is_refused(tmp_path: Path) -> None:
    with running(tmp_path), pytest.raises(AlreadyRunning, match="stop it first"):
        S3Server(tmp_path)


def test_its_keys_are_its_owners_alone_and_it_listens_on_loopback_only(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        for name in ("server.json", "identities.json"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert server.address.secret_access_key.encode() not in (tmp_path / "weed.log").read_bytes()
        listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        for port in server.address.ports:
            addresses = [line.split()[1] for line in listening.splitlines() if f":{port:04X} 0" in line]
            assert {address.split(":")[0] for address in addresses} <= {"0100007F"}, port


def test_a_server_that_never_ran_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="start it: pinpipe s3"):
        object_settings(tmp_path, ObjectSettings())


def test_the_command_serves_until_it_is_told_to_stop_and_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "pinpipe-data/s3"
    for number in (signal.SIGTERM, signal.SIGKILL):
        arguments = [sys.executable, "-m", "pinterest_pipeline", "s3"]
        command = subprocess.Popen(arguments, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
        wait_until(partial(is_ready, folder), command)
        assert pinpipe(tmp_path, "s3").returncode == 5
        command.send_signal(number)
        command.wait(_SECONDS)
        wait_until(lambda: not is_ready(folder))
        assert read(folder) is not None


def wait_until(is_so: Callable[[], bool], process: "subprocess.Popen[bytes] | None" = None) -> None:
    deadline = time.monotonic() + _SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None
        time.sleep(0.05)


def test_a_demo_on_s3_lands_its_objects_there_and_balances(tmp_path: Path) -> None:
    done = pinpipe(tmp_path, "demo", "--s3", "--count", "60", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["account"]["balanced"]
    assert printed["answers"]["batch"] == printed["answers"]["stream"]
    (folder,) = (tmp_path / "pinpipe-data").glob("demo-*")
    assert not (folder / "objects").exists()
    assert not is_ready(folder / "s3")
    with running(folder / "s3"):
        assert sum(found.size for found in store_of(folder / "s3").list("topics")) > 10_000
        settings = {"PINPIPE_DATA": str(folder), "PINPIPE_OBJECTS__URL": "pinpipe:s3"}
        assert pinpipe(tmp_path, "verify", settings=settings).returncode == 0
    failed = pinpipe(tmp_path, "verify", settings=settings | {"PINPIPE_OBJECTS__RETRY_SECONDS": "0"})
    assert failed.returncode == 3
    assert "does not answer" in failed.stderr
