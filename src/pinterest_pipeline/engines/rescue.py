"""Files of lines in which fields have drifted, copied with what is rescued: to look for drift is quick."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pinterest_pipeline.cleaning.drift import rescued_block
from pinterest_pipeline.records.names import Table

_BLOCK_BYTES: Final = 2**20


def rescued_files(table: Table, files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """The file to read for each of `files`, and that file: itself, or a copy in `folder` if it has drifted.

    A copy has the same lines in the same order. Raises OSError.
    """
    return {_copied(table, file, folder) if _has_drifted(table, file) else file: file for file in files}


def _has_drifted(table: Table, file: Path) -> bool:
    return any(rescued_block(table, block) is not None for block in _blocks(file))


def _copied(table: Table, file: Path, folder: Path) -> Path:
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".json", delete=False) as copy:
        for block in _blocks(file):
            copy.write(rescued_block(table, block) or block)
    return Path(copy.name)


def _blocks(file: Path) -> Iterator[bytes]:
    """Whole lines, about a megabyte at a time."""
    with file.open("rb") as lines:
        while block := lines.read(_BLOCK_BYTES):
            yield block + lines.readline()
