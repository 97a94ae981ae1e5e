"""Posts of no person, made by rule."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from pinterest_pipeline.records.schemas import Post

_START = datetime(2020, 1, 2, 3, 4, 5)  # noqa: DTZ001 -- source datetimes have no zone


def make_post(ind: int, **pin: Any) -> Post:
    return Post(
        pin={
            "index": ind,
            "unique_id": f"id-{ind}",
            "title": f'title "{ind}"\n\\ 🎨 עברית',
            "description": None,
            "poster_name": " blank ",
            "follower_count": "12k",
            "tag_list": "a,b",
            "is_image_or_video": "image",
            "image_src": "https://example.org/a.jpg",
            "downloaded": 1,
            "save_location": "Local save in /data/art",
            "category": "art",
        }
        | pin,
        geo={
            "ind": ind,
            "timestamp": _START + timedelta(days=ind),
            "latitude": -89.9787,
            "longitude": 1e-05,
            "country": "Albania",
        },
        user={"ind": ind, "first_name": "Aaron", "last_name": "Abbott", "age": 20, "date_joined": _START},
    )


@pytest.fixture
def post() -> Callable[..., Post]:
    return make_post
