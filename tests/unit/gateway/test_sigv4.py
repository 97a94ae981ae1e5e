"""Signatures, with botocore's own signer as the oracle."""

import re
from datetime import UTC, datetime
from typing import Any

import botocore.auth  # type: ignore[import-untyped] # it has no types
import pytest
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped] # it has no types
from botocore.credentials import Credentials  # type: ignore[import-untyped] # it has no types
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pinterest_pipeline.gateway import sigv4
from pinterest_pipeline.gateway.error_codes import INCOMPLETE_SIGNATURE, INVALID_SIGNATURE, UNKNOWN_KEY, Fault

NOW = 1_800_000_000.0
KEY_ID, SECRET = "pinpipe_0123456789ab", "5" * 40
WIRE = {"X-Amz-Target": "Kinesis_20131202.PutRecord", "Content-Type": "application/x-amz-json-1.1"}

Headers = list[tuple[bytes, bytes]]


class Request:
    """A request as a server gets it: signed by botocore, its headers as http.client writes them."""

    def __init__(
        self,
        path: str = "/",
        query: str = "",
        body: bytes = b"{}",
        region: str = "us-east-1",
        service: str = "kinesis",
        time: float = NOW,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        url = f"http://127.0.0.1:8082{path}" + (f"?{query}" if query else "")
        sent = AWSRequest("POST", url, headers=WIRE | (headers or {}), data=body)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(botocore.auth, "get_current_datetime", lambda: datetime.fromtimestamp(time, UTC))
            botocore.auth.SigV4Auth(Credentials(KEY_ID, SECRET, token), service, region).add_auth(sent)
        prepared = sent.prepare()
        self.path, self.query, self.body = path.encode(), query.encode(), body
        self.headers: Headers = [(b"host", b"127.0.0.1:8082")] + [
            (name.lower().encode(), (value if isinstance(value, bytes) else value.encode("latin-1")))
            for name, value in prepared.headers.items()
        ]

    def __getitem__(self, name: bytes) -> bytes:
        return dict(self.headers)[name]

    def __setitem__(self, name: bytes, value: bytes) -> None:
        self.headers = [(known, value if known == name else old) for known, old in self.headers]

    def checked(self, now: float = NOW, secret: str = SECRET) -> Fault | None:
        found = sigv4.signed(self.headers, now)
        if isinstance(found, Fault):
            return found
        assert (found.access_key_id, sigv4.is_signed(self.headers)) == (KEY_ID, True)
        return sigv4.mismatch(found, secret, "POST", self.path, self.query, self.headers, self.body)

    def refused(self, kind: Any, now: float = NOW) -> str:
        fault = self.checked(now)
        assert fault is not None
        assert fault.kind is kind
        return fault.message


PATHS = st.lists(
    st.text("abz09-._~%/+:@!$&'()*,;= ", max_size=6).filter(lambda part: "?" not in part), max_size=5
).map(lambda parts: "/" + "/".join(parts).replace(" ", "%20"))
QUERIES = st.lists(
    st.tuples(st.text("abz-._~%25", max_size=4), st.text("abz-._~%25=", max_size=4)), max_size=4
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
LATIN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=30)
NAMES = st.from_regex(r"[xX]-[a-zA-Z][a-zA-Z0-9-]{0,10}", fullmatch=True)


@given(PATHS, QUERIES, st.binary(max_size=200), st.dictionaries(NAMES, LATIN, max_size=4), st.booleans())
@settings(max_examples=200)
def test_whatever_botocore_signs_is_good(
    path: str, query: str, body: bytes, headers: dict[str, str], with_date: bool
) -> None:
    assume(len({name.lower() for name in headers}) == len(headers))
    assume(not {"x-amz-date", "x-amz-security-token", "x-amz-content-sha256"} & {*map(str.lower, headers)})
    more = {"Date": "x"} if with_date else {}
    assert Request(path, query, body, headers=headers | more).checked() is None


@given(st.data())
@settings(max_examples=200)
def test_whatever_is_changed_on_the_way_is_refused(data: st.DataObject) -> None:
    request = Request("/dev/", "a=1", b'{"StreamName":"s"}', headers={"X-Any": "thing"})
    change = data.draw(st.sampled_from(["body", "path", "query", "header", "signature", "secret", "method"]))
    if change == "body":
        request.body = data.draw(st.binary(max_size=40).filter(lambda body: body != request.body))
    elif change == "path":
        request.path = data.draw(st.sampled_from([b"/", b"/dev", b"/test/", b"/dev/x"]))
    elif change == "query":
        request.query = data.draw(st.sampled_from([b"", b"a=2", b"a=1&b=1"]))
    elif change == "header":
        name = data.draw(st.sampled_from([b"host", b"x-amz-target", b"content-type", b"x-any"]))
        request[name] += data.draw(st.sampled_from([b"x", b".", b"\xe9"]))
    elif change == "signature":
        request[b"authorization"] = request[b"authorization"][:-1] + (
            b"0" if request[b"authorization"][-1:] != b"0" else b"1"
        )
    secret = "6" * 40 if change in ("secret", "method") else SECRET
    fault = request.checked(secret=secret)
    assert fault is not None
    assert fault.kind is INVALID_SIGNATURE
    assert fault.message.startswith("The request signature we calculated does not match")


def test_blanks_that_a_proxy_may_fold_change_nothing() -> None:
    request = Request(headers={"X-Any": "a  b"})
    request[b"x-any"] = b" a b  "
    assert request.checked() is None


@given(st.integers(-300, 300))
@settings(max_examples=30)
def test_clocks_may_differ_by_five_minutes(skew: int) -> None:
    assert Request(time=NOW + skew).checked() is None


def test_clocks_that_differ_by_more() -> None:
    assert Request(time=NOW - 301).refused(INVALID_SIGNATURE) == (
        "Signature expired: 20270115T075459Z is now earlier than 20270115T075500Z (20270115T080000Z - 5 min.)"
    )
    assert Request(time=NOW + 301).refused(INVALID_SIGNATURE) == (
        "Signature not yet current: 20270115T080501Z is still later than 20270115T080500Z"
        " (20270115T080000Z + 5 min.)"
    )
    assert (
        Request(headers={"Date": "x"}).refused(INVALID_SIGNATURE, NOW + 301).startswith("Signature expired")
    )


def test_the_scope_of_a_credential() -> None:
    assert Request(region="eu-west-1").checked() is None
    assert "correct service: 'kinesis'" in Request(service="s3").refused(INVALID_SIGNATURE)
    for old, new, kind, says in (
        (b"aws4_request", b"aws5", INVALID_SIGNATURE, "'aws4_request', not 'aws5'"),
        (b"/20270115/", b"/20270114/", INVALID_SIGNATURE, "'20270114' != '20270115'"),
        (b"/us-east-1", b"", INCOMPLETE_SIGNATURE, "exactly 5 slash-delimited elements"),
    ):
        request = Request()
        request[b"authorization"] = request[b"authorization"].replace(old, new)
        assert says in request.refused(kind)


def test_temporary_credentials_are_not_known() -> None:
    says = Request(token="anything").refused(UNKNOWN_KEY)
    assert says == "The security token included in the request is invalid."


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (rb"Signature=.*", b"", "Authorization header requires 'Signature' parameter. Authorization=AWS4-"),
        (rb"SignedHeaders=[^,]*", b"", "requires 'SignedHeaders' parameter"),
        (rb" .*", b"", "Authorization header requires 'Credential' parameter. Authorization header requires"),
        (rb"AWS4-HMAC-SHA256", b"AWS4-ECDSA-P256-SHA256", "Unsupported AWS 'algorithm'"),
    ],
)
def test_what_is_no_signature(old: bytes, new: bytes, says: str) -> None:
    request = Request()
    request[b"authorization"] = re.sub(old, new, request[b"authorization"])
    assert says in request.refused(INCOMPLETE_SIGNATURE)


