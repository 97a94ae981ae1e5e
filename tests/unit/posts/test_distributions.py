"""Shuffles and lengths that follow a table."""

from collections import Counter

import pytest

from pinterest_pipeline.posts.distributions import (
    POSTERS_BY_POSTS,
    REAL_COUNT,
    Lengths,
    Permutation,
    draw_dirt,
    source_of_draws,
    unread_posts,
)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50, 1000, 4097])
def test_a_permutation_reaches_every_number_once(count: int) -> None:
    permutation = Permutation(count, source_of_draws("test", 1))
    assert sorted(permutation[index] for index in range(count)) == list(range(count))


def test_a_permutation_differs_by_its_draws_and_leaves_no_runs() -> None:
    one, other = (Permutation(1000, source_of_draws("test", seed)) for seed in (1, 2))
    assert sum(one[index] == other[index] for index in range(1000)) < 20
    assert len(Counter(one[index + 1] - one[index] for index in range(999))) > 500


def test_lengths_lie_on_the_lines_of_their_table() -> None:
    lengths = Lengths([(0.0, 1), (0.5, 11), (1.0, 101)])
    assert [lengths.at(draw) for draw in (0.0, 0.25, 0.5, 0.75, 0.999999)] == [1, 6, 11, 56, 101]


def test_every_draw_gives_a_dirt_with_a_poster() -> None:
    assert not any(draw_dirt(nth / 1000).no_user for nth in range(1000))


def test_the_posters_of_the_real_data_have_all_its_posts() -> None:
    posts = sum(size * posters for size, posters in POSTERS_BY_POSTS.items())
    assert posts + unread_posts(REAL_COUNT) == REAL_COUNT
