"""Everything about a poster follows from the seed, their number and how many posts they have."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from statistics import median

import pytest

from pinterest_pipeline.posts.posters import Poster, Posters, Slots, followers_at, printed_followers


def test_a_poster_is_the_same_whenever_asked_for() -> None:
    posters = Posters(seed=1)
    first = [posters.poster(number, 3) for number in range(50)]
    assert [Posters(seed=1).poster(number, 3) for number in reversed(range(50))] == first[::-1]
    assert not {each.date_joined for each in first} & {
        Posters(seed=2).poster(n, 3).date_joined for n in range(50)
    }


def test_a_person_is_the_least_of_as_many_draws_as_they_have_posts() -> None:
    """The mean of the least of n uniform draws lies 1/(n+1) of the way up; the drawing must keep that law."""
    posters = Posters(seed=1)
    for posts in (1, 2, 10, 100):
        people = [posters.poster(number, posts) for number in range(1, 1001)]
        expected = 1 / (posts + 1)
        for facts in (
            [(each.latitude + 90) / 180 for each in people],
            [(each.longitude + 180) / 360 for each in people],
            [(each.date_joined - datetime.fromisoformat("2015-10-21")).days / 730 for each in people],
        ):
            assert sum(facts) / len(facts) == pytest.approx(expected, rel=0.15)


def test_names_and_countries_of_busy_posters_come_early_in_the_alphabet() -> None:
    posters = Posters(seed=1)

    def middle(posts: int, fact: Callable[[Poster], str]) -> str:
        return sorted(fact(posters.poster(number, posts)) for number in range(1, 400))[200]

    facts: Iterable[Callable[[Poster], str]] = (
        lambda each: each.first_name,
        lambda each: each.last_name,
        lambda each: each.country,
    )
    for fact in facts:
        assert middle(1, fact) > middle(3, fact) > middle(60, fact)


def test_followers_have_the_real_middle_and_top() -> None:
    drawn = [followers_at((nth + 0.5) / 20000) for nth in range(20000)]
    assert median(drawn) == pytest.approx(32_000, rel=0.02)
    assert 14_000_000 < max(drawn) < 16_000_000
    assert drawn == sorted(drawn)


@pytest.mark.parametrize(
    ("followers", "printed"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (12_999, "12k"),
        (999_999, "999k"),
        (1_000_000, "1M"),
        (3_900_000, "3M"),
    ],
)
def test_printed_followers(followers: int, printed: str) -> None:
    assert printed_followers(followers) == printed


@pytest.mark.parametrize("count", [1, 70, 71, 500, 11154, 25_000])
def test_slots_give_every_poster_as_many_slots_as_they_say(count: int) -> None:
    slots = Slots(count)
    owners = [slots[slot] for slot in range(count)]
    said = dict(owners)
    assert Counter(number for number, _ in owners) == said
    assert [number for number, _ in owners] == sorted(number for number, _ in owners)
