"""Generated posts have the real posts' shape (the figures are those of 11,154 real posts)."""

import random
import re
import subprocess
import sys
import tracemalloc
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from itertools import islice
from statistics import median
from typing import Any
from uuid import UUID

import pytest

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.posts.generator import category_ranges, generate
from pinterest_pipeline.records.schemas import SOURCE_COLUMNS, Post

REAL_CATEGORIES = {
    "art": 892, "beauty": 746, "christmas": 999, "diy-and-crafts": 830, "education": 863,
    "event-planning": 748, "finance": 786, "home-decor": 861, "mens-fashion": 852, "quotes": 910,
    "tattoos": 971, "travel": 858, "vehicles": 838,
}  # fmt: skip
STORY = "multi-video(story page format)"
NO_STORY = "No description available Story format"
NO_DESCRIPTION = "No description available"
NO_TAGS = "N,o, ,T,a,g,s, ,A,v,a,i,l,a,b,l,e"
CUT_END = "…\u00a0"

Pin = dict[str, Any]


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    return list(generate())


@pytest.fixture(scope="module")
def pins(posts: list[Post]) -> list[Pin]:
    return [post["pin"] for post in posts]


@pytest.fixture(scope="module")
def by_poster(posts: list[Post]) -> dict[str, list[Post]]:
    groups = defaultdict(list)
    for post in posts:
        groups[post["pin"]["poster_name"]].append(post)
    return groups


def share(pins: list[Pin], holds: Callable[[Pin], bool]) -> float:
    """In percent."""
    return 100 * sum(map(holds, pins)) / len(pins)


def person(post: Post) -> tuple[Any, ...]:
    geo = [value for name, value in post["geo"].items() if name not in ("ind", "timestamp")]
    return (*geo, *(value for name, value in post["user"].items() if name != "ind"))


def test_it_makes_the_real_number_of_posts_by_default(posts: list[Post]) -> None:
    assert [post["pin"]["index"] for post in posts] == list(range(11154))
    assert all(post["geo"]["ind"] == post["user"]["ind"] == post["pin"]["index"] for post in posts)


def test_rows_have_the_source_columns_in_their_order_and_types(posts: list[Post]) -> None:
    python = {"int": int, "text": str, "float": float, "datetime": datetime}
    expected = {
        table: {name: python[kind] for name, kind in columns.items()}
        for table, columns in SOURCE_COLUMNS.items()
    }
    for post in posts:
        rows: dict[str, dict[str, Any]] = {"pin": post["pin"], "geo": post["geo"], "user": post["user"]}
        for table, columns in SOURCE_COLUMNS.items():
            assert list(rows[table]) == list(columns)
        found = {table: {name: type(value) for name, value in row.items()} for table, row in rows.items()}
        assert found == expected


def test_categories_are_contiguous_sorted_and_of_the_real_size(pins: list[Pin]) -> None:
    assert [pin["category"] for pin in pins] == sorted(pin["category"] for pin in pins)
    assert Counter(pin["category"] for pin in pins) == REAL_CATEGORIES
    assert all(pin["save_location"] == f"Local save in /data/{pin['category']}" for pin in pins)


@pytest.mark.parametrize("count", [0, 1, 12, 13, 100, 11154, 1_000_000, 10_000_000])
def test_category_ranges_cover_every_count_in_proportion(count: int) -> None:
    ranges = dict(category_ranges(count))
    assert list(ranges) == sorted(REAL_CATEGORIES)
    end = 0
    for category, indexes in ranges.items():
        assert indexes.start == end
        assert abs(len(indexes) - count * REAL_CATEGORIES[category] / 11154) < 1
        end = indexes.stop
    assert end == count


