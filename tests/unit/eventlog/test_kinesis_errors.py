"""What an error of boto3 means: who is told what, and whether a record may have landed."""

import pytest
from botocore import exceptions  # type: ignore[import-untyped] # it has no types

from pinterest_pipeline import errors
from pinterest_pipeline.eventlog.kinesis_errors import ExpiredIterator, Unsure, refused, translated

ADDRESS = "https://kinesis.eu-west-1.amazonaws.com"


def answered(code: str, status: int = 400, operation: str = "put_records") -> Exception:
    response = {
        "Error": {"Code": code, "Message": "as AWS says"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return translated(exceptions.ClientError(response, operation), operation, "pin", ADDRESS)


@pytest.mark.parametrize(
    ("code", "status", "operation", "kind"),
    [
        ("ResourceNotFoundException", 400, "put_records", errors.UnknownTopic),
        ("ResourceInUseException", 400, "create_stream", errors.TopicExists),
        ("ResourceInUseException", 400, "delete_stream", errors.StreamInUse),
        ("ResourceInUseException", 400, "list_shards", errors.Unavailable),
        ("LimitExceededException", 400, "create_stream", errors.LimitExceeded),
        ("LimitExceededException", 400, "list_shards", errors.Throttled),
        ("ProvisionedThroughputExceededException", 400, "get_records", errors.Throttled),
        ("SomethingNew", 429, "put_records", errors.Throttled),
        ("AccessDeniedException", 400, "put_records", errors.Forbidden),
        ("InvalidSignatureException", 400, "put_records", errors.Forbidden),
        ("UnrecognizedClientException", 400, "put_records", errors.Forbidden),
        ("ExpiredTokenException", 400, "put_records", errors.Forbidden),
        ("Forbidden", 403, "put_records", errors.Forbidden),
        ("InternalFailure", 500, "put_records", Unsure),
        ("502", 502, "put_records", Unsure),
        ("ExpiredIteratorException", 400, "get_records", ExpiredIterator),
        ("InvalidArgumentException", 400, "get_records", errors.BadInput),
        ("ValidationException", 400, "create_stream", errors.BadInput),
    ],
)
def test_an_answer_of_kinesis(code: str, status: int, operation: str, kind: type[Exception]) -> None:
    assert type(answered(code, status, operation)) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.NoCredentialsError(), errors.Forbidden),
        (exceptions.EndpointConnectionError(endpoint_url=ADDRESS), errors.Unavailable),
        (exceptions.ConnectTimeoutError(endpoint_url=ADDRESS), errors.Unavailable),
        (exceptions.ReadTimeoutError(endpoint_url=ADDRESS), Unsure),
        (exceptions.ConnectionClosedError(endpoint_url=ADDRESS), Unsure),
    ],
)
def test_no_answer(error: Exception, kind: type[Exception]) -> None:
    found = translated(error, "put_records", "pin", ADDRESS)
    assert type(found) is kind
    assert ADDRESS in str(found)


def test_a_refusal_names_the_stream_the_operation_and_what_to_do() -> None:
    text = str(answered("AccessDeniedException"))
    for part in (ADDRESS, "put_records", "'pin'", "as AWS says", "allow it"):
        assert part in text
    assert "aws sso login" in str(answered("ExpiredTokenException"))


def test_the_errors_of_single_records() -> None:
    assert refused("ProvisionedThroughputExceededException") == "throttled"
    assert refused("KMSAccessDeniedException") == "forbidden"
    assert refused("InternalFailure") == "not_acknowledged"
