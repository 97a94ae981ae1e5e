"""What the source `kinesis` makes of credentials and of errors; a service on loopback stands in for AWS."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest

from pinterest_pipeline.engines import kinesis_source_client
from pinterest_pipeline.engines.kinesis_source_client import Expired, Gone, Kinesis
from pinterest_pipeline.engines.kinesis_source_options import kinesis_options
from pinterest_pipeline.errors import Fatal, Forbidden, PipelineError, Throttled, Unavailable

ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASSUMED</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>the token</SessionToken>
<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


class Service:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.error, self.status = "", 400
        self.passes_after = -1
        """After how many more answers the error is over; -1 for never."""
        self.asked: list[tuple[dict[str, str], str]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                service.asked.append(({name.lower(): value for name, value in self.headers.items()}, body))
                is_sts = "AssumeRole" in body
                if service.passes_after == 0:
                    service.error = ""
                service.passes_after -= 1
                answer = ASSUMED if is_sts else json.dumps(service.answer())
                self.send_response(service.status if service.error and not is_sts else 200)
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def answer(self) -> dict[str, Any]:
        if self.error:
            return {"__type": self.error, "message": "because"}
        return {
            "Shards": [{"ShardId": "a"}, {"ShardId": "b", "ParentShardId": "a", "AdjacentParentShardId": "c"}]
        }

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


def client(service: Service, **options: str) -> Kinesis:
    keys = {"awsAccessKey": "OWN", "awsSecretKey": "s", "region": "eu-west-1"}
    return Kinesis(kinesis_options({"streamName": "s", "endpoint": service.url} | keys | options))


def test_shards_come_with_all_their_parents_and_keys_sign_the_request(service: Service) -> None:
    assert client(service, sessionToken="mine").shards("s") == {"a": (), "b": ("a", "c")}
    headers, body = service.asked[-1]
    assert "Credential=OWN/" in headers["authorization"]
    assert "/eu-west-1/kinesis/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "mine"
    assert json.loads(body) == {"StreamName": "s", "MaxResults": 100}


def test_a_role_is_assumed_with_its_id_and_its_keys_sign(service: Service) -> None:
    role = {
        "roleArn": "arn:aws:iam::123456789012:role/reader",
        "roleExternalId": "their id",
        "roleSessionName": "my-name",
    }
    client(service, stsEndpoint=service.url, **role).shards("s")
    (asked_sts, body), (asked_kinesis, _) = service.asked
    request = parse_qs(body)
    assert "Credential=OWN/" in asked_sts["authorization"]
    assert (request["RoleArn"], request["ExternalId"]) == ([role["roleArn"]], ["their id"])
    assert request["RoleSessionName"] == ["my-name"]
    assert "Credential=ASSUMED/" in asked_kinesis["authorization"]
    assert asked_kinesis["x-amz-security-token"] == "the token"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ResourceNotFoundException", Gone),
        ("InvalidArgumentException", Gone),
        ("ExpiredIteratorException", Expired),
        ("AccessDeniedException", Forbidden),
        ("SomethingElse", Fatal),
    ],
)
def test_errors_are_told_apart_and_keep_the_words_of_the_service(
    service: Service, code: str, kind: type[PipelineError]
) -> None:
    service.error = code
    with pytest.raises(kind, match=f"Kinesis answers {code}: because"):
        client(service).shards("s")
    assert len(service.asked) == 1


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client waited, which it does not do."""
    found: list[float] = []
    monkeypatch.setattr(kinesis_source_client, "time", SimpleNamespace(sleep=found.append))
    return found


@pytest.mark.parametrize(
    ("code", "status", "kind", "says"),
    [
        ("ProvisionedThroughputExceededException", 400, Throttled, "lower maxFetchRate"),
        ("InternalFailureException", 500, Unavailable, "because"),
    ],
)
def test_what_may_pass_is_tried_again_before_it_is_an_error(
    service: Service, waits: list[float], code: str, status: int, kind: type[PipelineError], says: str
) -> None:
    service.error, service.status = code, status
    with pytest.raises(kind, match=says):
        client(service).shards("s")
    assert len(service.asked) == len(waits) + 1 == 12
    assert 60 <= sum(waits) <= 160
    assert max(waits) <= 20


def test_throttling_now_and_then_uses_up_no_patience(service: Service, waits: list[float]) -> None:
    found = client(service)
    for _ in range(60):
        service.error, service.passes_after = "ProvisionedThroughputExceededException", 3
        found.shards("s")
    assert len(waits) == 180


def test_a_service_that_is_not_there_is_said_so(service: Service, waits: list[float]) -> None:
    found = client(service)
    service.close()
    with pytest.raises(Unavailable, match="see the options region and endpoint"):
        found.shards("s")
    assert len(waits) == 11
