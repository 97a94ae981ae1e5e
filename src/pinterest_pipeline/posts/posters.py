"""Who posts: each poster has a number, and everything about them follows from the seed and that number.

So nothing about a poster is held between two of their posts, however many posts there are.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from hashlib import blake2b
from itertools import accumulate
from statistics import NormalDist
from typing import Final, NamedTuple

from faker.providers.address.en_US import Provider as Address
from faker.providers.person.en_US import Provider as Person

from pinterest_pipeline.posts.distributions import NO_USER, POSTERS_BY_POSTS, unread_posts
from pinterest_pipeline.posts.poster_names import poster_name

UNREAD_NUMBER: Final = 0

FIRST_JOINED: Final = datetime(2015, 10, 21)  # noqa: DTZ001 - the source keeps naive datetimes
JOINED_SECONDS: Final = int(timedelta(days=730).total_seconds())
YOUNGEST: Final = 20
OLDEST: Final = 60

# log10 of the followers: a normal curve whose halves differ in width. That gives the real median (32,000),
# the mean (4.33) and sd (1.41) of the logarithm, and the real shares of plain, k and M at once. The upper
# half ends at 15 million.
_FOLLOWERS_MIDDLE: Final = 4.505
_FOLLOWERS_BELOW: Final = 1.59
_FOLLOWERS_ABOVE: Final = 1.1
_NORMAL: Final = NormalDist()
_HIGHEST_DRAW: Final = _NORMAL.cdf((7.177 - _FOLLOWERS_MIDDLE) / _FOLLOWERS_ABOVE)

_DRAWS: Final = struct.Struct("<13I")  # person and place: 7, followers: 1, name: 5


class Poster(NamedTuple):
    """The name and the followers on the posts, and the one person and place behind them."""

    name: str
    followers: str
    first_name: str
    last_name: str
    age: int
    date_joined: datetime
    latitude: float
    longitude: float
    country: str


class Slots:
    """Which poster each of `count` slots belongs to, poster after poster: the unread one first.

    Beyond the real number of posts the real posters' sizes repeat; below it they are cut short. Their order
    spreads every size evenly, so that any number of slots has about the real mix.
    """

    def __init__(self, count: int) -> None:
        self._unread = unread_posts(count)
        self._rest = count - self._unread
        self._sizes = _evenly_spread(POSTERS_BY_POSTS)
        self._ends = list(accumulate(self._sizes))

    def __getitem__(self, slot: int) -> tuple[int, int]:
        """The number of the slot's poster, and how many slots are theirs."""
        if slot < self._unread:
            return UNREAD_NUMBER, self._unread
        repeat, place = divmod(slot - self._unread, self._ends[-1])
        which = bisect_right(self._ends, place)
        size = self._sizes[which]
        start = repeat * self._ends[-1] + self._ends[which] - size
        return 1 + repeat * len(self._sizes) + which, min(size, self._rest - start)


def _evenly_spread(how_often: dict[int, int]) -> list[int]:
    places = [((nth + 0.5) / times, size) for size, times in how_often.items() for nth in range(times)]
    return [size for _, size in sorted(places)]


class Names(NamedTuple):
    """Names in alphabetical order, each with the share of draws that fall on it or on one before."""

    names: list[str]
    shares: list[float]

    @classmethod
    def of(cls, weights: Iterable[tuple[str, float]]) -> "Names":
        ordered = sorted(weights)
        sums = list(accumulate(weight for _, weight in ordered))
        return cls([name for name, _ in ordered], [part / sums[-1] for part in sums[:-1]])

    def at(self, draw: float) -> str:
        return self.names[bisect_right(self.shares, draw)]


@cache
def _people() -> tuple[Names, Names, Names]:
    """First names, last names and countries as Faker draws them (a country listed twice counts twice)."""
    return (
        Names.of(Person.first_names.items()),
        Names.of(Person.last_names.items()),
        Names.of((country, 1.0) for country in Address.countries),
    )


def six_digits(value: float) -> float:
    """A number as MySQL's FLOAT shows it."""
    return float(f"{value:.6g}")


def printed_followers(followers: int) -> str:
    """Digits below a thousand, then whole thousands as `12k`, then whole millions as `3M`."""
    if followers < 1000:
        return str(followers)
    return f"{followers // 1000}k" if followers < 1_000_000 else f"{followers // 1_000_000}M"


def followers_at(draw: float) -> int:
    """The follower count that a share `draw`, in (0, 1), of the posters stay below."""
    if draw < 0.5:
        return int(10 ** (_FOLLOWERS_MIDDLE + _FOLLOWERS_BELOW * _NORMAL.inv_cdf(draw)))
    capped = 0.5 + (draw - 0.5) * (_HIGHEST_DRAW - 0.5) / 0.5
    return int(10 ** (_FOLLOWERS_MIDDLE + _FOLLOWERS_ABOVE * _NORMAL.inv_cdf(capped)))


class Posters:
    """The posters of one seed, worked out anew whenever asked for."""

    def __init__(self, seed: int) -> None:
        self._key = str(seed).encode()
        self._first_names, self._last_names, self._countries = _people()

    def poster(self, number: int, posts: int) -> Poster:
        """Poster `number`, who has `posts` posts.

        Each fact about the person is the least of `posts` independent draws, as the real data's are. It is
        drawn in one go: the least of n draws from a distribution lies where 1 - (1 - u)^(1/n) lies in it.
        """
        digest = blake2b(b"%d/%s" % (number, self._key), digest_size=_DRAWS.size).digest()
        draws = [(draw + 0.5) * 2**-32 for draw in _DRAWS.unpack(digest)]
        power = 1.0 / posts
        first, last, age, joined, latitude, longitude, country = (
            draws[:7] if posts == 1 else [1.0 - (1.0 - draw) ** power for draw in draws[:7]]
        )
        unread = number == UNREAD_NUMBER
        return Poster(
            NO_USER if unread else poster_name(number, draws[8:]),
            NO_USER if unread else printed_followers(followers_at(draws[7])),
            self._first_names.at(first),
            self._last_names.at(last),
            YOUNGEST + int(age * (OLDEST - YOUNGEST + 1)),
            FIRST_JOINED + timedelta(0, int(joined * JOINED_SECONDS)),
            six_digits(180 * latitude - 90),
            six_digits(360 * longitude - 180),
            self._countries.at(country),
        )
