"""Which files of a folder this process has open."""

from contextlib import suppress
from pathlib import Path

import pytest

_DESCRIPTORS = Path("/proc/self/fd")


def open_below(folder: Path) -> list[Path]:
    """The files below `folder` that are open, one entry for each descriptor."""
    if not _DESCRIPTORS.exists():
        pytest.skip("asks Linux for its open files")
    found = []
    for descriptor in _DESCRIPTORS.iterdir():
        with suppress(OSError):  # another thread closed it meanwhile
            path = descriptor.readlink()
            if path.is_relative_to(folder):
                found.append(path)
    return sorted(found)
