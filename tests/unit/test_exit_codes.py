"""What a command ends with when nobody listens, or when files of its own are damaged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import environment, pinpipe


@pytest.mark.parametrize("command", ["settings", "settings --json"])
def test_a_command_whose_reader_is_gone_ends_with_141(command: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, "-m", "pinterest_pipeline", *command.split()],
        cwd=tmp_path,
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("command", ["status", "doctor"])
@pytest.mark.parametrize("content", ["", "[]"])
def test_a_damaged_state_of_up_is_named(command: str, content: str, tmp_path: Path) -> None:
    data = tmp_path / "pinpipe-data"
    data.mkdir()
    (data / "up.json").write_text(content)
    ended = pinpipe(tmp_path, command)
    assert ended.returncode == 4
    assert "up.json" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_more_threads_than_a_machine_has_are_refused_at_start(tmp_path: Path) -> None:
    ended = pinpipe(tmp_path, "analyse", settings={"PINPIPE_ENGINE__THREADS": "9999999"})
    assert ended.returncode == 2
    assert "THREADS" in ended.stderr
