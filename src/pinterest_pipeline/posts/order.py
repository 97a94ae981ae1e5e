"""The order of posts (pure): which row of the source comes next."""

import random
from collections.abc import Iterator
from itertools import islice
from typing import Final

from pinterest_pipeline.errors import SettingError

SEED: Final = 100
LAST_ROW: Final = 11_000
"""The last row that the original draws from; the rows after it never travel there."""


def original(last_row: int, seed: int = SEED, count: int | None = None) -> Iterator[int]:
    """Row numbers 0..last_row as the original draws them, with replacement; endless when count is None."""
    return islice(_drawn(last_row, seed), count)


def _drawn(last_row: int, seed: int) -> Iterator[int]:
    draw = random.Random(seed)  # noqa: S311 -- the original's own generator, no secret
    while True:
        draw.randrange(0, 2)  # the original's pause of 0 or 1 s: drawn to keep its order, not waited for
        yield draw.randint(0, last_row)


def last_row(rows: int, wanted: int | None = None) -> int:
    """The last row to draw from a table of so many rows; raises SettingError when it is not in there."""
    if wanted is None:
        return min(LAST_ROW, rows - 1)
    if not 0 <= wanted < rows:
        raise SettingError(f"the last row is to be {wanted}, but the source has rows 0 to {rows - 1}")
    return wanted
