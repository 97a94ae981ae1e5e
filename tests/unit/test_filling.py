import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pinterest_pipeline.config import Settings
from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.filling import fill


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    creds = tmp_path / "db_creds.yaml"
    creds.write_text(f"URL: sqlite:///{tmp_path / 'posts.sqlite'}\n")
    return Settings(data=tmp_path, db_creds=creds)


def run(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(settings.data / "posts.sqlite")) as connection, connection:
        return connection.execute(statement).fetchall()


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE user_data",
        "ALTER TABLE pinterest_data DROP COLUMN tag_list",
        "DELETE FROM pinterest_data",
    ],
)
def test_posts_that_cannot_be_sent_are_not_replaced_unasked(settings: Settings, damage: str) -> None:
    fill(settings, None, 7, 100, replace=False)
    run(settings, damage)
    with pytest.raises(BadInput, match="holds 7 posts already") as raised:
        fill(settings, None, 2, 100, replace=False)
    assert "--replace" in raised.value.remedy
    assert run(settings, "SELECT COUNT(*) FROM geolocation_data") == [(7,)]
    fill(settings, None, 2, 100, replace=True)
    assert run(settings, "SELECT COUNT(*) FROM geolocation_data") == [(2,)]


def test_what_a_broken_fill_left_is_replaced(settings: Settings) -> None:
    fill(settings, None, 7, 100, replace=False)
    run(settings, "CREATE TABLE pinterest_fill_under_way (since TEXT)")
    fill(settings, None, 2, 100, replace=False)
    assert run(settings, "SELECT COUNT(*) FROM pinterest_data") == [(2,)]


def test_a_post_that_comes_twice_is_one_of_the_posts_that_are_said_to_be_there(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = '{"pin": {"index": 5}, "geo": {"ind": 5}, "user": {"ind": 5}}\n'
    posts = settings.data / "posts.jsonl"
    posts.write_text(rows + rows.replace("5", "6") + rows)
    fill(settings, posts, None, 100, replace=False)
    assert capfd.readouterr().out.startswith("2 posts are in sqlite:///")
