import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from pinterest_pipeline.posts.targets import Refusal, target
from pinterest_pipeline.records.receipts import Outcome
from pinterest_pipeline.records.schemas import Post

Make = Callable[..., Post]
BATCH = target("batch", "124df56aef51")
STREAM = target("stream", "124df56aef51")


def body(content: Any) -> bytes:
    return json.dumps(content).encode()


def test_a_batch_request_is_one_of_the_rest_proxy(post: Make) -> None:
    request = BATCH.request("geo", [post(7)["geo"]])
    assert (request.method, request.path) == ("POST", "/topics/124df56aef51.geo")
    assert request.headers["Content-Type"] == "application/vnd.kafka.json.v2+json"
    assert json.loads(request.content) == {
        "records": [
            {
                "key": 7,
                "value": {
                    "ind": 7,
                    "timestamp": "2020-01-09T03:04:05",
                    "latitude": -89.9787,
                    "longitude": 1e-05,
                    "country": "Albania",
                },
            }
        ]
    }


def test_one_stream_record_goes_as_the_original_sends_it(post: Make) -> None:
    request = STREAM.request("pin", [post(7)["pin"]])
    assert (request.method, request.path) == ("PUT", "/streams/streaming-124df56aef51-pin/record")
    content = json.loads(request.content)
    assert content["StreamName"] == "streaming-124df56aef51-pin"
    assert content["PartitionKey"] == "7"
    assert content["Data"]["title"] == post(7)["pin"]["title"]


def test_more_stream_records_go_in_one_request(post: Make) -> None:
    request = STREAM.request("user", [post(7)["user"], post(8)["user"]])
    assert request.path == "/streams/streaming-124df56aef51-user/records"
    records = json.loads(request.content)["records"]
    assert [record["partition-key"] for record in records] == ["7", "8"]
    assert records[1]["data"] == {
        "ind": 8,
        "first_name": "Aaron",
        "last_name": "Abbott",
        "age": 20,
        "date_joined": "2020-01-02T03:04:05",
    }


def test_receipts_are_read() -> None:
    offsets = {
        "offsets": [{"partition": 2, "offset": 0, "error_code": None, "error": None}],
        "key_schema_id": None,
    }
    assert BATCH.answer(200, {}, body(offsets), 1) == [Outcome(partition=2, offset=0)]
    one = {"SequenceNumber": "49", "ShardId": "shardId-000000000000"}
    assert STREAM.answer(200, {}, body(one), 1) == [Outcome(shard="shardId-000000000000", sequence="49")]
    many = {"FailedRecordCount": 0, "Records": [one, one]}
    assert STREAM.answer(200, {}, body(many), 2) == [Outcome(shard="shardId-000000000000", sequence="49")] * 2


@pytest.mark.parametrize(
    ("code", "retry", "doubtful"),
    [
        (2, True, True),
        (50003, True, True),
        (503, True, True),
        (42901, True, False),
        (429, True, False),
        (1, False, False),
        (413, False, False),
        (40301, False, False),
        (50002, False, False),
    ],
)
def test_an_error_of_one_record_in_a_good_answer_is_read(code: int, retry: bool, doubtful: bool) -> None:
    good = {"partition": 0, "offset": 1}
    bad = {"partition": None, "offset": None, "error_code": code, "error": "why"}
    found = BATCH.answer(200, {}, body({"offsets": [good, bad]}), 2)
    assert found == [
        Outcome(partition=0, offset=1),
        Refusal(f"{code} why", retry=retry, doubtful=doubtful),
    ]


@pytest.mark.parametrize(
    ("code", "retry", "doubtful"),
    [
        ("ProvisionedThroughputExceededException", True, False),
        ("InternalFailure", True, True),
        ("KMSDisabledException", False, False),
    ],
)
def test_a_failed_record_of_a_stream_is_read(code: str, retry: bool, doubtful: bool) -> None:
    records = [{"ErrorCode": code, "ErrorMessage": "why"}, {"SequenceNumber": "49", "ShardId": "s"}]
    found = STREAM.answer(200, {}, body({"FailedRecordCount": 1, "Records": records}), 2)
    assert found == [
        Refusal(f"{code} why", retry=retry, doubtful=doubtful),
        Outcome(shard="s", sequence="49"),
    ]