@pytest.mark.parametrize(
    ("real", "tolerance", "holds"),
    [
        (0.71, 0.1, lambda pin: pin["title"] == "No Title Data Available"),
        (0.04, 0.06, lambda pin: pin["title"] == ""),
        (6.73, 1.0, lambda pin: pin["description"] == NO_STORY),
        (1.55, 0.5, lambda pin: pin["description"] == NO_DESCRIPTION),
        (37.0, 1.5, lambda pin: pin["description"].endswith(CUT_END)),
        (0.79, 0.15, lambda pin: pin["poster_name"] == "User Info Error"),
        (0.79, 0.15, lambda pin: pin["follower_count"] == "User Info Error"),
        (74.6, 4.0, lambda pin: pin["follower_count"].endswith("k")),
        (7.6, 3.0, lambda pin: pin["follower_count"].endswith("M")),
        (17.1, 4.0, lambda pin: pin["follower_count"].isdigit()),
        (1.4, 0.5, lambda pin: pin["tag_list"] == NO_TAGS),
        (2.35, 0.5, lambda pin: pin["image_src"] == "Image src error."),
        (90.3, 1.5, lambda pin: pin["is_image_or_video"] == "image"),
        (6.7, 1.2, lambda pin: pin["is_image_or_video"] == STORY),
        (3.0, 0.7, lambda pin: pin["is_image_or_video"] == "video"),
        (77.0, 2.0, lambda pin: re.search(r"/originals/../../../[0-9a-f]{32}\.jpg$", pin["image_src"])),
        (14.0, 1.5, lambda pin: pin["image_src"].endswith(".png")),
        (8.0, 1.0, lambda pin: "/videos/thumbnails/" in pin["image_src"]),
    ],
)
def test_rates(pins: list[Pin], real: float, tolerance: float, holds: Callable[[Pin], bool]) -> None:
    assert share(pins, lambda pin: bool(holds(pin))) == pytest.approx(real, abs=tolerance)


def test_dirt_comes_in_the_real_combinations_only(pins: list[Pin]) -> None:
    """Type, image read, description, tags read, title read, poster read."""
    known = {
        ("image", 1, "text", True, True, True): 4339,
        (STORY, 1, NO_STORY, True, True, True): 238,
        ("video", 1, "text", True, True, True): 150,
        (STORY, 0, NO_STORY, True, True, True): 80,
        ("image", 1, NO_DESCRIPTION, True, True, True): 67,
        (STORY, 0, NO_STORY, False, False, False): 35,
        ("image", 1, "text", False, True, True): 31,
        (STORY, 1, NO_STORY, False, True, True): 6,
        ("video", 1, NO_DESCRIPTION, True, True, True): 4,
        ("video", 1, "text", False, True, True): 3,
    }
    found = Counter(
        (
            pin["is_image_or_video"],
            pin["downloaded"],
            pin["description"] if pin["description"] in (NO_STORY, NO_DESCRIPTION) else "text",
            pin["tag_list"] != NO_TAGS,
            pin["title"] != "No Title Data Available",
            pin["poster_name"] != "User Info Error",
        )
        for pin in pins
    )
    assert set(found) == set(known)
    for combination, times in known.items():
        expected = times / 4953 * len(pins)
        assert found[combination] == pytest.approx(expected, abs=5 * expected**0.5), combination


def test_image_error_and_user_error_go_with_their_fellows(pins: list[Pin]) -> None:
    assert all((pin["image_src"] == "Image src error.") == (pin["downloaded"] == 0) for pin in pins)
    assert all(
        (pin["poster_name"] == "User Info Error") == (pin["follower_count"] == "User Info Error")
        for pin in pins
    )


def test_all_posts_of_a_poster_share_a_person_a_place_and_followers(by_poster: dict[str, list[Post]]) -> None:
    for group in by_poster.values():
        assert len({person(post) for post in group}) == 1
        assert len({post["pin"]["follower_count"] for post in group}) == 1


