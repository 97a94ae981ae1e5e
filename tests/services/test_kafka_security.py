"""Logins at Kafka as MSK asks for them: TLS, SCRAM, certificates of clients, tokens that end soon."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from pinterest_pipeline.broker.node import Node
from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.errors import Forbidden, PipelineError
from pinterest_pipeline.eventlog.base import Receipt, Record
from pinterest_pipeline.eventlog.kafka import KafkaEventLog
from pinterest_pipeline.eventlog.partitioners import kafka_partition
from tests.command import pinpipe
from tests.conftest import CACHE
from tests.ports import kept_ports

pytestmark = pytest.mark.services

USER, PASSWORD = "emulator", "not a secret"
TOPIC = "mine"
TOKEN_SECONDS = 10


@dataclass
class Secured:
    """A node with listeners named SCRAM, MTLS and TOKENS, and the files that its clients need."""

    node: Node
    folder: Path

    def settings(self, **own: Any) -> KafkaSettings:
        return KafkaSettings(ssl_ca=self.folder / "ca.pem", delivery_seconds=15, **own)

    def scram(self, password: str = PASSWORD, user: str = USER) -> KafkaSettings:
        return self.settings(
            security_protocol="SASL_SSL",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username=user,
            sasl_password=SecretStr(password),
        )


def write_pem(path: Path, certificate: trustme.LeafCert) -> None:
    """Key and certificates in one file; Kafka reads keys in the form of PKCS 8 only."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain)


@pytest.fixture(scope="module")
def ports() -> Iterator[list[int]]:
    """Those of the listeners."""
    with kept_ports(3) as kept:
        yield kept


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, ports: list[int]) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority, strangers = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    strangers.cert_pem.write_to_path(folder / "strangers.pem")
    write_pem(folder / "server.pem", authority.issue_cert("127.0.0.1", common_name="broker"))
    write_pem(folder / "client.pem", authority.issue_cert("client.test", common_name="client"))
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
    tokens = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
    node = Node(
        folder / "node",
        CACHE,
        further={
            "listeners": "SCRAM://127.0.0.1:{},MTLS://127.0.0.1:{},TOKENS://127.0.0.1:{}".format(*ports),
            "listener.security.protocol.map": "SCRAM:SASL_SSL,MTLS:SSL,TOKENS:SASL_SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(folder / "server.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(folder / "ca.pem"),
            "listener.name.mtls.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^.*CN=([a-z]+).*$/$1/,DEFAULT",
            "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{scram} required;",
            "listener.name.tokens.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.tokens.oauthbearer.sasl.jaas.config": (
                f'{tokens} required unsecuredLoginStringClaim_sub="broker";'
            ),
            # A connection lives no longer than the token that it began with.
            "listener.name.tokens.oauthbearer.connections.max.reauth.ms": str(TOKEN_SECONDS * 1_000),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{USER};User:client;User:signed",
        },
        scram={USER: PASSWORD, "stranger": PASSWORD},
    )
    node.start(lambda _: None)
    log = opened(node.address, KafkaSettings())
    log.create(TOPIC, 2)
    log.close()
    yield Secured(node, folder)
    node.stop()


def opened(address: str, settings: KafkaSettings) -> KafkaEventLog:
    return KafkaEventLog(address, settings, kafka_partition, 4_096, Path("not-used.sqlite"))


def problem(address: str, settings: KafkaSettings) -> PipelineError:
    """What a reader and a writer are told, which must be the same, and soon."""
    found = []
    calls: list[Callable[[KafkaEventLog], object]] = [
        lambda log: log.ends(TOPIC),
        lambda log: log.append(TOPIC, [Record(b"x")]).result(30),
    ]
    for call in calls:
        with pytest.raises(PipelineError) as raised, closing(opened(address, settings)) as log:
            call(log)
        found.append(raised.value)
    assert type(found[0]) is type(found[1])
    return found[0]


def test_scram_over_tls(secured: Secured) -> None:
    with closing(opened(secured.node.listener("SCRAM"), secured.scram())) as log:
        (receipt,) = log.append(TOPIC, [Record(b"signed")]).result(30)
        assert isinstance(receipt, Receipt)
        assert log.read(TOPIC, receipt.partition, receipt.offset, 1)[0].value == b"signed"


def test_a_wrong_password_is_refused_in_words(secured: Secured) -> None:
    refused = problem(secured.node.listener("SCRAM"), secured.scram("wrong"))
    assert isinstance(refused, Forbidden)
    assert refused.exit_code == 7
    assert "Authentication failed" in refused.problem
    assert "wrong" not in str(refused)


