"""What every home of the event log must do with the records that it gets."""

import threading
import time

import pytest

from pinterest_pipeline.errors import UnknownTopic
from pinterest_pipeline.eventlog.base import EventLog, Headers, Receipt, Record, Refusal, StoredRecord
from tests.contract.appending import WAIT, append, everything, receipts
from tests.contract.conftest import PIN, Opener


def test_every_receipt_is_true(log: EventLog) -> None:
    log.create(PIN, 3)
    sent = [Record(f"value {number}".encode(), f"key {number}".encode()) for number in range(50)]
    where = receipts(log, sent)
    assert len(where) == 50
    for record, receipt in zip(sent, where, strict=True):
        stored = log.read(PIN, receipt.partition, receipt.offset, 1)
        expected = StoredRecord(
            receipt.partition, receipt.offset, receipt.timestamp, record.key, record.value
        )
        assert stored == [expected]


def test_records_keep_their_order_within_a_partition(log: EventLog) -> None:
    log.create(PIN, 3)
    futures = [log.append(PIN, [Record(b"%d" % number, partition=number % 3)]) for number in range(60)]
    assert all(isinstance(future.result(WAIT)[0], Receipt) for future in futures)
    for partition, records in everything(log).items():
        assert [record.offset for record in records] == list(range(20))
        assert [record.value for record in records] == [b"%d" % (3 * turn + partition) for turn in range(20)]


def test_reading_starts_anywhere_and_ends_at_the_end(log: EventLog) -> None:
    log.create(PIN, 1)
    receipts(log, [Record(b"%d" % number) for number in range(10)])
    assert [record.value for record in log.read(PIN, 0, 4, 3)] == [b"4", b"5", b"6"]
    assert [record.value for record in log.read(PIN, 0, 8, 100)] == [b"8", b"9"]
    assert log.read(PIN, 0, 10, 100) == []
    assert log.read(PIN, 0, 10_000, 100) == []


def test_a_reader_ahead_of_the_end_gets_what_comes_there(log: EventLog) -> None:
    log.create(PIN, 1)
    append(log, [Record(b"0")])
    assert log.read(PIN, 0, 3, 10) == []
    append(log, [Record(b"%d" % number) for number in range(1, 5)])
    assert [record.value for record in log.read(PIN, 0, 3, 10)] == [b"3", b"4"]


def test_a_read_ends_once_it_has_enough_bytes(log: EventLog) -> None:
    log.create(PIN, 1)
    receipts(log, [Record(b"x" * 600) for _ in range(5)])
    assert [len(log.read(PIN, 0, offset, 100, 1_000)) for offset in (0, 2, 4)] == [2, 2, 1]
    assert len(log.read(PIN, 0, 0, 100, 1)) == 1


def test_offsets_are_found_by_time(log: EventLog) -> None:
    log.create(PIN, 3)
    start = time.time_ns() // 1_000_000
    steps = [0, 10, 10, 10, 20, 50]
    receipts(log, [Record(b"x", partition=0, timestamp=start + step) for step in steps])
    receipts(log, [Record(b"x", partition=1, timestamp=start + 30)])
    found = {step: log.offsets_at(PIN, start + step) for step in (-5, 0, 1, 10, 11, 30, 50, 51)}
    assert {step: offsets[0] for step, offsets in found.items()} == {
        -5: 0, 0: 0, 1: 1, 10: 1, 11: 4, 30: 5, 50: 5, 51: 6
    }  # fmt: skip
    assert {step: offsets[1] for step, offsets in found.items() if step in (30, 50)} == {30: 0, 50: 1}
    assert {offsets[2] for offsets in found.values()} == {0}
    assert [log.offsets_at(PIN, time)[0] for time in (0, -1, -2, -(10**12))] == [0, 0, 0, 0]


def test_beginnings_and_ends(log: EventLog) -> None:
    log.create(PIN, 2)
    assert (log.beginnings(PIN), log.ends(PIN)) == ({0: 0, 1: 0}, {0: 0, 1: 0})
    receipts(log, [Record(b"a", partition=1), Record(b"b", partition=1)])
    assert (log.beginnings(PIN), log.ends(PIN)) == ({0: 0, 1: 0}, {0: 0, 1: 2})


def test_a_key_stays_in_its_partition(log: EventLog, open_log: Opener) -> None:
    log.create(PIN, 5)
    keys = [b"%d" % number for number in range(40)]
    first = [receipt.partition for receipt in receipts(log, [Record(b"1", key) for key in keys])]
    again = [receipts(open_log(), [Record(b"2", key)])[0].partition for key in keys[:5]]
    assert again == first[:5]
    assert len(set(first)) == 5


def test_requests_without_keys_go_round(log: EventLog) -> None:
    log.create(PIN, 3)
    turns: list[int] = []
    while len(turns) < 7:
        (partition,) = {receipt.partition for receipt in receipts(log, [Record(b"x")] * 10)}
        if turns[-1:] != [partition]:  # Kafka's turn is one of time
            turns.append(partition)
    assert turns == [(turns[0] + number) % 3 for number in range(7)]


