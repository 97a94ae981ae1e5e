"""When a range is closed: by count, by bytes, by its records' time, by the clock, by age."""

import pytest

from pinterest_pipeline.eventlog.base import StoredRecord
from pinterest_pipeline.sink.rotation import OpenRange, Rotation, open_range
from pinterest_pipeline.sink.shape import Shape

HOUR_MS = 3_600_000
NOON_MS = 1_700_049_600_000  # 2023-11-15 12:00 UTC
HOURLY = Shape(partitioner="time", extractor="record", duration_ms=HOUR_MS, path_format="HH")


def records(*times: int) -> list[StoredRecord]:
    return [StoredRecord(0, number, time, None, b"{}") for number, time in enumerate(times)]


def begun(rotation: Rotation, shape: Shape, now_ms: int = NOON_MS) -> OpenRange:
    return open_range(0, rotation, shape, 100.0, now_ms)


def test_a_range_takes_no_more_than_its_count() -> None:
    rotation = Rotation(2, 2**20, 10.0)
    found = begun(rotation, Shape())
    assert found.take(records(1, 2, 3), rotation) == 2
    assert (found.is_full, found.end, len(found.records)) == (True, 2, 2)


def test_a_record_that_is_larger_than_the_bound_is_a_range_of_its_own() -> None:
    rotation = Rotation(10, 50, 10.0)
    found = begun(rotation, Shape())
    assert found.take([StoredRecord(0, 0, 1, b"key", b"x" * 100)], rotation) == 1
    assert found.is_full


def test_a_batch_that_does_not_fill_the_range_leaves_it_open() -> None:
    rotation = Rotation(10, 2**20, 10.0)
    found = begun(rotation, Shape())
    assert (found.take(records(1, 2), rotation), found.is_full, found.end) == (2, False, 2)


@pytest.mark.parametrize(
    ("times", "taken"),
    [
        ((0, 1, 999, 1000), 3),  # the span of the records' time is reached
        ((0, 500, HOUR_MS), 2),  # another folder begins
        ((-1, 0), 1),
    ],
)
def test_records_part_a_range_by_their_time(times: tuple[int, ...], taken: int) -> None:
    rotation = Rotation(10, 2**20, 10.0, interval_ms=1000)
    found = begun(rotation, HOURLY)
    assert found.take(records(*(NOON_MS + time for time in times)), rotation) == taken
    assert (found.is_full, found.end) == (True, taken)


def test_a_record_without_a_time_parts_nothing() -> None:
    rotation = Rotation(10, 2**20, 10.0, interval_ms=1000)
    shape = Shape(
        partitioner="time", extractor="record_field", duration_ms=HOUR_MS, path_format="HH", errors="all"
    )
    assert begun(rotation, shape).take(records(1, 2, 3), rotation) == 3


def test_age_closes_a_range() -> None:
    rotation = Rotation(10, 2**20, 10.0)
    found = begun(rotation, Shape())
    assert [found.is_due(rotation, Shape(), 100.0 + age, NOON_MS) for age in (9.9, 10.0)] == [False, True]


def test_the_clock_closes_ranges_at_multiples_from_midnight_of_the_zone() -> None:
    rotation = Rotation(10, 2**20, 10_000.0, schedule_ms=45 * 60_000, timezone="Asia/Kolkata")
    found = begun(rotation, Shape())  # 17:30 there: 23.3 spans after midnight
    due = [found.is_due(rotation, Shape(), 100.0, NOON_MS + minutes * 60_000) for minutes in (29, 30)]
    assert due == [False, True]


def test_midnight_closes_a_range_whatever_the_span() -> None:
    rotation = Rotation(10, 2**20, 10_000.0, schedule_ms=7 * HOUR_MS)
    found = begun(rotation, Shape(), NOON_MS + 10 * HOUR_MS)  # 22:00, an hour into the last span
    due = [found.is_due(rotation, Shape(), 100.0, NOON_MS + hours * HOUR_MS) for hours in (11, 12)]
    assert due == [False, True]


def test_with_the_wallclock_the_span_goes_by_the_clock() -> None:
    shape = Shape(partitioner="time", duration_ms=HOUR_MS, path_format="HH")
    rotation = Rotation(10, 2**20, 10_000.0, interval_ms=1000)
    found = begun(rotation, shape)
    assert found.take(records(1, 10**12), rotation) == 2
    assert [found.is_due(rotation, shape, 100.0, NOON_MS + age) for age in (999, 1000)] == [False, True]
