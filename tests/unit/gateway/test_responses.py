import json

import pytest

from pinterest_pipeline.eventlog.base import Receipt, Refusal, RefusalCode
from pinterest_pipeline.gateway import error_codes, responses
from pinterest_pipeline.gateway.error_codes import UNKNOWN_PARTITION, Fault, Kind
from pinterest_pipeline.gateway.responses import Answer

LANDED = Receipt(0, 7, 1_700_000_000_000)


def refusal(code: RefusalCode) -> Refusal:
    return Refusal(code, f"because of {code}")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("record_too_large", error_codes.RECORD_TOO_LARGE),
        ("throttled", error_codes.THROTTLED),
        ("not_acknowledged", error_codes.NOT_ACKNOWLEDGED),
    ],
)
def test_what_every_record_met_is_the_answer(code: RefusalCode, kind: Kind) -> None:
    fault = responses.produced([refusal(code), refusal(code)])
    assert isinstance(fault, Fault)
    assert fault.kind is kind
    assert f"because of {code}" in fault.message


@pytest.mark.parametrize("kind", error_codes.RETRIABLE)
def test_what_may_pass_says_when_to_come_again(kind: Kind) -> None:
    assert ("retry-after", "1") in responses.kafka_fault(Fault(kind, "later")).headers


@pytest.mark.parametrize(
    ("code", "status", "error_code"),
    [("not_acknowledged", 200, 50003), ("throttled", 200, 42901), ("forbidden", 403, 40301)],
)
def test_what_only_some_records_met_is_said_of_each(code: RefusalCode, status: int, error_code: int) -> None:
    answer = responses.produced([LANDED, refusal(code)])
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert json.loads(answer.body)["offsets"] == [
        {"partition": 0, "offset": 7, "error_code": None, "error": None},
        {"partition": None, "offset": None, "error_code": error_code, "error": f"because of {code}"},
    ]


def test_an_unknown_partition_is_the_whole_answer_only_where_the_path_names_it() -> None:
    outcomes = [refusal("unknown_partition")]
    assert isinstance(responses.produced(outcomes), Answer)
    fault = responses.produced(outcomes, (UNKNOWN_PARTITION,))
    assert isinstance(fault, Fault)
    assert fault.kind is UNKNOWN_PARTITION
