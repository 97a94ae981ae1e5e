"""Whatever is sent, the engine and the oracle count the same."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinterest_pipeline.engines.duckdb import DuckDBEngine
from tests import oracle
from tests.landing import answers_of

FOLLOWERS = [
    "7",
    "999",
    "26k",
    "1K",
    "1.5k",
    "0.0005k",
    "1.0005k",
    "2M",
    "2.25m",
    "1B",
    "0",
    "12.0",
    1e16,
    "1e3",
    "User Info Error",
    None,
]
BAD_FOLLOWERS = ["", "k", "1.5", "-3", "1,000", "26 k", "26kk", "1.5e0", "٣", "26k\n", "NaN"]
DATES = [
    "2017-10-19 00:00:00",
    "2018-12-31T23:59:59",
    "01/02/2019, 03:04:05",
    "2020-02-29 12:00:00",
    "2015-11-05T10:00:00",
    None,
]
BAD_DATES = [
    "",
    "2019-02-29 00:00:00",
    "2018-13-01 00:00:00",
    "13/01/2019, 00:00:00",
    "2018-01-01",
    "2018-01-01 24:00:00",
]
BAD_DATES += ["2018-01-01T00:00:00Z", "2018-01-01 00:00:00\n", "31/12/2018, 00:00:00", "now"]
WORDS = ["art", "quotes", "travel", "Ä", 'z, "quoted" \\ | \n', "🙂", " art", "ART"]


def mostly(good: list[Any], bad: list[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda n: st.sampled_from(bad if n == 0 else good))


inds = mostly([0, 1, 2, 3, 4, "5", 10**18 - 1], [None, -1, "x", 1.5, "", "1 ", True])
words = st.sampled_from([*WORDS, None])
moments = mostly(DATES, BAD_DATES)

pins = st.fixed_dictionaries(
    {
        "index": inds,
        "poster_name": st.sampled_from([*WORDS, None, "User Info Error"]),
        "follower_count": mostly(FOLLOWERS, BAD_FOLLOWERS),
        "category": words,
    }
)
geos = st.fixed_dictionaries(
    {
        "ind": inds,
        "timestamp": moments,
        "latitude": mostly([0, -90, 90.0, 1e-05, "45.5", None], [90.1, -91, "north", ""]),
        "longitude": mostly([0, -180, 180.0, -0.25, None], [180.5, 1e9]),
        "country": words,
    }
)
users = st.fixed_dictionaries(
    {
        "ind": inds,
        "first_name": st.sampled_from(["Ann", "Bo", "", None]),
        "last_name": st.sampled_from(["Lee", None]),
        "age": mostly([17, 18, 24, 25, 35, 36, 50, 51, "60", None], [-1, 20.5, "old", 1000]),
        "date_joined": moments,
    }
)
posts = st.lists(st.fixed_dictionaries({"pin": pins, "geo": geos, "user": users}), max_size=40)


@settings(max_examples=30)
@given(sent=posts, branch=st.sampled_from(["batch", "stream"]))
def test_engine_and_oracle_agree(
    duckdb_engine: DuckDBEngine,
    tmp_path_factory: pytest.TempPathFactory,
    sent: list[dict[str, Any]],
    branch: Any,
) -> None:
    answers = answers_of(duckdb_engine, tmp_path_factory.mktemp("landed"), branch, sent)
    assert answers == oracle.answers(sent)
