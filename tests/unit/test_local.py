"""Rooms as processes: what is said of one that cannot run, and how one ends."""

import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pinterest_pipeline.config import load_settings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.local import Supervisor

ROOM = """
import sys
from pinterest_pipeline.engines.duckdb import DuckDBEngine
from pinterest_pipeline.local import watch_parent
watch_parent(lambda: print("the parent is gone"))
sys.exit(2)
"""


def test_a_room_that_ends_while_its_parent_lives_says_nothing_of_leaks() -> None:
    room = subprocess.Popen([sys.executable, "-c", ROOM], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert room.stdin is not None
    assert room.stderr is not None
    said = room.stderr.read()  # before standard input ends
    assert (room.wait(), said) == (2, b"")
    room.stdin.close()
    room.stderr.close()


def test_a_room_that_cannot_run_is_named_with_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "DATA": str(tmp_path),
        "GATEWAY__PORT": "0",
        "LOG__HOME": "kafka",
        "KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA__SASL_MECHANISM": "AWS_MSK_IAM",
    }.items():
        monkeypatch.setenv(f"PINPIPE_{name}", value)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "sink.log").write_text("error: of an earlier run\n       with its remedy\n")
    supervisor = Supervisor(load_settings(), ["sink"])
    try:
        with pytest.raises(SettingError) as raised:
            run_until_it_gives_up(supervisor)
    finally:
        supervisor.stop()
    assert raised.value.problem == "sink cannot run: AWS_MSK_IAM needs a region"
    assert raised.value.remedy == "set PINPIPE_KAFKA__REGION, as eu-west-1"


@pytest.mark.parametrize("content", ["", '{"pid": 1, "ga'])
def test_a_state_that_a_power_cut_left_keeps_nobody_from_starting(tmp_path: Path, content: str) -> None:
    (tmp_path / "up.json").write_text(content)
    supervisor = Supervisor(load_settings(data=tmp_path, gateway={"port": 0}), [])
    try:
        assert supervisor.start().startswith("http://127.0.0.1:")
    finally:
        supervisor.stop()


@pytest.mark.parametrize(("host", "name"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_the_address_of_the_gateway_can_be_opened(
    host: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting, value in {"DATA": str(tmp_path), "GATEWAY__HOST": host, "GATEWAY__PORT": "0"}.items():
        monkeypatch.setenv(f"PINPIPE_{setting}", value)
    supervisor = Supervisor(load_settings(), [])
    try:
        url = urlsplit(supervisor.start())
        with socket.create_connection((url.hostname, url.port), timeout=20):
            assert url.netloc == f"{name}:{url.port}"
    finally:
        supervisor.stop()


def run_until_it_gives_up(supervisor: Supervisor) -> None:
    supervisor.start()
    supervisor.run(threading.Event())
