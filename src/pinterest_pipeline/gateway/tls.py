"""TLS of the gateway; every file is checked, by its setting's name, before the gateway answers."""

import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pinterest_pipeline.config import GatewaySettings
from pinterest_pipeline.errors import SettingError

_CERTIFICATE = "PINPIPE_GATEWAY__TLS_CERTIFICATE"
_KEY = "PINPIPE_GATEWAY__TLS_KEY"
_CLIENT_CA = "PINPIPE_GATEWAY__TLS_CLIENT_CA"


def server_context(settings: GatewaySettings) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with the certificate of the settings; None without one. Raises SettingError.

    With a client CA, only who shows a certificate of that CA is let in at all.
    """
    certificate, key, client_ca = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise SettingError(f"TLS needs both {_CERTIFICATE} and {_KEY}", "name the two PEM files")
    _check_certificates(_CERTIFICATE, certificate)
    _check_key(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise SettingError(
            f"{_KEY}: the key in {key} is not that of the certificate in {certificate} ({error.reason})",
            f"see {_CERTIFICATE} too",
        ) from None
    if client_ca is not None:
        _check_certificates(_CLIENT_CA, client_ca)
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _content(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingError(f"{setting}: {path} cannot be read: {error.strerror}") from None


def _check_certificates(setting: str, path: Path) -> None:
    try:
        x509.load_pem_x509_certificates(_content(setting, path))
    except ValueError:
        raise SettingError(f"{setting}: {path} holds no certificate in PEM") from None


def _check_key(path: Path) -> None:
    try:
        load_pem_private_key(_content(_KEY, path), None)
    except TypeError:
        raise SettingError(
            f"{_KEY}: the key in {path} asks for a passphrase", "give one without, readable by its owner only"
        ) from None
    except ValueError:
        raise SettingError(f"{_KEY}: {path} holds no private key in PEM") from None
