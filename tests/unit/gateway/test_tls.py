import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.gateway.tls import server_context
from tests.unit.gateway.served import served, statuses, until_closed


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A CA, a certificate and key of it, the key of another, and files that are none of these."""
    ca = trustme.CA()
    one, other = ca.issue_cert("localhost"), ca.issue_cert("localhost")
    names = ("ca", "certificate", "key", "other", "text", "locked", "missing")
    paths = {name: tmp_path / f"{name}.pem" for name in names}
    ca.cert_pem.write_to_path(paths["ca"])
    one.cert_chain_pems[0].write_to_path(paths["certificate"])
    one.private_key_pem.write_to_path(paths["key"])
    other.private_key_pem.write_to_path(paths["other"])
    paths["text"].write_text("-----BEGIN NOTHING-----\n")
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    paths["locked"].write_bytes(locked)
    return paths


def settings(files: dict[str, Path], **names: str) -> GatewaySettings:
    return GatewaySettings(**{f"tls_{setting}": files[name] for setting, name in names.items()})


def test_without_files_there_is_no_tls() -> None:
    assert server_context(GatewaySettings()) is None


def test_a_certificate_with_its_key_speaks_tls_of_today(files: dict[str, Path]) -> None:
    context = server_context(settings(files, certificate="certificate", key="key"))
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE


def test_with_a_client_ca_every_client_must_show_a_certificate(files: dict[str, Path]) -> None:
    context = server_context(settings(files, certificate="certificate", key="key", client_ca="ca"))
    assert context is not None
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1


def test_who_never_begins_to_speak_tls_is_left(files: dict[str, Path], tmp_path: Path) -> None:
    names = {"tls_certificate": str(files["certificate"]), "tls_key": str(files["key"])}
    with served(tmp_path, header_seconds=2.0, **names) as running:
        with running.connect() as silent:
            assert until_closed(silent) == b""
        trusting = ssl.create_default_context(cafile=files["ca"])
        with trusting.wrap_socket(running.connect(), server_hostname="localhost") as speaking:
            speaking.sendall(b"GET /topics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert statuses(until_closed(speaking)) == [200]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"certificate": "certificate"}, "TLS needs both"),
        ({"key": "key"}, "TLS needs both"),
        ({"client_ca": "ca"}, "TLS needs both"),
        (
            {"certificate": "missing", "key": "key"},
            r"TLS_CERTIFICATE: .*missing\.pem.* cannot be read",
        ),
        (
            {"certificate": "certificate", "key": "missing"},
            r"TLS_KEY: .*missing\.pem.* cannot be read",
        ),
        ({"certificate": "text", "key": "key"}, r"TLS_CERTIFICATE: .*text\.pem holds no certificate"),
        ({"certificate": "key", "key": "key"}, r"TLS_CERTIFICATE: .*key\.pem holds no certificate"),
        ({"certificate": "certificate", "key": "text"}, r"TLS_KEY: .*text\.pem holds no private key"),
        ({"certificate": "certificate", "key": "certificate"}, r"TLS_KEY: .* holds no private key"),
        ({"certificate": "certificate", "key": "locked"}, r"TLS_KEY: .*locked\.pem asks for a passphrase"),
        ({"certificate": "certificate", "key": "other"}, r"TLS_KEY: .*other\.pem is not that of the cert"),
        (
            {"certificate": "certificate", "key": "key", "client_ca": "text"},
            r"TLS_CLIENT_CA: .*text\.pem holds no certificate",
        ),
    ],
)
def test_a_wrong_file_is_named(files: dict[str, Path], names: dict[str, str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        server_context(settings(files, **names))
