"""Every setting: typed, explained, refused at start by its name. The only reader of the environment.

A setting comes from the environment (`PINPIPE_SINK__FLUSH_SIZE=500`), from `pinpipe.toml` in the current
folder (`[sink]` `flush_size = 500`), or from its default, in this order. The source database and the
addresses of the HTTP API come from `db_creds.yaml`, as in the original project.
"""

import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from pinterest_pipeline.errors import SettingError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from sqlalchemy.engine import URL as DatabaseURL

PREFIX = "PINPIPE_"


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaySettings(_Group):
    host: str = Field(
        "127.0.0.1", description="Address the gateway listens on; other than loopback only if you say so."
    )
    port: int = Field(
        8082, ge=0, le=65535, description="Port the gateway listens on; 0 lets the system choose."
    )
    workers: int = Field(
        1, ge=1, le=64, description="Processes that answer; the limits on connections and bytes are for each."
    )
    max_body_bytes: int = Field(10 * 2**20, ge=1024, description="Largest request body taken, in bytes.")
    max_records: int = Field(10_000, ge=1, description="Most records taken in one request.")
    advertised_url: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Address that callers know the gateway by; empty takes the one a request came in on.",
    )
    consumer_timeout_seconds: float = Field(
        300.0, gt=0, description="A consumer instance that is not used for so many seconds is removed."
    )
    consumer_max_wait_seconds: float = Field(
        60.0, ge=0, description="Longest wait for records of one request of a consumer instance."
    )
    access: Literal["auto", "open", "keys"] = Field(
        "auto",
        description="Who may call: open (anyone), keys (who has a key), auto (open on loopback, else keys).",
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file with the certificate and its chain; with it the gateway speaks only TLS."
    )
    tls_key: Path | None = Field(None, description="PEM file with the certificate's private key.")
    tls_client_ca: Path | None = Field(
        None, description="PEM file with the CA whose certificate every client must show."
    )
    cors_origins: str = Field(
        "",
        pattern=r"^(\*|(https?://[^\s/*]+\s*)*)$",
        description="Origins whose pages may call from a browser, with blanks between; * for any.",
    )
    max_bytes_in_flight: int = Field(
        256 * 2**20, ge=1024, description="Most bytes of bodies held at once; what is over it gets a 503."
    )
    max_connections: int = Field(10_000, ge=1, description="Most connections at once; one more gets a 503.")
    max_header_bytes: int = Field(
        32 * 2**10, ge=1024, description="Largest head of a request, in bytes; larger gets a 431."
    )
    max_url_bytes: int = Field(
        8 * 2**10, ge=256, description="Longest address in a request, in bytes; longer gets a 414."
    )
    header_seconds: float = Field(
        10.0,
        gt=0,
        description="Time for the head of a request to come in, from the connection or first byte.",
    )
    body_seconds: float = Field(60.0, gt=0, description="Time for the body of a request to come in.")
    answer_seconds: float = Field(60.0, gt=0, description="Time for a client to take an answer.")
    keep_alive_seconds: float = Field(
        75.0, gt=0, description="Time an idle connection is kept; longer than clients keep theirs."
    )
    access_log: str = Field(
        "off",
        min_length=1,
        description="Where a JSON line for each request goes: off, a file, or - for standard error.",
    )

    @model_validator(mode="after")
    def _one_body_fits(self) -> "GatewaySettings":
        if self.max_bytes_in_flight < self.max_body_bytes:
            raise ValueError(
                f"{PREFIX}GATEWAY__MAX_BYTES_IN_FLIGHT is smaller than {PREFIX}GATEWAY__MAX_BODY_BYTES,"
                " so that no large body would be taken"
            )
        return self


class LogSettings(_Group):
    home: Literal["sqlite", "kafka"] = Field(
        "sqlite", description="Where topics are kept: sqlite, a file in the working folder, or kafka."
    )
    partitions: int = Field(
        3, ge=1, le=1000, description="Partitions of a topic that the pipeline creates for itself."
    )
    shards: int = Field(
        2, ge=1, le=1000, description="Shards of a stream that the pipeline creates for itself."
    )
    max_record_bytes: int = Field(
        2**20, ge=1024, description="Largest record (key and value) the log takes, in bytes."
    )
    session_seconds: float = Field(
        10.0, gt=0, description="Silence after which a member of a group of the sqlite log loses its share."
    )


