import gzip
import json
from collections.abc import Callable
from datetime import datetime
from hashlib import sha512
from pathlib import Path
from typing import Any

import pytest

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.posts.file import read_posts
from pinterest_pipeline.records.codec import wire_row
from pinterest_pipeline.records.schemas import Post

Make = Callable[..., Post]
REAL_POSTS = Path(__file__).parents[3] / "../shared/data/real_posts_168.jsonl.gz"


def line(post: Post, **changes: Any) -> dict[str, Any]:
    """A post as a line of a file; `geo_country="x"` changes one cell."""
    found: dict[str, Any] = {"pin": wire_row(post["pin"]), "geo": wire_row(post["geo"])}
    found["user"] = wire_row(post["user"])
    for name, value in changes.items():
        table, column = name.split("_", 1)
        found[table][column] = value
    return found


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in lines), encoding="utf-8")
    return path


def test_posts_come_as_the_source_holds_them(tmp_path: Path, post: Make) -> None:
    posts = [post(3), post(1), post(3)]
    assert list(read_posts(write(tmp_path / "posts.jsonl", *map(line, posts)))) == posts


def test_gzip_is_known_by_its_content(tmp_path: Path, post: Make) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(gzip.compress(json.dumps(line(post(3))).encode()))
    assert list(read_posts(path)) == [post(3)]


def test_no_more_than_count_is_read(tmp_path: Path, post: Make) -> None:
    path = write(tmp_path / "posts.jsonl", line(post(1)), line(post(2)))
    with path.open("a") as end:
        end.write("no post")
    assert list(read_posts(path, 2)) == [post(1), post(2)]
    assert list(read_posts(path, 0)) == []


@pytest.mark.parametrize(
    "text",
    ["2020-08-28 03:52:47", "2020-08-28T03:52:47", "08/28/2020, 03:52:47", "2020-08-28T05:52:47.9+02:00"],
)
def test_every_date_form_is_read(tmp_path: Path, post: Make, text: str) -> None:
    (found,) = read_posts(write(tmp_path / "posts.jsonl", line(post(1), geo_timestamp=text)))
    assert found["geo"]["timestamp"] == datetime(2020, 8, 28, 3, 52, 47)  # noqa: DTZ001


def test_either_name_of_the_key_is_read_and_blank_lines_are_no_posts(tmp_path: Path, post: Make) -> None:
    entry = line(post(7))
    entry["pin"]["ind"] = entry["pin"].pop("index")
    entry["user"]["index"] = entry["user"].pop("ind")
    path = write(tmp_path / "posts.jsonl", entry)
    path.write_text("\n  \n" + path.read_text())
    assert list(read_posts(path)) == [post(7)]


def test_missing_columns_are_null_others_are_left_out_numbers_become_texts(
    tmp_path: Path, post: Make
) -> None:
    entry = line(post(7), pin_colour="red", pin_follower_count=437, geo_latitude=5, pin_downloaded=True)
    del entry["pin"]["title"]
    (found,) = read_posts(write(tmp_path / "posts.jsonl", entry))
    assert found["pin"] == post(7, title=None, follower_count="437")["pin"]
    assert found["geo"]["latitude"] == 5.0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"geo_ind": 8}, "not of the same post"),
        ({"geo_timestamp": "yesterday"}, r"geo\.timestamp must be a date and time, got 'yesterday'"),
        ({"geo_timestamp": 5}, r"geo\.timestamp must be a date and time, got 5"),
        ({"user_age": "old"}, r"user\.age must be an integer, got 'old'"),
        ({"user_age": 2**63}, r"user\.age must be an integer"),
        ({"user_age": 20.5}, r"user\.age must be an integer"),
        ({"geo_latitude": "north"}, r"geo\.latitude must be a number"),
        ({"pin_title": ["a"]}, r"pin\.title must be a text"),
        ({"pin_index": None}, "pin has no index"),
        ({"pin_index": -1}, "pin has no index"),
    ],
)
def test_a_wrong_cell_is_named(tmp_path: Path, post: Make, changes: dict[str, Any], problem: str) -> None:
    path = write(tmp_path / "posts.jsonl", line(post(1)), line(post(7), **changes))
    with pytest.raises(BadInput, match=f"line 2 of .*{problem}"):
        list(read_posts(path))


@pytest.mark.parametrize("text", ["no post", "[]", '{"pin": {}}', '{"pin": {"a', "\\ud800", '"\xff'])
def test_a_line_that_is_no_post_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=r"line 1 of .* is no post"):
        list(read_posts(path))


def test_a_gzip_file_cut_in_half_is_named_with_the_last_good_line(tmp_path: Path, post: Make) -> None:
    lines = [json.dumps(line(post(ind, title=sha512(str(ind).encode()).hexdigest()))) for ind in range(500)]
    whole = gzip.compress("\n".join(lines).encode())
    path = tmp_path / "posts.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"line \d+"):
        list(read_posts(path))


def test_a_damaged_gzip_file_is_named(tmp_path: Path, post: Make) -> None:
    whole = bytearray(gzip.compress(json.dumps(line(post(1))).encode()))
    whole[-8] ^= 0xFF  # the checksum
    path = tmp_path / "posts.jsonl.gz"
    path.write_bytes(whole)
    with pytest.raises(BadInput, match="cut off or damaged"):
        list(read_posts(path))


def test_a_plain_file_cut_in_half_names_the_line(tmp_path: Path, post: Make) -> None:
    path = write(tmp_path / "posts.jsonl", line(post(1)), line(post(2)))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadInput, match=r"line 2 of .* is no post.*cut off"):
        list(read_posts(path))


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.jsonl cannot be read: No such file"):
        list(read_posts(tmp_path / "nowhere.jsonl"))
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(BadInput, match="holds no posts"):
        list(read_posts(tmp_path / "empty.jsonl"))


@pytest.mark.skipif(not REAL_POSTS.exists(), reason="the real posts are not beside this repository")
def test_the_real_posts_stand_in_the_original_order() -> None:
    from pinterest_pipeline.posts.order import LAST_ROW, original

    posts = list(read_posts(REAL_POSTS))
    assert len(posts) == 168
    assert [post["pin"]["index"] for post in posts][:10] == list(original(LAST_ROW, count=10))
