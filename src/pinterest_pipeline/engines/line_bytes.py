"""How long a line of files may be; the log takes records of any size that it is told."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_USUAL: Final = 8 * 2**20
"""A record of 1 MiB, what the log takes by default, whose every byte is escaped."""
_BLOCK_BYTES: Final = 2**20


def line_bytes(files: Iterable[Path]) -> int:
    """What to tell DuckDB, which stops at a longer line and takes twice as much for each thread.

    At least the usual, else hardly more than the longest line has.
    """
    long = [file for file in files if file.stat().st_size > _USUAL]
    return max([_USUAL, *(size for file in long for size in _block_sizes(file))])


def _block_sizes(file: Path) -> Iterator[int]:
    with file.open("rb") as lines:
        while block := lines.read(_BLOCK_BYTES):
            yield len(block) + len(lines.readline())
