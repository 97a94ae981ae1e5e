"""What a refusal of S3 means and what to do about it; obstore gives status and code in a text."""

import re

from obstore.exceptions import UnauthenticatedError

from pinterest_pipeline.errors import (
    Forbidden,
    NoSuchObject,
    PipelineError,
    SettingError,
    Unavailable,
)

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
# Codes of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_KEY_REMEDIES = {
    "InvalidAccessKeyId": "the store does not know the access key: check PINPIPE_OBJECTS__ACCESS_KEY_ID"
    " or the AWS profile",
    "SignatureDoesNotMatch": "the secret does not belong to the access key: check"
    " PINPIPE_OBJECTS__SECRET_ACCESS_KEY or the AWS profile",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
    "ExpiredToken": "the session has expired: log in again",
    "InvalidToken": "the session token is wrong: log in again",
}
_REGION_CODES = {"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"}
_PASSING = {408, 409, 425, 429}
_PASSING_CODES = {"RequestTimeout"}  # S3 answers 400 when a body was too slow on its way
# Where nothing else gives credentials, obstore asks the machine for them; off the cloud it has none.
_ASKS_FOR_CREDENTIALS = ("http://169.254.169.254/", "metadata.google.internal", "performing token request")


def refusal(error: Exception, where: str, permission: str) -> PipelineError:
    """The error of ours for an error of obstore about the object or folder `where`."""
    text = str(error)
    first = text.partition("\n")[0]
    status = _status(text)
    provider_failed = isinstance(error, UnauthenticatedError) and not status
    if provider_failed or any(sign in first for sign in _ASKS_FOR_CREDENTIALS):
        return Forbidden(
            f"no credentials were found for {where}",
            "set PINPIPE_OBJECTS__ACCESS_KEY_ID and PINPIPE_OBJECTS__SECRET_ACCESS_KEY, or an AWS profile",
        )
    code = found[1] if (found := _CODE.search(text)) else ""
    if code == "NoSuchBucket":
        return SettingError(
            f"there is no bucket for {where}", "create it, or correct PINPIPE_OBJECTS__URL or s3.bucket.name"
        )
    if code in _REGION_CODES or status in (301, 307):
        return SettingError(
            f"the bucket of {where} is in another region", "set PINPIPE_OBJECTS__REGION to the bucket's"
        )
    if status == 404 or isinstance(error, FileNotFoundError):
        return NoSuchObject(where)
    if status in (401, 403) or code in _KEY_REMEDIES:  # for a session that is over S3 answers 400
        remedy = _KEY_REMEDIES.get(code, f"allow s3:{permission} to the access key")
        return Forbidden(f"the store refuses {permission} of {where} ({code or status})", remedy)
    if status == 501:
        return SettingError(
            f"the store cannot do {permission} of {where} as it was asked: {code or first}",
            "use one that honours If-None-Match on PUT",
        )
    if 400 <= status < 500 and status not in _PASSING and code not in _PASSING_CODES:
        return SettingError(f"the store refuses {permission} of {where}: {code or first}")
    return Unavailable(f"the store of {where} does not answer: {code or first}")


def _status(text: str) -> int:
    found = _STATUS.search(text)
    return int(found[1]) if found else 0
