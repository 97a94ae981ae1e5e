"""What is shared in the working folder by processes that know nothing of each other."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pinterest_pipeline.config import load_settings
from pinterest_pipeline.workspace import Workspace

_NO_PROCESS = 2**31 - 1
"""More than any system gives out as an id."""


def test_commands_that_start_at_once_remove_what_a_killed_one_left(tmp_path: Path) -> None:
    workspace = Workspace(load_settings(data=tmp_path))
    together = threading.Barrier(2)

    def start(_: int) -> None:
        together.wait()
        with workspace.engine():
            pass

    left = workspace.spill / f"objects-{_NO_PROCESS}-abc"
    left.mkdir(parents=True)
    for number in range(500):
        (left / f"{number}.json").touch()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(start, range(2)))
    assert not left.exists()
