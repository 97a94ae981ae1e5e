"""Folders by time are Joda-Time's."""

from datetime import datetime

import pytest

from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.sink.path_format import bucket, formatter, time_zone

MOMENT = datetime(2023, 1, 1, 15, 4, 5, 678_000)  # noqa: DTZ001 a Sunday, in the last ISO week of 2022
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH", "year=2023/month=01/day=01/hour=15"),
        ("yyyy-MM-dd", "2023-01-01"),
        ("yy/M/d/H", "23/1/1/15"),
        ("xxxx-'W'ww-e", "2022-W52-7"),
        ("MMM MMMM EEE EEEE", "Jan January Sun Sunday"),
        ("hh:mm:ss.SSS a", "03:04:05.678 PM"),
        ("K k D", "3 15 1"),
        ("'it''s' ''", "it's '"),
    ],
)
def test_patterns_are_written(pattern: str, text: str) -> None:
    assert formatter(pattern, "en-US")(MOMENT) == text


@pytest.mark.parametrize("pattern", ["Q", "ZZ", "'open", "yyyy/G"])
def test_what_cannot_be_written_is_named(pattern: str) -> None:
    with pytest.raises(SettingError, match=r"path\.format"):
        formatter(pattern, "en")


def test_names_of_other_languages_are_refused_and_numbers_are_not() -> None:
    assert formatter("MM", "de-DE")(MOMENT) == "01"
    with pytest.raises(SettingError, match="locale"):
        formatter("MMM", "de-DE")


@pytest.mark.parametrize(
    ("zone", "text"), [("UTC", "23"), ("+05:30", "04"), ("-03:00", "20"), ("America/New_York", "18")]
)
def test_the_clock_is_the_zones(zone: str, text: str) -> None:
    milliseconds = 1_700_000_000_000 + 53 * 60_000  # 23:06 UTC
    assert formatter("HH", "en")(bucket(milliseconds, HOUR_MS, time_zone(zone))) == text


def test_a_partition_begins_at_a_multiple_of_its_span_on_the_local_clock() -> None:
    day = bucket(1_700_000_000_000, 24 * HOUR_MS, time_zone("Asia/Kolkata"))
    assert day == datetime(2023, 11, 15)  # noqa: DTZ001


def test_an_hour_that_the_clock_shows_twice_is_one_folder() -> None:
    zone = time_zone("Europe/Berlin")
    twice = [1_698_537_600_000 + minutes * 60_000 for minutes in (30, 90)]  # 02:30 in summer and in winter
    assert {bucket(moment, HOUR_MS, zone) for moment in twice} == {datetime(2023, 10, 29, 2)}  # noqa: DTZ001


@pytest.mark.parametrize("zone", ["Nowhere", "", "../etc/passwd", "+5"])
def test_a_zone_that_is_none_is_named(zone: str) -> None:
    with pytest.raises(SettingError, match="time zone"):
        time_zone(zone)