def test_timestamp_varies_by_post(posts: list[Post], by_poster: dict[str, list[Post]]) -> None:
    stamps = [post["geo"]["timestamp"] for post in posts]
    assert datetime.fromisoformat("2017-10-19") <= min(stamps) < datetime.fromisoformat("2017-11-01")
    assert datetime.fromisoformat("2022-10-01") < max(stamps) < datetime.fromisoformat("2022-10-19")
    largest = max(by_poster.values(), key=len)
    assert len({post["geo"]["timestamp"] for post in largest}) == len(largest)


def test_posts_per_poster_are_the_real_ones(by_poster: dict[str, list[Post]]) -> None:
    sizes = Counter(map(len, by_poster.values()))
    assert len(by_poster) == 5307
    assert [sizes[size] for size in range(1, 6)] == [3869, 640, 272, 156, 88]
    assert [sum(sizes[size] for size in group) for group in (range(6, 11), range(11, 20), range(20, 50))] == [
        183,
        60,
        28,
    ]
    assert max(sizes) == 244


def test_a_posters_posts_are_spread_over_the_categories(by_poster: dict[str, list[Post]]) -> None:
    largest = max(by_poster.values(), key=len)
    assert {post["pin"]["category"] for post in largest} == set(REAL_CATEGORIES)


def test_people_join_in_the_real_years(posts: list[Post], by_poster: dict[str, list[Post]]) -> None:
    rows = Counter(post["user"]["date_joined"].year for post in posts)
    people = Counter(group[0]["user"]["date_joined"].year for group in by_poster.values())
    for year, real_people, real_rows in ((2015, 841, 4507), (2016, 2760, 4791), (2017, 1706, 1856)):
        assert people[year] == pytest.approx(real_people, rel=0.08)
        assert rows[year] == pytest.approx(real_rows, rel=0.08)


def test_persons_lie_within_the_real_bounds(posts: list[Post]) -> None:
    assert {post["user"]["age"] for post in posts} == set(range(20, 61))
    assert all(-90 <= post["geo"]["latitude"] <= 90 for post in posts)
    assert all(-180 <= post["geo"]["longitude"] <= 180 for post in posts)
    joined = [post["user"]["date_joined"] for post in posts]
    assert (
        datetime.fromisoformat("2015-10-21")
        <= min(joined)
        < max(joined)
        < datetime.fromisoformat("2017-10-20")
    )
    assert len({post["geo"]["country"] for post in posts}) > 230


def test_floats_have_six_significant_digits_and_times_no_fraction(posts: list[Post]) -> None:
    for post in posts:
        for name in ("latitude", "longitude"):
            assert post["geo"][name] == float(f"{post['geo'][name]:.6g}")
        for moment in (post["geo"]["timestamp"], post["user"]["date_joined"]):
            assert moment.microsecond == 0
            assert moment.tzinfo is None


def test_followers_are_printed_without_decimals(pins: list[Pin]) -> None:
    printed = {pin["follower_count"] for pin in pins} - {"User Info Error"}
    assert all(re.fullmatch(r"0|[1-9][0-9]{0,2}[kM]?", text) for text in printed)


def test_unique_ids_are_unique_uuids_of_version_4(pins: list[Pin]) -> None:
    ids = [pin["unique_id"] for pin in pins]
    assert len(set(ids)) == len(ids)
    assert all(str(UUID(each)) == each and UUID(each).version == 4 for each in ids)


def test_texts_have_the_real_lengths(pins: list[Pin]) -> None:
    titles = [len(pin["title"]) for pin in pins if pin["title"]]
    descriptions = [
        len(pin["description"]) for pin in pins if pin["description"] not in (NO_STORY, NO_DESCRIPTION)
    ]
    names = [len(pin["poster_name"]) for pin in pins]
    tags = [len(pin["tag_list"]) for pin in pins]
    for lengths, shortest, middle, longest in (
        (titles, 1, 50, 199),
        (descriptions, 3, 149, 293),
        (names, 1, 16, 268),
        (tags, 33, 150, 254),
    ):
        assert shortest <= min(lengths) < max(lengths) <= longest
        assert median(lengths) == pytest.approx(middle, rel=0.1)
    assert {len(pin["description"]) for pin in pins if pin["description"].endswith(CUT_END)} <= {
        176,
        177,
        178,
        179,
    }