@pytest.mark.parametrize("value", [None, b"", b"null", b"\x00\xff", b" "])
@pytest.mark.parametrize("key", [None, b"", b"key", b"\x00"])
def test_values_and_keys_come_back_byte_for_byte(
    log: EventLog, key: bytes | None, value: bytes | None
) -> None:
    log.create(PIN, 1)
    receipts(log, [Record(value, key)])
    (stored,) = log.read(PIN, 0, 0, 10)
    assert (stored.key, stored.value) == (key, value)


HEADERS: list[Headers] = [
    (),
    (("trace", b"1"),),
    (("b", b"2"), ("a", None), ("b", b""), ("b", b"\x00\xff")),
    (("naïve ✓", "naïve ✓".encode()), ("", b"no name")),
]


@pytest.mark.parametrize("headers", HEADERS, ids=len)
def test_headers_come_back_in_order(log: EventLog, headers: Headers) -> None:
    log.create(PIN, 1)
    receipts(log, [Record(b"before"), Record(b"x", headers=headers), Record(b"after")])
    assert [record.headers for record in log.read(PIN, 0, 0, 10)] == [(), headers, ()]


def test_no_records_are_no_error(log: EventLog) -> None:
    log.create(PIN, 1)
    assert append(log, []) == []
    assert log.ends(PIN) == {0: 0}


def test_what_is_refused_keeps_nothing_else_out(log: EventLog) -> None:
    log.create(PIN, 2)
    sent = [
        Record(b"first", partition=1),
        Record(b"x" * 5_000, partition=1),
        Record(b"y" * 4_000, b"k" * 100, partition=1),
        Record(b"of no partition", partition=2),
        Record(b"of no partition either", partition=-1),
        Record(b"last", partition=1),
    ]
    outcomes = append(log, sent)
    codes = [outcome.code if isinstance(outcome, Refusal) else outcome.offset for outcome in outcomes]
    too_large, unknown = "record_too_large", "unknown_partition"
    assert codes == [0, too_large, too_large, unknown, unknown, 1]
    assert [record.value for record in everything(log)[1]] == [b"first", b"last"]


def test_a_refusal_says_what_was_wrong(log: EventLog) -> None:
    log.create(PIN, 2)
    large, lost = append(log, [Record(b"x" * 5_000), Record(b"x", partition=2)])
    assert isinstance(large, Refusal)
    assert isinstance(lost, Refusal)
    assert "5000" in large.reason
    assert "2" in lost.reason


def test_a_record_of_the_largest_size_lands(log: EventLog) -> None:
    log.create(PIN, 1)
    assert len(receipts(log, [Record(b"x" * 4_090, b"k" * 6)])) == 1


def test_timestamps_are_of_now_or_as_they_were_given(log: EventLog) -> None:
    """A home that keeps times in order raises a time to that of the record before it."""
    before = time.time_ns() // 1_000_000
    log.create(PIN, 1)
    receipts(log, [Record(b"a", timestamp=before - 9_000), Record(b"b", timestamp=before - 10_000)])
    given = receipts(log, [Record(b"c")])
    times = [record.timestamp for record in log.read(PIN, 0, 0, 10)]
    assert times[0] == before - 9_000
    assert times[1] in (before - 10_000, times[0])
    assert before <= times[2] == given[0].timestamp <= time.time_ns() // 1_000_000


def test_a_time_to_come_is_refused_and_moves_no_other_record(log: EventLog) -> None:
    log.create(PIN, 1)
    (refused,) = append(log, [Record(b"a", timestamp=time.time_ns() // 1_000_000 + 2 * 60 * 60 * 1_000)])
    assert isinstance(refused, Refusal)
    assert refused.code == "invalid_timestamp"
    (landed,) = receipts(log, [Record(b"b")])
    assert landed.timestamp <= time.time_ns() // 1_000_000


def test_one_wrong_request_fails_no_other(log: EventLog) -> None:
    log.create(PIN, 1)
    names = [PIN, "nobody", PIN]
    futures = [log.append(name, [Record(name.encode())]) for name in names]
    assert [type(future.exception(WAIT)) for future in futures] == [type(None), UnknownTopic, type(None)]
    assert log.ends(PIN) == {0: 2}


def test_writers_at_the_same_time_leave_no_gap(log: EventLog, open_log: Opener) -> None:
    log.create(PIN, 2)
    logs = [log, open_log()]
    given: list[tuple[Receipt, bytes]] = []

    def write(writer: int) -> None:
        for turn in range(25):
            values = [b"%d %d %d" % (writer, turn, number) for number in range(3)]
            found = receipts(logs[writer % 2], [Record(value) for value in values])
            given.extend(zip(found, values, strict=True))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    stored = everything(log)
    assert sum(len(records) for records in stored.values()) == len(given) == 300
    for records in stored.values():
        assert [record.offset for record in records] == list(range(len(records)))
    assert all(stored[receipt.partition][receipt.offset].value == value for receipt, value in given)
