"""The source database in MariaDB, as the original's RDS has it."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, text

from pinterest_pipeline.errors import BadInput, SettingError
from pinterest_pipeline.posts.database import PostDatabase
from pinterest_pipeline.posts.file import read_posts
from pinterest_pipeline.posts.generator import generate
from pinterest_pipeline.records.schemas import Post

pytestmark = pytest.mark.services

REAL_POSTS = Path(__file__).parents[2] / "../shared/data/real_posts_168.jsonl.gz"


@pytest.fixture
def database(mariadb: URL) -> Iterator[PostDatabase]:
    with PostDatabase(mariadb) as database:
        yield database


def read_back(database: PostDatabase) -> list[Post]:
    return [post for chunk in database.all_posts() for post in chunk]


def test_generated_posts_are_read_back_as_they_were_sent(database: PostDatabase) -> None:
    posts = list(generate())
    assert database.fill(posts) == len(posts)
    assert database.rows() == len(posts)
    assert read_back(database) == posts
    (drawn,) = database.original_order(count=4)
    assert drawn == [posts[ind] for ind in (7528, 2863, 5730, 8304)]


@pytest.mark.skipif(not REAL_POSTS.exists(), reason="the real posts are not beside this repository")
def test_real_posts_are_read_back_as_they_were_sent(database: PostDatabase) -> None:
    posts = list(read_posts(REAL_POSTS))
    database.fill(posts)
    assert database.posts([post["pin"]["index"] for post in posts]) == posts


def test_a_second_fill_replaces_the_first_and_the_later_of_two_stays(database: PostDatabase) -> None:
    posts = list(islice(generate(), 10))
    database.fill(posts)
    newer = posts[3] | {"pin": posts[3]["pin"] | {"title": "🎨 newer"}}
    database.fill([*posts[:5], newer])
    assert read_back(database) == [*posts[:3], newer, posts[4]]


def test_dates_and_numbers_that_are_none_come_as_they_are(mariadb: URL, database: PostDatabase) -> None:
    (post,) = generate(1)
    database.fill([post])
    engine = create_engine(mariadb, connect_args={"password": str(mariadb.password).encode()})
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE geolocation_data MODIFY timestamp TEXT, MODIFY latitude TEXT"))
        connection.execute(text("UPDATE geolocation_data SET timestamp = 'some day', latitude = 'north'"))
    engine.dispose()
    odd = post["geo"] | {"timestamp": "some day", "latitude": "north"}
    assert read_back(database) == [{**post, "geo": odd}]


def test_an_interrupted_fill_is_refused(database: PostDatabase) -> None:
    def broken() -> Iterator[Post]:
        yield from islice(generate(), 10)
        raise BadInput("the file ends here")

    with pytest.raises(BadInput, match="ends here"):
        database.fill(broken())
    with pytest.raises(BadInput, match="did not end"):
        database.rows()
    database.fill(generate(1))
    assert database.rows() == 1


@pytest.mark.parametrize("wrong", [{"password": "s3cret"}, {"database": "nowhere"}])
def test_a_refused_login_is_named_without_the_password(mariadb: URL, wrong: dict[str, str]) -> None:
    url = mariadb.set(**wrong)  # type: ignore[arg-type]
    with PostDatabase(url) as database, pytest.raises(SettingError, match="refuses us") as found:
        database.rows()
    assert str(url.password) not in str(found.value)
