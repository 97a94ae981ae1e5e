"""Names tell posters apart, as people's and shops' names do."""

import pytest

from pinterest_pipeline.posts.distributions import source_of_draws
from pinterest_pipeline.posts.poster_names import LONGEST, poster_name


def test_no_two_posters_share_a_name() -> None:
    draws = source_of_draws("names", 1)
    names = {poster_name(number, [draws.random() for _ in range(5)]) for number in range(1, 100_001)}
    assert len(names) == 100_000


@pytest.mark.parametrize("choice", [0.0, 0.35, 0.999])
@pytest.mark.parametrize("kind", [0.1, 0.6, 0.9, 0.99])
def test_the_longest_names_keep_what_tells_them_apart(kind: float, choice: float) -> None:
    names = {poster_name(number, [kind, 0.0, choice, 0.0, 0.0]) for number in range(1, 2001)}
    assert len(names) == 2000
    assert max(map(len, names)) <= LONGEST + 1