def test_a_user_without_permission_is_refused(secured: Secured) -> None:
    assert isinstance(problem(secured.node.listener("SCRAM"), secured.scram(user="stranger")), Forbidden)


def test_brokers_of_another_authority_are_refused(secured: Secured) -> None:
    settings = secured.scram().model_copy(update={"ssl_ca": secured.folder / "strangers.pem"})
    refused = problem(secured.node.listener("SCRAM"), settings)
    assert isinstance(refused, Forbidden)
    assert "certificate" in refused.problem


def test_the_command_says_so(secured: Secured, tmp_path: Path) -> None:
    settings = {
        "PINPIPE_LOG__HOME": "kafka",
        "PINPIPE_KAFKA__BOOTSTRAP_SERVERS": secured.node.listener("SCRAM"),
        "PINPIPE_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "PINPIPE_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
        "PINPIPE_KAFKA__SASL_USERNAME": USER,
        "PINPIPE_KAFKA__SASL_PASSWORD": PASSWORD,
        "PINPIPE_KAFKA__SSL_CA": str(secured.folder / "ca.pem"),
    }
    assert pinpipe(tmp_path, "status", settings=settings).returncode == 0
    done = pinpipe(tmp_path, "status", settings=settings | {"PINPIPE_KAFKA__SASL_PASSWORD": "hunter2"})
    assert done.returncode == 7, done.stderr
    assert "refuses us" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_a_certificate_of_our_own(secured: Secured) -> None:
    address, client = secured.node.listener("MTLS"), secured.folder / "client.pem"
    settings = secured.settings(security_protocol="SSL", ssl_certificate=client, ssl_key=client)
    with closing(opened(address, settings)) as log:
        assert isinstance(log.append(TOPIC, [Record(b"x")]).result(30)[0], Receipt)
    refused = problem(address, secured.settings(security_protocol="SSL"))
    assert isinstance(refused, Forbidden), refused


def unsecured_token(life: float, subject: str = "signed") -> tuple[str, int]:
    """A token as MSK's signer gives it, with its end in milliseconds; Kafka takes it without a signature."""
    end = time.time() + life
    claims = {"sub": subject, "iat": time.time(), "exp": end}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none"}, claims)
    ]
    return ".".join(parts) + ".", int(end * 1_000)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The regions that tokens were asked for, by a signer whose tokens end soon."""
    from aws_msk_iam_sasl_signer import MSKAuthTokenProvider

    regions: list[str] = []

    def sign(region: str) -> tuple[str, int]:
        regions.append(region)
        return unsecured_token(TOKEN_SECONDS)

    monkeypatch.setattr(MSKAuthTokenProvider, "generate_auth_token", sign)
    return regions


def iam(secured: Secured) -> KafkaSettings:
    return secured.settings(security_protocol="SASL_SSL", sasl_mechanism="AWS_MSK_IAM", region="eu-west-1")


def test_tokens_are_renewed_before_they_end(secured: Secured, asked: list[str]) -> None:
    with closing(opened(secured.node.listener("TOKENS"), iam(secured))) as log:
        sent, end = 0, time.monotonic() + 2 * TOKEN_SECONDS
        member = log.subscribe("members", [TOPIC])
        while time.monotonic() < end or log.committed("members", TOPIC).get(0) != log.ends(TOPIC)[0]:
            for part, records in member.poll(1_000, 0.05).items():
                member.commit({part: records[-1].offset + 1})
            if time.monotonic() > end:
                continue
            (receipt,) = log.append(TOPIC, [Record(b"%d" % sent, partition=0)]).result(30)
            assert isinstance(receipt, Receipt)
            assert log.read(TOPIC, 0, receipt.offset, 1)[0].value == b"%d" % sent
            sent += 1
    assert sent > 0
    assert set(asked) == {"eu-west-1"}
    # Admin client, producer, member and who asks for positions each need one, and again before it ends.
    assert len(asked) >= 4 * 2


def test_a_signer_without_credentials_is_named(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    from aws_msk_iam_sasl_signer import MSKAuthTokenProvider

    def sign(region: str) -> tuple[str, int]:
        raise ValueError("no AWS credentials found")

    monkeypatch.setattr(MSKAuthTokenProvider, "generate_auth_token", sign)
    refused = problem(secured.node.listener("TOKENS"), iam(secured))
    assert isinstance(refused, Forbidden)
    assert "no AWS credentials found" in refused.problem
