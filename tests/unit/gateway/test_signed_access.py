"""Signed requests before the whole gateway: what a signature opens, and what is said of one that is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.auth  # type: ignore[import-untyped] # it has no types
import pytest
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped] # it has no types
from botocore.credentials import Credentials  # type: ignore[import-untyped] # it has no types

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.eventlog.sqlite import SqliteEventLog
from pinterest_pipeline.eventlog.sqlite_streams import SqliteStreamLog
from pinterest_pipeline.gateway import access
from pinterest_pipeline.gateway.app import create_app
from pinterest_pipeline.gateway.figures import Figures
from pinterest_pipeline.gateway.keys import Key, access_key_id
from pinterest_pipeline.gateway.plans import Plan
from tests.unit.gateway.conftest import STREAM
from tests.unit.gateway.kinesis_asking import MEDIA, Asking

Put = dict[str, Any]
Pair = tuple[str, str]
PUT: Put = {"StreamName": STREAM, "Data": "e30=", "PartitionKey": "k"}
INVALID, UNKNOWN = "InvalidSignatureException", "UnrecognizedClientException"


class Signing:
    """Sends requests to a gateway that asks for keys, each signed for itself by botocore."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def send(self, operation: str, body: Put, pair: Pair, path: str = "/", **more: Any) -> tuple[int, Any]:
        content = json.dumps(body).encode()
        target = {"X-Amz-Target": f"Kinesis_20131202.{operation}", "Content-Type": MEDIA}
        request = AWSRequest("POST", f"http://gateway{path}", headers=target, data=content)
        botocore.auth.SigV4Auth(Credentials(*pair), "kinesis", "eu-west-2").add_auth(request)
        changed = more.pop("content", content)
        answer = Asking(self._app, dict(request.headers) | more).raw(operation, changed, path)
        return answer.status_code, answer.json()


@pytest.fixture
def signing(tmp_path: Path, topics: SqliteEventLog, streams: SqliteStreamLog) -> Signing:
    settings = GatewaySettings(access="keys", max_body_bytes=20_000)
    guards = access.guards(settings, "127.0.0.1", tmp_path, Figures().refused)
    return Signing(create_app(settings, topics, streams, guards=guards))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Key, str, Pair]]:
    def make_key(*scopes: str, plan: Plan = Plan(), expires_ms: int | None = None) -> Any:  # noqa: B008
        file = access.key_file(tmp_path)
        text, key = file.create("x", scopes, plan, expires_ms)
        return key, text, (access_key_id(key), file.secret_access_key(key))

    return make_key


Make = Callable[..., tuple[Key, str, Pair]]


def refusal(answer: tuple[int, Any]) -> tuple[str, str]:
    """Type and message of an error, which Kinesis answers with 400."""
    assert answer[0] == 400
    return answer[1]["__type"], answer[1]["message"]


def test_a_signature_opens_what_the_key_may_do(signing: Signing, make: Make, tmp_path: Path) -> None:
    key, _, pair = make(f"write:stream:{STREAM}")
    assert signing.send("PutRecord", PUT, pair)[0] == 200
    assert signing.send("PutRecord", PUT, pair, path="/dev/")[0] == 200
    assert signing.send("ListStreams", {}, pair)[1]["StreamNames"] == [STREAM]
    assert refusal(signing.send("DeleteStream", {"StreamName": STREAM}, pair))[0] == "AccessDeniedException"
    (line,) = map(json.loads, (tmp_path / "logs" / "audit.log").read_text().splitlines())
    assert (line["caller"], line["operation"], line["status"]) == (key.id, "kinesis_DeleteStream", 403)


def test_a_body_that_was_changed_lands_nowhere(
    signing: Signing, make: Make, streams: SqliteStreamLog, tmp_path: Path
) -> None:
    _, _, pair = make("write:stream:*", plan=Plan(quota=1))
    other = json.dumps(PUT | {"Data": "W10="}).encode()
    assert refusal(signing.send("PutRecord", PUT, pair, content=other))[0] == INVALID
    assert refusal(signing.send("PutRecord", PUT, (pair[0], "0" * 40)))[0] == INVALID
    digest = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    assert refusal(signing.send("PutRecord", PUT, pair, **digest))[0] == INVALID
    assert sum(streams.ends(STREAM).values()) == 0
    lines = (tmp_path / "logs" / "audit.log").read_text().splitlines()
    callers = [json.loads(line)["caller"] for line in lines]
    assert callers == ["", "", ""]
    assert signing.send("PutRecord", PUT, pair)[0] == 200  # nothing of the plan was taken
    assert refusal(signing.send("PutRecord", PUT, pair))[0] == "LimitExceededException"


def test_keys_that_are_not_known_or_not_good(signing: Signing, make: Make, tmp_path: Path) -> None:
    invalid = (UNKNOWN, "The security token included in the request is invalid.")
    assert refusal(signing.send("PutRecord", PUT, ("AKIDEXAMPLE", "secret"))) == invalid
    assert refusal(signing.send("PutRecord", PUT, ("pinpipe_000000000000", "secret"))) == invalid
    key, _, pair = make("write:stream:*")
    _, _, old = make("write:stream:*", expires_ms=1)
    assert refusal(signing.send("PutRecord", PUT, old)) == (UNKNOWN, "the API key has expired")
    access.key_file(tmp_path).revoke(key.id)
    _, _, new = make("write:stream:*")
    assert signing.send("PutRecord", PUT, new)[0] == 200  # an unknown id has the ring look again
    assert refusal(signing.send("PutRecord", PUT, pair)) == (UNKNOWN, "the API key was revoked")


def test_a_key_in_its_header_goes_before_a_signature(signing: Signing, make: Make) -> None:
    _, text, _ = make("write:stream:*")
    assert signing.send("PutRecord", PUT, ("any", "any"), **{"x-api-key": text})[0] == 200


def test_no_signature_and_half_of_one(signing: Signing, make: Make) -> None:
    asking = Asking(signing._app)
    said = asking.error("PutRecord", "MissingAuthenticationTokenException", **PUT)
    assert "sign the request" in said
    half = asking.raw("PutRecord", b"{}", Authorization="AWS4-HMAC-SHA256 Credential=a")
    assert half.json()["__type"] == "IncompleteSignatureException"


def test_a_signature_opens_no_other_api(signing: Signing, make: Make) -> None:
    """It is of the service `kinesis`; the routes of API Gateway take keys."""
    _, _, pair = make("write:stream:*")
    request = AWSRequest("GET", "http://gateway/streams")
    botocore.auth.SigV4Auth(Credentials(*pair), "kinesis", "eu-west-2").add_auth(request)
    answer = Asking(signing._app, dict(request.headers)).raw("x", b"", "/streams")
    assert answer.status_code in (401, 405)


def test_a_body_that_is_too_large_is_not_read_to_its_end(signing: Signing, make: Make) -> None:
    _, _, pair = make("write:stream:*")
    kind, _ = refusal(signing.send("PutRecord", PUT | {"Data": "A" * 30_000}, pair))
    assert kind == "RequestEntityTooLargeException"
