"""What a shard takes and gives in a second, by a clock that the tests set."""

from pathlib import Path

import pytest

from pinterest_pipeline.errors import (
    BadInput,
    Throttled,
    Unavailable,
)
from pinterest_pipeline.eventlog.base import Once, Receipt, Record, Refusal
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from tests.open_files import open_below
from tests.unit.eventlog.conftest import Clock

STREAM = "stream"


def test_a_shard_takes_and_gives_what_one_of_kinesis_does(tmp_path: Path, clock: Clock) -> None:
    log = SqliteStreamLog(tmp_path / "streams.sqlite", 2**20, limits=True, clock=clock)
    log.create(STREAM, 1)
    many = log.append(STREAM, [Record(b"x", b"k")] * 1_200).result()
    assert [isinstance(outcome, Receipt) for outcome in many] == [True] * 1_000 + [False] * 200
    assert isinstance(many[-1], Refusal)
    assert many[-1].code == "throttled"
    clock.now += 1_000
    large = log.append(STREAM, [Record(bytes(600_000), b"k"), Record(bytes(600_000), b"k")]).result()
    small = log.append(STREAM, [Record(bytes(400_000), b"k")]).result()
    assert [isinstance(outcome, Receipt) for outcome in large + small] == [True, False, True]
    clock.now += 500
    assert isinstance(log.append(STREAM, [Record(bytes(500_000), b"k")]).result()[0], Receipt)
    for _ in range(5):
        assert log.get(STREAM, 0, 0, 1)
    with pytest.raises(Throttled, match="Rate exceeded for shard shardId-000000000000"):
        log.get(STREAM, 0, 0, 1)
    clock.now += 200
    assert log.get(STREAM, 0, 0, 1).records
    log.close()


def test_a_large_read_is_paid_for_by_those_after_it(tmp_path: Path, clock: Clock) -> None:
    log = SqliteStreamLog(tmp_path / "streams.sqlite", 2**20, limits=True, clock=clock)
    log.create(STREAM, 1)
    for _ in range(10):
        log.append(STREAM, [Record(bytes(2**20 - 1), b"k")]).result()
        clock.now += 1_000
    assert len(log.get(STREAM, 0, 0, 100).records) == 10
    for _ in range(3):
        clock.now += 1_000
        with pytest.raises(Throttled):
            log.get(STREAM, 0, 0, 1)
    clock.now += 1_000
    assert log.get(STREAM, 0, 0, 1).records
    log.close()


def test_a_record_that_a_shard_takes_in_no_second_is_paid_for_by_those_after_it(
    tmp_path: Path, clock: Clock
) -> None:
    log = SqliteStreamLog(tmp_path / "streams.sqlite", 4 * 2**20, limits=True, clock=clock)
    log.create(STREAM, 1)

    def lands(size: int) -> bool:
        return isinstance(log.append(STREAM, [Record(bytes(size), b"k")]).result()[0], Receipt)

    assert lands(1)
    assert not lands(3 * 2**20)
    clock.now += 1_000
    assert lands(3 * 2**20)
    clock.now += 1_900
    assert not lands(2**20 - 1)
    clock.now += 1_100
    assert lands(2**20 - 1)
    log.close()


def test_a_throttled_request_with_a_key_is_tried_again(tmp_path: Path, clock: Clock) -> None:
    log = SqliteStreamLog(tmp_path / "streams.sqlite", 2**20, limits=True, clock=clock)
    log.create(STREAM, 1)
    log.append(STREAM, [Record(b"x", b"key")] * 1_000).result()
    once, records = Once("key", b"fingerprint"), [Record(b"y", b"key")]
    (refused,) = log.append(STREAM, records, once).result()
    assert isinstance(refused, Refusal)
    assert refused.code == "throttled"
    clock.now += 1_000
    landed = log.append(STREAM, records, once).result()
    assert landed == [Receipt(0, 1_000, clock.now)]
    clock.now += 1_000
    assert log.append(STREAM, records, once).result() == landed
    log.close()


def test_limits_that_cannot_be_opened_leave_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "log" / "streams.sqlite"
    path.with_name(f"{path.name}-limits").mkdir(parents=True)
    with pytest.raises(Unavailable, match="Is a directory"):
        SqliteStreamLog(path, 2**20, limits=True)
    assert open_below(tmp_path) == []


def test_a_log_that_cannot_be_opened_leaves_its_limits_closed(tmp_path: Path) -> None:
    path = tmp_path / "streams.sqlite"
    path.write_bytes(b"something else, as long as the head of a file of SQLite's" * 20)
    with pytest.raises(BadInput):
        SqliteStreamLog(path, 2**20, limits=True)
    assert not [file for file in open_below(tmp_path) if file.name.endswith("-limits")]
