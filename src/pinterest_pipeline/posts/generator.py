"""Posts of the real data's shape, as many as wanted, the same ones for the same count and seed.

What belongs to a poster follows from the poster's number (`posters`), what belongs to a post is drawn as the
posts pass. Nothing else is held, so ten million posts take no more memory than ten thousand.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any, Final

from pinterest_pipeline.errors import BadInput
from pinterest_pipeline.posts.distributions import (
    CATEGORIES,
    IMAGE,
    NO_IMAGE,
    NO_TAGS,
    NO_TITLE,
    PNG_SHARE,
    REAL_COUNT,
    UNREAD_POSTER,
    Dirt,
    Permutation,
    draw_dirt,
    source_of_draws,
)
from pinterest_pipeline.posts.posters import UNREAD_NUMBER, Poster, Posters, Slots
from pinterest_pipeline.posts.texts import Texts
from pinterest_pipeline.records.schemas import Post

FIRST_POSTED: Final = datetime(2017, 10, 19)  # noqa: DTZ001 - the source keeps naive datetimes
LAST_POSTED: Final = datetime(2022, 10, 19)  # noqa: DTZ001
_POSTED_SECONDS: Final = int((LAST_POSTED - FIRST_POSTED).total_seconds())


def generate(count: int = REAL_COUNT, seed: int = 100) -> Iterator[Post]:
    """`count` posts in ascending order of index, 0..count-1.

    Raises BadInput for a negative count.
    """
    if count < 0:
        raise BadInput(f"cannot make {count} posts", "ask for 0 or more")
    return _posts(count, seed)


def category_ranges(count: int) -> Iterator[tuple[str, range]]:
    """Each category with its indexes: in the proportions of the real data, in alphabetical order."""
    ends = [total * count // REAL_COUNT for total in accumulate(CATEGORIES.values())]
    for category, start, end in zip(CATEGORIES, [0, *ends], ends, strict=False):
        yield category, range(start, end)


def _posts(count: int, seed: int) -> Iterator[Post]:
    slots, posters = Slots(count), Posters(seed)
    places = Permutation(count, source_of_draws("places", seed))
    draws = source_of_draws("posts", seed)
    for category, indexes in category_ranges(count):
        texts = Texts(category, draws)
        for index in indexes:
            number, posts = slots[places[index]]
            poster = posters.poster(number, posts)
            dirt = UNREAD_POSTER if number == UNREAD_NUMBER else draw_dirt(draws.random())
            yield {
                "pin": _pin(index, category, poster, dirt, texts, draws),
                "geo": _geo(index, poster, draws),
                "user": _user(index, poster),
            }


def _pin(
    index: int, category: str, poster: Poster, dirt: Dirt, texts: Texts, draws: Random
) -> dict[str, Any]:
    return {
        "index": index,
        "unique_id": _uuid4(draws.getrandbits(128)),
        "title": NO_TITLE if dirt.no_title else texts.title(),
        "description": dirt.description or texts.description(),
        "poster_name": poster.name,
        "follower_count": poster.followers,
        "tag_list": NO_TAGS if dirt.no_tags else texts.tags(),
        "is_image_or_video": dirt.kind,
        "image_src": NO_IMAGE if dirt.no_image else _image_src(dirt.kind, draws),
        "downloaded": 0 if dirt.no_image else 1,
        "save_location": f"Local save in /data/{category}",
        "category": category,
    }


def _geo(index: int, poster: Poster, draws: Random) -> dict[str, Any]:
    return {
        "ind": index,
        "timestamp": FIRST_POSTED + timedelta(seconds=int(draws.random() * _POSTED_SECONDS)),
        "latitude": poster.latitude,
        "longitude": poster.longitude,
        "country": poster.country,
    }


def _user(index: int, poster: Poster) -> dict[str, Any]:
    return {
        "ind": index,
        "first_name": poster.first_name,
        "last_name": poster.last_name,
        "age": poster.age,
        "date_joined": poster.date_joined,
    }


def _uuid4(bits: int) -> str:
    digits = f"{bits:032x}"
    variant = "89ab"[bits & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _image_src(kind: str, draws: Random) -> str:
    digits = f"{draws.getrandbits(128):032x}"
    place = f"{digits[:2]}/{digits[2:4]}/{digits[4:6]}/{digits}"
    if kind != IMAGE:
        return f"https://i.pinimg.com/videos/thumbnails/originals/{place}.0000001.jpg"
    return f"https://i.pinimg.com/originals/{place}.{'png' if draws.random() < PNG_SHARE else 'jpg'}"
