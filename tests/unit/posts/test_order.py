from itertools import islice

import pytest

from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.posts.order import LAST_ROW, last_row, original


def test_the_original_order_is_the_one_of_the_real_emulator() -> None:
    first = list(original(LAST_ROW, count=10))
    assert first == [7528, 2863, 5730, 8304, 8731, 1313, 4315, 10794, 5494, 5069]


@pytest.mark.parametrize(("posts", "distinct"), [(1_000, 963), (10_000, 6_571)])
def test_rows_come_again_as_often_as_in_the_original(posts: int, distinct: int) -> None:
    assert len(set(original(LAST_ROW, count=posts))) == distinct


def test_the_order_has_no_end_unless_told() -> None:
    assert len(list(islice(original(5), 10_000))) == 10_000
    assert list(original(5, count=0)) == []


def test_another_seed_gives_another_order() -> None:
    assert list(original(LAST_ROW, seed=1, count=10)) != list(original(LAST_ROW, seed=2, count=10))


@pytest.mark.parametrize(
    ("rows", "wanted", "expected"),
    [(11_154, None, 11_000), (168, None, 167), (11_154, 11_153, 11_153), (1, 0, 0)],
)
def test_the_last_row(rows: int, wanted: int | None, expected: int) -> None:
    assert last_row(rows, wanted) == expected


@pytest.mark.parametrize("wanted", [-1, 168])
def test_a_last_row_outside_the_table_is_refused(wanted: int) -> None:
    with pytest.raises(SettingError, match="rows 0 to 167"):
        last_row(168, wanted)