class KafkaSettings(_Group):
    bootstrap_servers: str = Field(
        "",
        description="Brokers to ask first, as host:port,host:port; empty: the node of 'pinpipe kafka'.",
    )
    port: int = Field(
        9092, ge=0, le=65535, description="Port of the node of 'pinpipe kafka'; 0 lets the system choose."
    )
    replication: int = Field(
        0, ge=0, le=100, description="Copies of a topic that is created; 0 leaves it to the cluster."
    )
    delivery_seconds: float = Field(
        30.0, ge=1, description="Time until a record that the brokers have not acknowledged is given up."
    )
    max_waiting_bytes: int = Field(
        128 * 2**20, ge=2**20, description="Most bytes that may wait for the brokers; more is refused."
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How brokers are reached: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."
    )
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "AWS_MSK_IAM"] = Field(
        "", description="How we log in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or AWS_MSK_IAM."
    )
    sasl_username: str = Field("", description="User of PLAIN and SCRAM.")
    sasl_password: SecretStr | None = Field(None, description="Password of that user; never printed.")
    ssl_ca: Path | None = Field(
        None, description="File with the certificates (PEM) that sign the brokers'; else the system's."
    )
    ssl_certificate: Path | None = Field(None, description="File with our own certificate (PEM), for mTLS.")
    ssl_key: Path | None = Field(None, description="File with the key (PEM) of our own certificate.")
    ssl_key_password: SecretStr | None = Field(None, description="Password of that key; never printed.")
    region: str = Field("", description="AWS region that AWS_MSK_IAM signs for.")
    properties: dict[str, SecretStr] = Field(
        {}, description="Further properties of librdkafka as one JSON object; they come before our own."
    )


class SinkSettings(_Group):
    flush_size: int = Field(10_000, ge=1, description="Records after which an object is closed.")
    flush_bytes: int = Field(64 * 2**20, ge=1, description="Bytes after which an object is closed.")
    flush_seconds: float = Field(
        10.0, gt=0, description="Age of its first record, in seconds, at which an object is closed."
    )
    poll_seconds: float = Field(
        0.1, gt=0, description="Wait before the log is asked again when it had nothing new."
    )
    topics_dir: str = Field("topics", min_length=1, description="First folder of every object's name.")


OWN_S3 = "pinpipe:s3"
"""Instead of a URL: the server that 'pinpipe s3' runs in the working folder."""
STORE_FORMS = {
    "file": "file:///absolute/folder",
    "s3": "s3://bucket/prefix",
    "gs": "gs://bucket/prefix",
    "az": "az://account/container/prefix",
}


class ObjectSettings(_Group):
    url: str = Field(
        "",
        description="Where the objects are: file:///folder, s3://bucket/prefix, gs://bucket/prefix or"
        " az://account/container/prefix; pinpipe:s3 for the server of 'pinpipe s3'; empty for a folder in"
        " the working folder.",
    )
    endpoint: str = Field(
        "",
        pattern=r"^(https?://[^/\s]+/?)?$",
        description="Address of an S3 server other than AWS; http:// is taken as it is, without encryption.",
    )
    region: str = Field(
        "", description="Region of the bucket; empty for AWS_REGION, the AWS profile's, or us-east-1."
    )
    access_key_id: str = Field(
        "", description="Access key of S3; empty for AWS's usual chain (environment, profile, role)."
    )
    secret_access_key: SecretStr | None = Field(None, description="Secret of that access key; never printed.")
    timeout_seconds: float = Field(
        120.0, gt=0, description="Longest that one request to the store may take, its body included."
    )
    retry_seconds: float = Field(
        60.0, ge=0, description="How long a request that failed by the way is tried again."
    )
    fetch_bytes: int = Field(
        2**30, ge=1, description="Bytes of objects that one load step takes, and copies from a remote store."
    )

    @field_validator("url")
    @classmethod
    def _has_a_known_form(cls, url: str) -> str:
        parts = urlsplit(url)
        if url in ("", OWN_S3):
            return url
        if parts.scheme not in STORE_FORMS:
            raise ValueError(f"write one of {', '.join(STORE_FORMS.values())}, {OWN_S3}")
        is_folder = parts.scheme == "file"
        needs_path = parts.scheme in ("file", "az")
        if bool(parts.netloc) == is_folder or (needs_path and not parts.path.strip("/")):
            raise ValueError(f"write {STORE_FORMS[parts.scheme]}")
        if parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError("a URL of objects takes no user, '?' or '#'; keys have settings of their own")
        return url

    @model_validator(mode="after")
    def _has_both_keys(self) -> Self:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("access_key_id and secret_access_key go together")
        return self


