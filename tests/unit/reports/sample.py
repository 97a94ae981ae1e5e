"""A run as the pipeline reports it: plausible figures, hostile texts. For unit and browser tests."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from faker.providers.address.en import Provider

from pinterest_pipeline.reports.page import render

Rows = list[dict[str, object]]

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>&amp;\u202e \x1b[31m'
CATEGORIES = (
    "art",
    "beauty",
    "christmas",
    "diy-and-crafts",
    "education",
    "event-planning",
    "tattoos",
    "vehicles",
)
AGE_GROUPS = ("18-24", "25-35", "36-50", "50+")
YEARS = (2015, 2016, 2017)


@dataclass(frozen=True)
class AskedQuestion:
    number: int
    name: str
    question: str
    chart: str


QUESTIONS = [
    AskedQuestion(1, "category_by_country", "Which category is the most popular in each country?", "bar"),
    AskedQuestion(
        2, "category_by_year", "Which category is the most popular in each year of posting?", "bar"
    ),
    AskedQuestion(3, "top_user_by_country", "Who has the most followers in each country?", "bar"),
    AskedQuestion(4, "category_by_age_group", "Which category is the most popular in each age group?", "bar"),
    AskedQuestion(
        5, "followers_by_age_group", "What is the median follower count of each age group?", "grouped_bar"
    ),
    AskedQuestion(6, "users_joined_by_year", "How many users joined in each year?", "grouped_bar"),
    AskedQuestion(
        7, "followers_by_join_year", "What is the median follower count by year of joining?", "line"
    ),
    AskedQuestion(
        8,
        "followers_by_join_year_and_age_group",
        "What is the median follower count by year of joining and age group?",
        "heatmap",
    ),
]


def answers() -> dict[str, Rows]:
    """Rows for all eight names, in the order, size and types the pipeline gives them."""
    draw = random.Random(7)
    countries = sorted(set(Provider.countries))
    posters = (
        "Walmart",
        "ELLE Germany",
        "The Minds Journal",
        "9GAG",
        "=SUM(A1)",
        HOSTILE,
        "מטבח של סבתא",
        "Ольга 🌸",
    )
    medians = {"median_follower_count": 41500.0, "median_follower_count_users": 36500}
    by_country: Rows = []
    for country in countries:
        count = int(draw.paretovariate(1.1) * 4)
        for category in draw.sample(CATEGORIES, 1 if draw.random() < 0.8 else 2):
            by_country.append({"country": country, "category": category, "category_count": count})
    return {
        "category_by_country": by_country,
        "category_by_year": [
            {"post_year": year, "category": category, "category_count": count}
            for year, category, count in (
                (2017, "home-decor", 42),
                (2018, "christmas", 210),
                (2019, "christmas", 205),
                (2020, "christmas", 191),
                (2021, "education", 200),
                (2022, "christmas", 171),
                (2022, "diy-and-crafts", 171),
            )
        ],
        "top_user_by_country": [
            {
                "country": country,
                "poster_name": draw.choice(posters),
                "follower_count": int(10 ** draw.gauss(5.2, 0.7)),
            }
            for country in countries
        ],
        "category_by_age_group": [
            {"age_group": group, "category": category, "category_count": count}
            for group, category, count in zip(
                AGE_GROUPS,
                ("tattoos", "christmas", "vehicles", "vehicles"),
                (615, 321, 215, 114),
                strict=True,
            )
        ],
        "followers_by_age_group": [
            {"age_group": group} | {name: value / 4**n for name, value in medians.items()}
            for n, group in enumerate(AGE_GROUPS)
        ],
        "users_joined_by_year": [
            {"join_year": year, "users_joined": users, "posts": posts}
            for year, users, posts in zip(YEARS, (841, 2760, 1706), (4507, 4791, 1856), strict=True)
        ],
        "followers_by_join_year": [
            {"join_year": year} | {name: value / 3**n for name, value in medians.items()}
            for n, year in enumerate(YEARS)
        ],
        "followers_by_join_year_and_age_group": [
            {"join_year": year, "age_group": group}
            | {name: value * 5 / 3**n / 4**m for name, value in medians.items()}
            for n, year in enumerate(YEARS)
            for m, group in enumerate(AGE_GROUPS)
        ],
    }


def account() -> dict[str, Any]:
    counts = {
        "sent": 1000,
        "acknowledged": 998,
        "refused": 1,
        "unknown": 1,
        "landed": 998,
        "clean": 960,
        "duplicate": 37,
        "quarantined": 1,
    }
    branch = {table: dict(counts) for table in ("pin", "geo", "user")}
    return {
        "batch": branch,
        "stream": {table: dict(counts) for table in branch},
        "balanced": True,
        "problems": [],
    }


def changes() -> dict[str, dict[str, dict[str, int]]]:
    pin = {"title_error": 7, "description_story": 67, "save_location_prefix": 960, "tags_error": 0}
    return {"batch": {"pin": pin}, "stream": {"pin": dict(pin)}}


def quarantine() -> dict[str, Rows]:
    row: dict[str, object] = {
        "table_name": "pin",
        "ind": None,
        "reason": "line is not a JSON object",
        "raw": HOSTILE,
    }
    batch = row | {"_topic": "124df56aef51.pin", "_partition": 2, "_offset": 311, "_timestamp": 1700000000000}
    stream = row | {
        "_stream": "streaming-124df56aef51-pin",
        "_shard": "shardId-000000000001",
        "_sequence": None,
    }
    return {"batch": [batch], "stream": [stream | {"_timestamp": None, "raw": None}]}


def page(**changed: Any) -> str:
    """The report of the run, with some of what `render` takes replaced."""
    run: dict[str, Any] = {
        "answers": {"batch": answers(), "stream": answers()},
        "account": account(),
        "changes": changes(),
        "quarantine": quarantine(),
        "questions": QUESTIONS,
        "ran_at": datetime(2025, 11, 24, 1, 50, 7, tzinfo=UTC),
        "rules": {"title_error": "'No Title Data Available' becomes null"},
    }
    return render(**run | changed)
