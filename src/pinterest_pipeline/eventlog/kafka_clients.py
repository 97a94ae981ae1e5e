"""Makes the clients of librdkafka from the settings, and notices when a login is refused."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from pinterest_pipeline.config import KafkaSettings
from pinterest_pipeline.errors import Forbidden, MissingPart, SettingError
from pinterest_pipeline.eventlog.kafka_errors import forbidden, is_login_refused

_REPEATED: Final = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE}
_REFUSED_SECONDS: Final = 5.0
"""How long a refused login is taken to be refused still; the client tries again every second."""
_log = structlog.get_logger("kafka")


class Clients:
    """Clients of one cluster, all with the same login.

    librdkafka tries a refused login again for ever; here, whoever waits for an answer asks `check` first.
    """

    def __init__(self, bootstrap_servers: str, settings: KafkaSettings) -> None:
        self.settings = settings
        self.name = f"Kafka at {bootstrap_servers}"
        """What messages call the cluster."""
        self._common: dict[str, Any] = {
            "bootstrap.servers": bootstrap_servers,
            "error_cb": self._note,
            "log_level": 2,  # what matters of the rest comes to the callback
            "reconnect.backoff.max.ms": 1_000,
            **_security(settings),
        }
        # One set for producers and consumers: librdkafka passes over what is only for the other.
        self._own = {name: value.get_secret_value() for name, value in settings.properties.items()}
        self._refused = ""
        self._refused_at = 0.0
        self._said = ""

    def producer(self, properties: Mapping[str, Any]) -> Producer:
        with _settings_named():
            return Producer({**self._common, **properties, **self._own})

    def consumer(self, properties: Mapping[str, Any]) -> Consumer:
        with _settings_named():
            return Consumer({**self._common, **properties, **self._own})

    def admin(self) -> AdminClient:
        with _settings_named():
            return AdminClient({**self._common, **self._own})

    def check(self) -> None:
        """Raises Forbidden when our login was refused a moment ago and nothing was answered since."""
        if (refused := self.refused()) is not None:
            raise refused

    def refused(self) -> Forbidden | None:
        is_recent = time.monotonic() - self._refused_at < _REFUSED_SECONDS
        return forbidden(self._refused) if self._refused and is_recent else None

    def admitted(self) -> None:
        """A request was answered: what was refused before is so no longer."""
        self._refused = self._said = ""

    def _note(self, error: KafkaError) -> None:
        if is_login_refused(error):
            self._refused, self._refused_at = error.str(), time.monotonic()
        said = "brokers are away" if error.code() in _REPEATED else error.str()
        if said != self._said:
            self._said = said
            _log.warning("kafka", brokers=self.name.removeprefix("Kafka at "), problem=error.str())


@contextmanager
def _settings_named() -> Iterator[None]:
    """What the client says of a property that it does not take, as a SettingError."""
    try:
        yield
    except KafkaException as error:
        raise SettingError(
            f"librdkafka does not take the settings of Kafka: {error.args[0].str()}",
            "see PINPIPE_KAFKA__… in 'pinpipe settings'",
        ) from None


def _security(settings: KafkaSettings) -> dict[str, Any]:
    properties: dict[str, Any] = {"security.protocol": settings.security_protocol}
    files = {
        "ssl.ca.location": settings.ssl_ca,
        "ssl.certificate.location": settings.ssl_certificate,
        "ssl.key.location": settings.ssl_key,
    }
    for name, path in files.items():
        if path is not None:
            if not path.is_file():
                raise SettingError(
                    f"there is no file {path}", "see PINPIPE_KAFKA__SSL_… in 'pinpipe settings'"
                )
            properties[name] = str(path)
    if settings.ssl_key_password is not None:
        properties["ssl.key.password"] = settings.ssl_key_password.get_secret_value()
    if not settings.security_protocol.startswith("SASL"):
        return properties
    return properties | _login(settings)


def _login(settings: KafkaSettings) -> dict[str, Any]:
    if not settings.sasl_mechanism:
        raise SettingError(
            f"{settings.security_protocol} needs a way to log in", "set PINPIPE_KAFKA__SASL_MECHANISM"
        )
    if settings.sasl_mechanism == "AWS_MSK_IAM":
        return {"sasl.mechanism": "OAUTHBEARER", "oauth_cb": _iam_token(settings.region)}
    if not settings.sasl_username or settings.sasl_password is None:
        raise SettingError(
            f"{settings.sasl_mechanism} needs a user and a password",
            "set PINPIPE_KAFKA__SASL_USERNAME and PINPIPE_KAFKA__SASL_PASSWORD",
        )
    return {
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": settings.sasl_password.get_secret_value(),
    }


def _iam_token(region: str) -> Callable[[str], tuple[str, float]]:
    """What librdkafka calls for a token, again before each ends: the token, and its end in seconds."""
    if not region:
        raise SettingError("AWS_MSK_IAM needs a region", "set PINPIPE_KAFKA__REGION, as eu-west-1")
    try:
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
    except ImportError:
        raise MissingPart("the signer of MSK's tokens is not installed", "kafka") from None

    def token(_: str) -> tuple[str, float]:
        text, expires_ms = MSKAuthTokenProvider.generate_auth_token(region)
        return text, expires_ms / 1_000

    try:
        token("")  # now, where its absence is told in words; a client would wait ten seconds for it
    except Exception as error:
        raise forbidden(f"there is no token for MSK: {error}") from error
    return token
