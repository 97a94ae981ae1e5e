"""The settings of each room, with their defaults and bounds."""

import re
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

PREFIX = "PINPIPE_"


def expanded(value: Any) -> Any:
    """A path with the home of a user in place of `~`: in a file of settings no shell does that."""
    try:
        return value.expanduser() if isinstance(value, Path) else value
    except RuntimeError:
        raise ValueError("there is no home folder for that ~") from None


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    _expanded = field_validator("*")(expanded)


class GatewaySettings(Group):
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
    stream_statuses: Literal["real", "always-200"] = Field(
        "real",
        description="Status of an error of /streams: its real one, or 200 for all, as AWS' tutorial has it.",
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

    def url(self, host: str, port: int) -> str:
        """Where callers find a gateway that listens there."""
        scheme = "http" if self.tls_certificate is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @model_validator(mode="after")
    def _one_body_fits(self) -> "GatewaySettings":
        if self.max_bytes_in_flight < self.max_body_bytes:
            raise ValueError(
                f"{PREFIX}GATEWAY__MAX_BYTES_IN_FLIGHT is smaller than {PREFIX}GATEWAY__MAX_BODY_BYTES,"
                " so that no large body would be taken"
            )
        return self


class LogSettings(Group):
    home: Literal["sqlite", "kafka"] = Field(
        "sqlite", description="Where topics are kept: sqlite, a file in the working folder, or kafka."
    )
    streams_home: Literal["sqlite", "kinesis"] = Field(
        "sqlite", description="Where streams are kept: sqlite, a file in the working folder, or kinesis."
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


class KafkaSettings(Group):
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


class SinkSettings(Group):
    flush_size: int = Field(10_000, ge=1, description="Records after which an object is closed.")
    flush_bytes: int = Field(64 * 2**20, ge=1, description="Bytes after which an object is closed.")
    flush_seconds: float = Field(
        10.0, gt=0, description="Age of its first record, in seconds, at which an object is closed."
    )
    poll_seconds: float = Field(
        0.1, gt=0, description="Wait before the log is asked again when it had nothing new."
    )
    topics_dir: str = Field("topics", min_length=1, description="First folder of every object's name.")

    @field_validator("topics_dir")
    @classmethod
    def _is_a_folder(cls, folder: str) -> str:
        """As the sink writes it, so that load and account look where it lands."""
        found = folder.strip("/")
        if any(part in ("", ".", "..") for part in found.split("/")):
            raise ValueError("it names no folder; write for example topics")
        return found


# The store's client ends the process over a bucket or a server of another form.
BUCKET_NAME = r"[A-Za-z0-9._-]*"
STORE_SERVER = r"https?://([^/\s\[\]]+|\[[0-9a-fA-F:.]+\](:\d+)?)"

OWN_S3 = "pinpipe:s3"
"""Instead of a URL: the server that 'pinpipe s3' runs in the working folder."""
STORE_FORMS = {
    "file": "file:///absolute/folder",
    "s3": "s3://bucket/prefix",
    "gs": "gs://bucket/prefix",
    "az": "az://account/container/prefix",
}


class ObjectSettings(Group):
    url: str = Field(
        "",
        description="Where the objects are: file:///folder, s3://bucket/prefix, gs://bucket/prefix or"
        " az://account/container/prefix; pinpipe:s3 for the server of 'pinpipe s3'; empty for a folder in"
        " the working folder.",
    )
    endpoint: str = Field(
        "",
        pattern=f"^({STORE_SERVER}/?)?$",
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
        if not re.fullmatch(BUCKET_NAME, parts.netloc):
            raise ValueError(
                f"write {STORE_FORMS[parts.scheme]}; the first part has letters, digits and . _ -"
            )
        return url

    @model_validator(mode="after")
    def _has_both_keys(self) -> Self:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("access_key_id and secret_access_key go together")
        return self


class StreamSettings(Group):
    mode: Literal["merge", "append"] = Field(
        "merge", description="merge keeps the newest row of a post, append every version of it."
    )
    batch_records: int = Field(20_000, ge=1, description="Most records of one micro-batch of a stream.")
    batch_bytes: int = Field(
        32 * 2**20, ge=1024, description="Bytes of records after which a micro-batch takes no more."
    )
    poll_seconds: float = Field(
        0.3, gt=0, description="Seconds from one micro-batch to the next while there is no backlog."
    )
    on_expired: Literal["stop", "skip"] = Field(
        "stop", description="What to do about records that expired before they were read: stop, or skip them."
    )


class TableSettings(Group):
    keep_minutes: float = Field(
        10.0, ge=0, description="How long files of older versions of a table are kept for who reads them."
    )
    log_minutes: float = Field(
        1.0, ge=0, description="How long entries of a table's log are kept; more of them slow every commit."
    )


class KinesisSettings(Group):
    region: str = Field(
        "", description="Region of Kinesis; empty for AWS_REGION, AWS_DEFAULT_REGION or the AWS profile's."
    )
    endpoint: str = Field(
        "",
        pattern=r"^(https?://[^/\s]+/?)?$",
        description="Address that speaks Kinesis' API instead of AWS, such as another gateway's.",
    )
    delivery_seconds: float = Field(
        30.0, ge=1, description="Time until a record that Kinesis has not acknowledged is given up."
    )
    max_waiting_bytes: int = Field(
        128 * 2**20, ge=2**20, description="Most bytes that may wait for Kinesis; more is refused."
    )
    transition_seconds: float = Field(
        0.5,
        ge=0,
        description="How long a stream is CREATING, UPDATING or DELETING in the gateway's own Kinesis API.",
    )
    shard_limits: bool = Field(
        False,
        description="Whether a shard of the gateway takes and gives no more in a second than one of Kinesis.",
    )


class EngineSettings(Group):
    name: Literal["duckdb", "spark"] = Field(
        "duckdb", description="Who cleans and answers: duckdb, or spark (an optional part)."
    )
    memory_limit: str = Field(
        "1GB",
        pattern=r"^[0-9]+(\.[0-9]+)?\s?(MB|GB|MiB|GiB)$",
        description="Memory DuckDB may use before it spills to disk.",
    )
    spark_memory: str = Field(
        "2g",
        pattern=r"^[1-9][0-9]*[mg]$",
        description="Heap of Spark's JVM on this machine, in Spark's own form; what is more spills to disk.",
    )
    threads: int = Field(0, ge=0, le=1_024, description="Threads the engine uses; 0 takes one for each core.")
