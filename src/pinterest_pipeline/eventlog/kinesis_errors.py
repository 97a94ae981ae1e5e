"""What boto3 says went wrong, as one of our errors or as the refusal of one record.

Codes: https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html and the service model.
"""

from typing import Any, Final

from botocore import exceptions  # type: ignore[import-untyped] # it has no types
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped] # it has no types

from pinterest_pipeline.errors import (
    AWS_THROTTLED,
    BadInput,
    Forbidden,
    LimitExceeded,
    PipelineError,
    SettingError,
    StreamInUse,
    Throttled,
    TopicExists,
    Unavailable,
    UnknownTopic,
)
from pinterest_pipeline.eventlog.base import RefusalCode

_LOGIN_REFUSED: Final = {
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_FORBIDDEN: Final = _LOGIN_REFUSED | {
    "AccessDenied",
    "AccessDeniedException",
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
    "KMSOptInRequired",
    "NotAuthorized",
    "OptInRequired",
}
_PASSING: Final = {"InternalFailure", "InternalServerError", "ServiceUnavailable", "RequestExpired"}
_NO_CREDENTIALS: Final = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.TokenRetrievalError,
    exceptions.SSOError,
)
_NEVER_SENT: Final = (
    exceptions.EndpointConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.ProxyConnectionError,
    exceptions.SSLError,
)


class ExpiredIterator(Exception):
    """The iterator is older than five minutes; a new one goes on where it stood."""


class Unsure(Unavailable):
    """No answer came to a request that may have been carried out."""


def refused(code: str) -> RefusalCode:
    """What the error code of a single record means for it."""
    if code in AWS_THROTTLED:
        return "throttled"
    return "forbidden" if code in _FORBIDDEN else "not_acknowledged"


def translated(error: Exception, operation: str, name: str, address: str) -> Exception:
    """The error of ours for what a request about the stream `name` raised."""
    if isinstance(error, exceptions.ClientError):
        return _answered(error.response, operation, name, address)
    if isinstance(error, _NO_CREDENTIALS):
        return Forbidden(
            f"no AWS credentials were found for {address}: {error}",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run 'aws sso login';"
            " a gateway of your own takes any two words",
        )
    if isinstance(error, exceptions.ParamValidationError):
        return BadInput(f"Kinesis takes no such request: {error}")
    kind = Unavailable if isinstance(error, _NEVER_SENT) else Unsure
    if isinstance(error, exceptions.BotoCoreError | ResponseParserError):
        return kind(
            f"Kinesis at {address} does not answer: {error}", "see whether it can be reached; try again"
        )
    return error


def no_client(error: Exception) -> PipelineError:
    """Why there can be no client at all."""
    if isinstance(error, exceptions.NoRegionError):
        return SettingError("no region of Kinesis is set", "set PINPIPE_KINESIS__REGION, as in eu-west-1")
    return SettingError(
        f"the settings of Kinesis cannot be used: {error}",
        "see PINPIPE_KINESIS__REGION, PINPIPE_KINESIS__ENDPOINT and AWS_PROFILE",
    )


def _answered(response: dict[str, Any], operation: str, name: str, address: str) -> Exception:
    error = response.get("Error", {})
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{code}: {message}" if message else code
    if code == "ExpiredIteratorException":
        return ExpiredIterator()
    if code == "ResourceNotFoundException":
        return UnknownTopic(name)
    if code == "ResourceInUseException":
        return _in_use(operation, name, message)
    if code == "LimitExceededException" and operation == "create_stream":
        return LimitExceeded(f"Kinesis makes no more streams or shards: {message}", "ask AWS for more")
    if code in AWS_THROTTLED or status == 429:
        return Throttled(f"Kinesis asks to go slower ({said})", "give the stream more shards; try again")
    if code in _FORBIDDEN or status in (401, 403):
        return _forbidden(code, f"Kinesis at {address} refuses {operation} of '{name}' ({said})")
    if code in _PASSING or status >= 500:
        return Unsure(f"Kinesis at {address} failed ({status} {said})", "try again")
    return BadInput(f"Kinesis refuses {operation} of '{name}' ({said})")


def _in_use(operation: str, name: str, message: str) -> PipelineError:
    if operation == "create_stream":
        return TopicExists(name)
    if operation == "delete_stream":
        return StreamInUse(message, "try again later")
    return Unavailable(f"the stream '{name}' is not ACTIVE yet ({message})", "try again later")


def _forbidden(code: str, problem: str) -> Forbidden:
    if code in _LOGIN_REFUSED:
        return Forbidden(
            problem, "correct the AWS credentials: AWS_ACCESS_KEY_ID, AWS_PROFILE or 'aws sso login'"
        )
    return Forbidden(problem, "allow it to these AWS credentials")