def test_a_signature_says_when_it_was_made() -> None:
    request = Request()
    request.headers = [pair for pair in request.headers if pair[0] != b"x-amz-date"]
    said = request.refused(INCOMPLETE_SIGNATURE)
    assert "either a 'X-Amz-Date' or a 'Date'" in said
    assert request[b"authorization"].decode()[-64:] not in said  # nobody who reads the log can send it again
    for text in (b"20270115", b"20271315T080000Z", b"2027-01-15T08:00:00Z"):
        request = Request()
        request[b"x-amz-date"] = text
        assert "ISO-8601" in request.refused(INCOMPLETE_SIGNATURE)
    request = Request(headers={"Date": "x"})
    request[b"date"] = b"yesterday"
    assert "ISO-8601" in request.refused(INCOMPLETE_SIGNATURE)


def test_a_signature_covers_the_host_and_every_header_of_aws() -> None:
    request = Request()
    request[b"authorization"] = request[b"authorization"].replace(b";host;", b";")
    assert "'Host' must be a 'SignedHeader'" in request.refused(INVALID_SIGNATURE)
    request = Request()
    request.headers.append((b"x-amz-added", b"1"))
    assert "not signed: x-amz-added" in request.refused(INVALID_SIGNATURE)
    request = Request()
    request[b"authorization"] = request[b"authorization"].replace(b"content-type;host", b"host;content-type")
    assert "sorted" in request.refused(INVALID_SIGNATURE)


@given(st.binary(max_size=200), st.binary(max_size=30))
@settings(max_examples=300)
def test_nothing_that_is_sent_breaks_the_reader(authorization: bytes, date: bytes) -> None:
    headers = [
        (b"authorization", b"AWS4-HMAC-SHA256 " + authorization), (b"x-amz-date", date), (b"host", b"a"),
    ]  # fmt: skip
    assert isinstance(sigv4.signed(headers, NOW), Fault | sigv4.Signed)
