"""What Kafka's client says of records finds its way to the right places of a request."""

from collections import Counter, deque
from random import Random

from confluent_kafka import OFFSET_INVALID, KafkaError, Message
from hypothesis import given
from hypothesis import strategies as st

from pinterest_pipeline.eventlog.base import Receipt, Record, Refusal
from pinterest_pipeline.eventlog.kafka_request import GONE, Request
from pinterest_pipeline.eventlog.kafka_sender import Delivery

CONTENTS = st.sampled_from([b"a", b"b", b"", None])
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
EVENTS = st.tuples(CONTENTS, CONTENTS, st.sampled_from(["landed", "refused", "untold"]))


def _message(record: Record, offset: int = OFFSET_INVALID) -> Message:
    return Message(
        topic="pin", partition=3, offset=offset, key=record.key, value=record.value, timestamp=(1, 1_700)
    )


@given(st.lists(EVENTS, min_size=1), st.randoms(use_true_random=False))
def test_each_record_gets_an_outcome_that_its_content_had(
    events: list[tuple[bytes | None, bytes | None, str]], random: Random
) -> None:
    request, finished = Request("pin", [Record(value, key) for value, key, _ in events]), deque[Request]()
    request.left = 1
    delivery = Delivery(request, 3, list(range(len(events))), finished)
    told = [
        (record, what, 2 * place)
        for place, (record, (*_, what)) in enumerate(zip(request.records, events, strict=True))
    ]
    random.shuffle(told)
    for record, what, offset in told:
        assert not finished
        if what == "refused":
            delivery(TOO_LARGE, _message(record))
        else:
            delivery(None, _message(record, offset if what == "landed" else OFFSET_INVALID))
    assert list(finished) == [request]
    said = Counter((event[:2], event[2]) for event in events)
    got = Counter(
        ((record.value, record.key), _kind(outcome))
        for record, outcome in zip(request.records, request.outcomes, strict=True)
    )
    assert got == said
    receipts = [outcome for outcome in request.outcomes if isinstance(outcome, Receipt)]
    assert receipts == sorted(receipts, key=lambda receipt: receipt.offset)
    assert all((receipt.partition, receipt.timestamp) == (3, 1_700) for receipt in receipts)


def _kind(outcome: Receipt | Refusal) -> str:
    if isinstance(outcome, Receipt):
        return "landed"
    return "untold" if outcome.code == "not_acknowledged" else "refused"


def test_a_partition_that_is_gone_is_told_from_what_is_refused() -> None:
    request, finished = Request("pin", [Record(b"a")]), deque[Request]()
    request.left = 1
    delivery = Delivery(request, 3, [0], finished)
    delivery(KafkaError(KafkaError._UNKNOWN_PARTITION), _message(request.records[0]))
    assert request.outcomes == [GONE]
    assert list(finished) == [request]
