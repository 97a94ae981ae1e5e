"""A machine that lacks something."""

import builtins
import importlib.util
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of packages that cannot be imported meanwhile."""
    missing: set[str] = set()
    real = builtins.__import__

    def imported(name: str, *others: Any) -> Any:
        if name.partition(".")[0] in missing:
            raise ImportError(name)
        return real(name, *others)

    monkeypatch.setattr(builtins, "__import__", imported)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else find(name))
    return missing


def java_stand_in(folder: Path, version: str) -> Path:
    """A program `java` that says nothing but its version."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "java"
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    path.chmod(0o755)
    return path