class StreamSettings(_Group):
    batch_records: int = Field(20_000, ge=1, description="Most records of one micro-batch.")
    poll_seconds: float = Field(
        0.2, gt=0, description="Wait before the streams are asked again when they had nothing new."
    )


class EngineSettings(_Group):
    memory_limit: str = Field(
        "1GB",
        pattern=r"^[0-9]+(\.[0-9]+)?\s?(MB|GB|MiB|GiB)$",
        description="Memory DuckDB may use before it spills to disk.",
    )
    threads: int = Field(0, ge=0, description="Threads DuckDB uses; 0 takes one for each core.")


class Settings(BaseSettings):
    """All settings of the pipeline."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        toml_file="pinpipe.toml",
        extra="forbid",
        frozen=True,
    )

    data: Path = Field(Path("pinpipe-data"), description="The one folder that holds everything a run makes.")
    pipeline_id: str = Field(
        "124df56aef51",
        pattern=r"^[a-zA-Z0-9]{1,64}$",
        description="Id of the pipeline's user; part of every topic's, stream's and table's name.",
    )
    cache: Path = Field(
        Path("~/.cache/pinpipe"), description="Folder for what is downloaded once, such as Kafka's jars."
    )
    db_creds: Path = Field(
        Path("db_creds.yaml"), description="File with the source database and the API addresses."
    )
    gateway: GatewaySettings = Field(GatewaySettings(), description="The HTTP front of the event log.")
    log: LogSettings = Field(LogSettings(), description="The event log.")
    kafka: KafkaSettings = Field(KafkaSettings(), description="Kafka as the home of topics.")
    sink: SinkSettings = Field(SinkSettings(), description="Log to objects.")
    objects: ObjectSettings = Field(ObjectSettings(), description="The store of objects.")
    stream: StreamSettings = Field(StreamSettings(), description="Streams to Delta tables.")
    engine: EngineSettings = Field(EngineSettings(), description="The engine that cleans and answers.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment and `pinpipe.toml`; raises SettingError with the name of a wrong one."""
    _refuse_unknown_variables()
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingError(
            _problems(error), "see 'pinpipe settings' for all names and what they take"
        ) from None
    except ValueError as error:  # pinpipe.toml that is not TOML, or a group that is not JSON
        raise SettingError(
            f"the settings cannot be read: {error}",
            "PINPIPE_KAFKA__PROPERTIES and whole groups are JSON objects, pinpipe.toml is TOML",
        ) from None


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment that gives a child process these very settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    return inherited | dict(variables(settings))


def variables(settings: BaseModel, prefix: str = PREFIX) -> list[tuple[str, str]]:
    """Every setting that has a value as (environment variable, value), secrets in the clear."""
    rows: list[tuple[str, str]] = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        variable = prefix + name.upper()
        if isinstance(value, BaseModel):
            rows += variables(value, variable + "__")
        elif value is not None:
            rows.append((variable, _written(value)))
    return rows


def _written(value: Any) -> str:
    """A value as the environment takes it."""
    if isinstance(value, dict):
        return json.dumps({name: _written(part) for name, part in value.items()})
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def explained(group: type[BaseModel] = Settings, prefix: str = PREFIX) -> list[tuple[str, str, str]]:
    """Every setting as (environment variable, default, what it is), in the order of this file."""
    rows: list[tuple[str, str, str]] = []
    for name, field in group.model_fields.items():
        variable = prefix + name.upper()
        if isinstance(field.default, BaseModel):
            rows += explained(type(field.default), variable + "__")
        else:
            default = "" if field.default is None else str(field.default)
            rows.append((variable, default, field.description or ""))
    return rows


def _refuse_unknown_variables() -> None:
    known = {variable for variable, _, _ in explained()} | {_CRASH_VARIABLE}
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise SettingError(
                f"the environment variable {name} is no setting", "see 'pinpipe settings' for all names"
            )


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{PREFIX}{_joined(problem['loc'])}: {problem['msg']}{_found(problem)}"
        for problem in error.errors(include_url=False)
    )


