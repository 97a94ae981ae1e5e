"""Real posts with known answers, every table and column."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.engines.base import Engine
from pinterest_pipeline.records.names import BRANCHES, Branch
from tests import oracle
from tests.landing import answers_of

DATA = Path(__file__).parents[2] / "../shared/data"
POSTS = DATA / "real_posts_168.jsonl.gz"
ANSWERS = DATA / "real_answers_88_168.json"

pytestmark = pytest.mark.skipif(not POSTS.exists(), reason=f"the real posts are not here: {POSTS.name}")


@pytest.fixture(scope="module")
def posts() -> list[dict[str, Any]]:
    with gzip.open(POSTS, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ANSWERS.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("count", [88, 168])
@pytest.mark.parametrize("branch", BRANCHES)
def test_the_engine_gives_the_known_answers(
    engine: Engine,
    tmp_path: Path,
    posts: list[dict[str, Any]],
    expected: dict[str, Any],
    branch: Branch,
    count: int,
) -> None:
    answers = answers_of(engine, tmp_path, branch, posts[:count])
    assert list(answers) == list(expected[str(count)])
    for name, rows in expected[str(count)].items():
        assert answers[name] == rows, name
        assert [list(row) for row in answers[name]] == [list(row) for row in rows], name


@pytest.mark.parametrize("count", [88, 168])
def test_the_oracle_gives_the_known_answers(
    posts: list[dict[str, Any]], expected: dict[str, Any], count: int
) -> None:
    assert oracle.answers(posts[:count]) == expected[str(count)]


def test_sending_twice_or_in_another_order_changes_no_answer(
    engine: Engine, tmp_path: Path, posts: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    shuffled = posts * 2
    random.Random(7).shuffle(shuffled)
    assert answers_of(engine, tmp_path, "stream", shuffled) == expected["168"]
