"""Runs `pinpipe` as a person does: a process of its own, in a folder, without our own settings."""

import os
import subprocess
import sys
from pathlib import Path


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PINPIPE_")}


def pinpipe(
    folder: Path, *arguments: str, settings: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pinterest_pipeline", *arguments],
        cwd=folder,
        env=environment() | (settings or {}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def task_state(folder: Path) -> str:
    """The letter of a process or thread in its folder of /proc (proc(5)); empty when it is gone."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
