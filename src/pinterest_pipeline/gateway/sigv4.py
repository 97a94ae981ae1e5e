"""Signatures of requests as AWS' Signature Version 4 makes them, in the header Authorization (pure).

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. What is wrong with
one is said in the words of AWS.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from urllib.parse import quote

from pinterest_pipeline.gateway.error_codes import INCOMPLETE_SIGNATURE, INVALID_SIGNATURE, UNKNOWN_KEY, Fault

RawHeaders = Iterable[tuple[bytes, bytes]]

SERVICE: Final = "kinesis"
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_PARTS: Final = ("Credential", "Signature", "SignedHeaders")
_SKEW: Final = timedelta(minutes=5)
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_STAMP_FORM: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SIGNATURE: Final = re.compile(r"Signature=[^, ]*")
_BETWEEN: Final = re.compile(r"[, ]+")
_SHOWN: Final = 500  # characters of a header in an error
_MISMATCH: Final = Fault(
    INVALID_SIGNATURE,
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret"
    " Access Key and signing method. Consult the service documentation for details.",
)


class Signed(NamedTuple):
    """What a request was signed with, and what the signature covers."""

    access_key_id: str
    stamp: str
    """When it was signed, as `20261126T073000Z`."""
    region: str
    headers: tuple[str, ...]
    signature: str


def is_signed(headers: RawHeaders) -> bool:
    """Whether an Authorization is of AWS' schemes."""
    return any(name == b"authorization" and value.startswith(b"AWS4-") for name, value in headers)


def signed(headers: RawHeaders, now: float) -> Signed | Fault:
    """What the headers say of a signature that may be good at this time (seconds since 1970)."""
    found = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    given = dict(found)
    algorithm, _, rest = given["authorization"].partition(" ")
    parts = dict(_part(text) for text in _BETWEEN.split(rest) if text)
    if fault := _incomplete(algorithm, parts, given):
        return fault
    credential = parts["Credential"].split("/")
    if len(credential) != 5:
        return Fault(
            INCOMPLETE_SIGNATURE,
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term,"
            f" got '{parts['Credential'][:_SHOWN]}'",
        )
    key_id, date, region, service, end = credential
    stamp = _stamp(given)
    names = tuple(parts["SignedHeaders"].split(";"))
    fault = _out_of_scope(service, end) or _uncovered(names, given) or _out_of_time(stamp, date, now)
    if fault is None and "x-amz-security-token" in given:  # there are no temporary credentials
        fault = Fault(UNKNOWN_KEY, "The security token included in the request is invalid.")
    return fault or Signed(key_id, stamp, region, names, parts["Signature"])


def mismatch(
    request: Signed, secret: str, method: str, path: bytes, query: bytes, headers: RawHeaders, body: bytes
) -> Fault | None:
    """Why the signature is not the one that this secret access key makes; `path` as it was sent.

    The digest of the body is always computed, whatever `x-amz-content-sha256` says.
    """
    canonical = _canonical(request, method, path, query, headers, hashlib.sha256(body).hexdigest())
    scope = f"{request.stamp[:8]}/{request.region}/{SERVICE}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for text in scope.split("/"):
        key = hmac.digest(key, text.encode(), "sha256")
    text = f"{_ALGORITHM}\n{request.stamp}\n{scope}\n{digest}"
    made = hmac.digest(key, text.encode(), "sha256").hex()
    return None if hmac.compare_digest(made.encode(), request.signature.encode()) else _MISMATCH


def _canonical(
    request: Signed, method: str, path: bytes, query: bytes, headers: RawHeaders, digest: str
) -> str:
    """The one form of a request that its signature is made of."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.decode("latin-1"), []).append(" ".join(value.decode("latin-1").split()))
    return "\n".join(
        (
            method,
            quote(_normal(path.decode("latin-1")), safe="/~"),
            _sorted_query(query.decode("latin-1")),
            *(f"{name}:{','.join(values.get(name, ()))}" for name in request.headers),
            "",
            ";".join(request.headers),
            digest,
        )
    )


def _normal(path: str) -> str:
    """A path without `.`, `..` and empty segments, as the signers of AWS write it."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    closed = "/" if kept and path.endswith("/") else ""
    return f"/{'/'.join(kept)}{closed}"


def _sorted_query(query: str) -> str:
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&") if query)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _part(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _incomplete(algorithm: str, parts: dict[str, str], given: dict[str, str]) -> Fault | None:
    if algorithm != _ALGORITHM:
        return Fault(INCOMPLETE_SIGNATURE, f"Unsupported AWS 'algorithm': '{algorithm[:_SHOWN]}'.")
    wrong = [f"Authorization header requires '{name}' parameter. " for name in _PARTS if not parts.get(name)]
    if not given.get("x-amz-date") and not given.get("date"):
        wrong.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
    if wrong:
        shown = _SIGNATURE.sub("Signature=…", given["authorization"])[:_SHOWN]  # it is logged, too
        return Fault(INCOMPLETE_SIGNATURE, f"{''.join(wrong)}Authorization={shown}")
    return None


def _stamp(given: dict[str, str]) -> str:
    """When the request was signed; the empty text when the headers do not say it."""
    text = given.get("x-amz-date")
    if text is not None:
        return text if _STAMP_FORM.fullmatch(text) else ""
    try:
        time = parsedate_to_datetime(given["date"])
        return (time.astimezone(UTC) if time.tzinfo else time).strftime(_STAMP)  # -0000 is UTC, too
    except (ValueError, OverflowError):
        return ""


def _out_of_scope(service: str, end: str) -> Fault | None:
    if service != SERVICE:
        return Fault(INVALID_SIGNATURE, f"Credential should be scoped to correct service: '{SERVICE}'. ")
    if end != "aws4_request":
        return Fault(
            INVALID_SIGNATURE,
            f"Credential should be scoped with a valid terminator: 'aws4_request', not '{end[:_SHOWN]}'. ",
        )
    return None


def _uncovered(names: tuple[str, ...], given: dict[str, str]) -> Fault | None:
    """What is wrong when a header that decides what a request means could have been changed."""
    if "host" not in names:
        return Fault(INVALID_SIGNATURE, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
    if list(names) != sorted(set(names)):
        return Fault(INVALID_SIGNATURE, "the names in SignedHeaders are in lower case, sorted, each once")
    left = [name for name in given if name.startswith("x-amz-") and name not in names]
    if left:
        return Fault(
            INVALID_SIGNATURE, f"There were headers present in the request which were not signed: {left[0]}"
        )
    return None


def _out_of_time(stamp: str, date: str, now: float) -> Fault | None:
    try:
        time = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return Fault(INCOMPLETE_SIGNATURE, "Date must be in ISO-8601 'basic format', like 20261126T073000Z.")
    if date != stamp[:8]:
        return Fault(
            INVALID_SIGNATURE,
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP:"
            f" '{date[:_SHOWN]}' != '{stamp[:8]}', from '{stamp}'.",
        )
    seen = datetime.fromtimestamp(now, UTC)
    if time < seen - _SKEW:
        return _expired("expired", stamp, "is now earlier than", seen - _SKEW, seen, "-")
    if time > seen + _SKEW:
        return _expired("not yet current", stamp, "is still later than", seen + _SKEW, seen, "+")
    return None


def _expired(what: str, stamp: str, compared: str, bound: datetime, seen: datetime, sign: str) -> Fault:
    return Fault(
        INVALID_SIGNATURE,
        f"Signature {what}: {stamp} {compared} {bound.strftime(_STAMP)}"
        f" ({seen.strftime(_STAMP)} {sign} 5 min.)",
    )