def test_tags_are_nine_different_ones(pins: list[Pin]) -> None:
    for pin in pins:
        if pin["tag_list"] != NO_TAGS:
            tags = pin["tag_list"].split(",")
            assert len(set(tags)) == len(tags) == 9
            assert all(tag and tag == tag.strip() for tag in tags)


@pytest.mark.parametrize(
    "mark",
    [
        "\n",
        "\r\n",
        "\t",
        '"',
        "'",
        "\\",
        ",",
        "|",
        "✨",
        "👩‍👧‍👦",
        "<b>",
        "&amp;",
        "\u200b",
        "\u200e",
        "\ufeff",
    ],
)
def test_marks_that_break_careless_readers_occur(pins: list[Pin], mark: str) -> None:
    assert any(mark in pin["description"] for pin in pins)
    assert any(mark in pin["title"] for pin in pins)


@pytest.mark.parametrize("script", ["HEBREW", "CYRILLIC", "ARABIC", "CJK", "HIRAGANA", "HANGUL"])
@pytest.mark.parametrize("column", ["title", "description", "poster_name"])
def test_other_scripts_occur(pins: list[Pin], script: str, column: str) -> None:
    letters = {letter for pin in pins for letter in pin[column]}
    assert any(unicodedata.name(letter, "").startswith(script) for letter in letters)


def test_some_poster_names_have_blanks_around_them(pins: list[Pin]) -> None:
    assert any(pin["poster_name"].startswith(" ") for pin in pins)
    assert any(pin["poster_name"].endswith(" ") for pin in pins)


def test_texts_can_be_written_as_utf_8(pins: list[Pin]) -> None:
    assert all(
        value.encode().decode() == value for pin in pins for value in pin.values() if isinstance(value, str)
    )


def test_the_same_seed_gives_the_same_posts_and_another_seed_others() -> None:
    assert list(generate(300, seed=7)) == list(generate(300, seed=7))
    first, other = ([post["pin"] for post in generate(300, seed=seed)] for seed in (7, 8))
    assert not {pin["unique_id"] for pin in first} & {pin["unique_id"] for pin in other}


def test_nothing_else_in_the_process_matters() -> None:
    alone = list(generate(200))
    random.seed(3)
    state = random.getstate()
    one, two = generate(200), generate(200)
    interleaved = [(next(one), next(two)) for _ in range(200)]
    assert random.getstate() == state
    assert [each for each, _ in interleaved] == [each for _, each in interleaved] == alone


def test_another_process_gives_the_same_posts() -> None:
    code = "from pinterest_pipeline.posts.generator import generate; print(ascii(list(generate(40))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ascii(list(generate(40)))


@pytest.mark.parametrize("count", [0, 1, 2, 50, 71, 1000, 12_000])
def test_any_count(count: int) -> None:
    people: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    indexes = []
    for post in generate(count, seed=-5):
        indexes.append(post["pin"]["index"])
        people[post["pin"]["poster_name"]].add(person(post))
    assert indexes == list(range(count))
    assert all(len(each) == 1 for each in people.values())


def test_a_negative_count_is_refused_at_once() -> None:
    with pytest.raises(BadInput, match="cannot make -1 posts"):
        generate(-1)


def test_ten_million_posts_start_at_once() -> None:
    first = list(islice(generate(10_000_000), 100))
    assert [post["pin"]["category"] for post in first] == ["art"] * 100


def test_memory_is_flat() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in generate(count):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(100)  # Faker's names are loaded once
    small, large = peak(4_000), peak(16_000)
    assert large < small * 1.2 + 50_000