def _found(problem: "ErrorDetails") -> str:
    """What was found, unless that is or holds a secret."""
    is_group = isinstance(problem["input"], dict)
    place = "__".join(str(part) for part in problem["loc"]).lower()
    is_secret = any(word in place for word in ("secret", "password", "properties"))
    return "" if is_group or is_secret else f", got {problem['input']!r}"


def _joined(location: tuple[int | str, ...]) -> str:
    return "__".join(str(part) for part in location).upper()


class Credentials(_Group):
    """What `db_creds.yaml` holds: the source database, in the original's five keys or as one URL; the API."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    HOST: str | None = Field(None, description="Host of the MySQL database.")
    USER: str | None = Field(None, description="User of the database.")
    PASSWORD: SecretStr | None = Field(None, description="Password of that user; never printed.")
    DATABASE: str | None = Field(None, description="Name of the database.")
    PORT: int = Field(3306, ge=1, le=65535, description="Port of the database.")
    URL: SecretStr | None = Field(None, description="Instead of the five keys above: one SQLAlchemy URL.")
    BATCH_API_URL: str = Field(
        "http://127.0.0.1:8082",
        pattern=r"^https?://",
        description="Address of the Kafka half of the API, with its stage.",
    )
    STREAMING_API_URL: str = Field(
        "http://127.0.0.1:8082",
        pattern=r"^https?://",
        description="Address of the Kinesis half of the API, with its stage.",
    )
    API_KEY: SecretStr | None = Field(None, description="API key that is shown to both; never printed.")
    API_CA: Path | None = Field(
        None, description="PEM file with the CA of the API's certificate, if it is one of your own."
    )

    @field_validator("API_KEY")
    @classmethod
    def _is_one_word(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,1024}", key.get_secret_value()):
            raise ValueError("a key is one word of ASCII characters")
        return key

    REQUIRED: ClassVar[tuple[str, ...]] = ("HOST", "USER", "PASSWORD", "DATABASE")

    def database_url(self) -> "DatabaseURL":
        """Where the source database is; raises SettingError when a key is missing or the URL is none."""
        from sqlalchemy.engine import make_url  # half a second that most commands need not wait for
        from sqlalchemy.exc import ArgumentError

        if self.URL is not None:
            try:
                return make_url(self.URL.get_secret_value())
            except ArgumentError:
                raise SettingError(
                    "URL in db_creds.yaml is no SQLAlchemy URL", "write for example sqlite:///posts.sqlite"
                ) from None
        missing = [key for key in self.REQUIRED if getattr(self, key) is None]
        if missing:
            raise SettingError(
                f"db_creds.yaml lacks {', '.join(missing)}",
                "give HOST, USER, PASSWORD and DATABASE, or one URL",
            )
        assert self.PASSWORD is not None
        return make_url("mysql+pymysql://").set(
            username=self.USER,
            password=self.PASSWORD.get_secret_value(),
            host=self.HOST,
            port=self.PORT,
            database=self.DATABASE,
        )


def load_credentials(path: Path) -> Credentials:
    """Read `db_creds.yaml`; raises SettingError that names what is missing or wrong, never a value."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(f"there is no {path}", f"make one: cp db_creds.yaml.example {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise SettingError(
            f"{path} is not YAML{line}", "each line is a key, a colon, a space and a value"
        ) from None
    if not isinstance(content, dict):
        raise SettingError(f"{path} holds no keys", "each line is a key, a colon, a space and a value")
    try:
        return Credentials.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(
            f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors(include_url=False)
        )
        known = ", ".join(Credentials.model_fields)
        raise SettingError(f"{path} has a wrong key or value: {wrong}", f"known keys: {known}") from None


_CRASH_VARIABLE = PREFIX + "CRASH_AT"
_passes: dict[str, int] = {}


def crash_at(point: str) -> None:
    """Die here at once if the tests of crashes ask for it by PINPIPE_CRASH_AT=<point>[:<n-th pass>]."""
    wanted, _, number = os.environ.get(_CRASH_VARIABLE, "").partition(":")
    if wanted != point:
        return
    _passes[point] = _passes.get(point, 0) + 1
    if _passes[point] == int(number or 1):
        os.kill(os.getpid(), signal.SIGKILL)
