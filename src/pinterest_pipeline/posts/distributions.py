"""The figures of the real posts that generated ones follow, and the ways to draw from them."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import sqrt
from random import Random
from typing import Final, NamedTuple

# Posts per category of the real data; indexes run through the categories in this order.
CATEGORIES: Final[dict[str, int]] = {
    "art": 892,
    "beauty": 746,
    "christmas": 999,
    "diy-and-crafts": 830,
    "education": 863,
    "event-planning": 748,
    "finance": 786,
    "home-decor": 861,
    "mens-fashion": 852,
    "quotes": 910,
    "tattoos": 971,
    "travel": 858,
    "vehicles": 838,
}
REAL_COUNT: Final = sum(CATEGORIES.values())

NO_TITLE: Final = "No Title Data Available"
NO_STORY: Final = "No description available Story format"
NO_DESCRIPTION: Final = "No description available"
NO_USER: Final = "User Info Error"
NO_TAGS: Final = "N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e"
NO_IMAGE: Final = "Image src error."

IMAGE: Final = "image"
STORY: Final = "multi-video(story page format)"
VIDEO: Final = "video"


class Dirt(NamedTuple):
    """What the scraper failed to read in one post. `description` is the text it left instead, if any."""

    kind: str
    description: str | None = None
    no_tags: bool = False
    no_image: bool = False
    no_title: bool = False
    no_user: bool = False


# How often each combination occurs in 4,953 real posts.
DIRT: Final[dict[Dirt, int]] = {
    Dirt(IMAGE): 4339,
    Dirt(STORY, NO_STORY): 238,
    Dirt(VIDEO): 150,
    Dirt(STORY, NO_STORY, no_image=True): 80,
    Dirt(IMAGE, NO_DESCRIPTION): 67,
    Dirt(STORY, NO_STORY, no_tags=True, no_image=True, no_title=True, no_user=True): 35,
    Dirt(IMAGE, no_tags=True): 31,
    Dirt(STORY, NO_STORY, no_tags=True): 6,
    Dirt(VIDEO, NO_DESCRIPTION): 4,
    Dirt(VIDEO, no_tags=True): 3,
}
_DIRT_TOTAL: Final = sum(DIRT.values())

# All posts without a poster bear one name, so they are one poster with one person: their number is fixed by
# the count and every other combination is drawn.
UNREAD_POSTER: Final = next(dirt for dirt in DIRT if dirt.no_user)
_READ: Final = {dirt: weight for dirt, weight in DIRT.items() if not dirt.no_user}
READ_DIRT: Final = tuple(_READ)
READ_DIRT_SHARES: Final = tuple(share / sum(_READ.values()) for share in accumulate(_READ.values()))[:-1]

EMPTY_TITLE_SHARE: Final = 0.0004
# 37 % of all posts, drawn only where there is a description.
CUT_SHARE: Final = 0.37 * _DIRT_TOTAL / sum(w for dirt, w in DIRT.items() if dirt.description is None)
PNG_SHARE: Final = 14 / (14 + 77)

# Posts of a poster: how many posters have that many. The unread poster, one of the real data's large ones,
# is not among them. Within the real data's groups (6-10, 11-19, 20-49, above) the spread is a smooth decline.
POSTERS_BY_POSTS: Final[dict[int, int]] = {
    1: 3869, 2: 640, 3: 272, 4: 156, 5: 88,
    6: 70, 7: 45, 8: 30, 9: 22, 10: 16,
    11: 14, 12: 11, 13: 9, 14: 7, 15: 6, 16: 5, 17: 4, 18: 2, 19: 2,
    20: 3, 21: 3, 22: 3, 24: 3, 26: 3, 28: 2, 31: 2, 34: 2, 37: 2, 40: 2, 43: 1, 46: 1, 49: 1,
    52: 1, 65: 1, 71: 1, 80: 1, 92: 1, 104: 1, 108: 1, 118: 1, 149: 1, 244: 1,
}  # fmt: skip

# Lengths of texts in characters: (share of texts that are shorter, length), straight lines in between.
TITLE_LENGTHS: Final = (
    (0.0, 1),
    (0.005, 9),
    (0.1, 23),
    (0.25, 35),
    (0.5, 50),
    (0.75, 64),
    (0.9, 80),
    (0.99, 110),
    (1.0, 199),
)
# Of descriptions that were not cut; the cut ones all have CUT_LENGTH or one less.
DESCRIPTION_LENGTHS: Final = ((0.0, 3), (0.17, 37), (0.42, 77), (0.84, 149), (0.995, 179), (1.0, 293))
CUT_LENGTH: Final = 179


def unread_posts(count: int) -> int:
    """How many of `count` posts have no readable poster."""
    return round(count * DIRT[UNREAD_POSTER] / _DIRT_TOTAL)


def source_of_draws(purpose: str, seed: int) -> Random:
    """A stream of draws of its own per purpose. Use random() and getrandbits(): no Python changes those."""
    return Random(f"{purpose} {seed}")  # noqa: S311 - repeatable posts, no secrets


def draw_dirt(draw: float) -> Dirt:
    return READ_DIRT[bisect_right(READ_DIRT_SHARES, draw)]


class Lengths:
    """Lengths that follow a table of (share shorter, length)."""

    def __init__(self, table: Sequence[tuple[float, int]]) -> None:
        self._shares = [share for share, _ in table]
        self._lengths = [length for _, length in table]

    def at(self, draw: float) -> int:
        """The length that a share `draw`, in [0, 1), of all texts stays below."""
        left = bisect_right(self._shares, draw) - 1
        low, high = self._shares[left], self._shares[left + 1]
        shortest, longest = self._lengths[left], self._lengths[left + 1]
        return shortest + int((draw - low) / (high - low) * (longest - shortest + 1))


class Permutation:
    """A shuffle of 0..count-1 computed number by number, so that nothing of size `count` is held.

    A Feistel network over a grid of about sqrt(count) x sqrt(count) cells: each round shifts one coordinate
    by a random amount that depends on the other. Cells beyond `count` are walked through.
    """

    def __init__(self, count: int, draws: Random) -> None:
        self._count = count
        self._rows = int(sqrt(count)) + 1
        self._columns = -(-count // self._rows) or 1
        self._rounds = [
            (self._shifts(self._columns, self._rows, draws), self._shifts(self._rows, self._columns, draws))
            for _ in range(3)
        ]

    @staticmethod
    def _shifts(size: int, below: int, draws: Random) -> list[int]:
        return [int(draws.random() * below) for _ in range(size)]

    def __getitem__(self, index: int) -> int:
        rows, columns, place = self._rows, self._columns, index
        while True:
            row, column = divmod(place, columns)
            for row_shifts, column_shifts in self._rounds:
                row = (row + row_shifts[column]) % rows
                column = (column + column_shifts[row]) % columns
            place = row * columns + column
            if place < self._count:
                return place