@pytest.mark.parametrize("status", [200, 400])
def test_an_error_of_kinesis_is_read_whatever_the_status(status: int) -> None:
    throttled = body({"__type": "ProvisionedThroughputExceededException", "message": "Rate exceeded"})
    reason = f"{status} ProvisionedThroughputExceededException Rate exceeded"
    assert STREAM.answer(status, {}, throttled, 1) == Refusal(reason, retry=True)
    missing = body({"__type": "com.amazonaws.kinesis#ResourceNotFoundException", "Message": "no stream"})
    reason = f"{status} ResourceNotFoundException no stream"
    assert STREAM.answer(status, {}, missing, 1) == Refusal(reason, hopeless=True)


@pytest.mark.parametrize("aim", [BATCH, STREAM])
@pytest.mark.parametrize(
    ("status", "retry", "doubtful", "hopeless"),
    [
        (202, False, True, True),
        (301, False, False, True),
        (400, False, False, False),
        (401, False, False, True),
        (403, False, False, True),
        (404, False, False, True),
        (408, True, True, False),
        (409, True, True, False),
        (413, False, False, False),
        (422, False, False, False),
        (429, True, False, False),
        (500, True, True, False),
        (503, True, True, False),
    ],
)
def test_what_a_status_means(aim: Any, status: int, retry: bool, doubtful: bool, hopeless: bool) -> None:
    found = aim.answer(status, {}, body({"error_code": status, "message": "why"}), 3)
    forbidden = status in (401, 403)
    meaning = Refusal(f"{status} why", retry, doubtful, hopeless, forbidden=forbidden)
    assert found == meaning


def test_a_key_whose_first_request_is_not_over_is_asked_again() -> None:
    kafka = BATCH.answer(409, {}, body({"error_code": 40910, "message": "not over"}), 1)
    assert kafka == Refusal("409 not over", retry=True, doubtful=True)
    kinesis = STREAM.answer(409, {}, body({"__type": "ResourceInUseException", "message": "not over"}), 1)
    assert kinesis == Refusal("409 ResourceInUseException not over", retry=True, doubtful=True)


@pytest.mark.parametrize("aim", [BATCH, STREAM])
def test_a_request_that_came_in_too_slowly_is_sent_again(aim: Any) -> None:
    said = body({"error_code": 408, "__type": "RequestExpired", "message": "too slow"})
    assert aim.answer(408, {}, said, 1) == Refusal("408 RequestExpired too slow", retry=True, doubtful=True)


def test_a_key_that_was_taken_for_another_request_leaves_doubt() -> None:
    kafka = BATCH.answer(422, {}, body({"error_code": 42210, "message": "reused"}), 1)
    assert kafka == Refusal("422 reused", doubtful=True)
    kinesis = STREAM.answer(
        422, {}, body({"__type": "IdempotentParameterMismatchException", "message": "reused"}), 1
    )
    assert kinesis == Refusal("422 IdempotentParameterMismatchException reused", doubtful=True)


@pytest.mark.parametrize(
    ("aim", "content"),
    [
        (BATCH, b"<html>"),
        (BATCH, b'{"offsets": []}'),
        (BATCH, b'"\xff"'),
        (STREAM, b"<html>"),
        (STREAM, b'{"Records": []}'),
    ],
)
def test_a_good_status_without_receipts_leaves_doubt(aim: Any, content: bytes) -> None:
    found = aim.answer(200, {}, content, 1)
    assert isinstance(found, Refusal)
    assert (found.doubtful, found.retry) == (True, False)
    assert "cannot be read" in found.reason


@pytest.mark.parametrize(
    ("aim", "content"),
    [
        (BATCH, b'{"offsets": [{"partition": 0, "offset": -1}]}'),
        (BATCH, b'{"offsets": [{}]}'),
        (STREAM, b"{}"),
    ],
)
def test_an_acknowledgement_without_position_leaves_doubt(aim: Any, content: bytes) -> None:
    (found,) = aim.answer(200, {}, content, 1)
    assert found.doubtful
    assert found.reason.startswith("acknowledged without")


def test_the_server_says_how_long_to_wait() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    waits = {
        text: BATCH.answer(503, {"retry-after": text}, b"busy", 1).wait  # type: ignore[union-attr]
        for text in ("7", "-1", "soon", soon)
    }
    assert (waits["7"], waits["-1"], waits["soon"]) == (7.0, 0.0, 0.0)
    assert 40 < waits[soon] <= 50
