"""The options of the source `kinesis`: Databricks' names and defaults (pure).

Source: "Connect to Amazon Kinesis" in the documentation of Databricks. Names are case-insensitive, as all
options of Spark are.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from pinterest_pipeline.engines.kinesis_source_position import Beginning, beginning
from pinterest_pipeline.errors import SettingError

_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_BYTES: Final = {"b": 1, "k": 2**10, "kb": 2**10, "m": 2**20, "mb": 2**20, "g": 2**30, "gb": 2**30}
_MEGABYTE: Final = 10**6

NO_EFFECT: Final = (
    "coalesceThresholdBlockSize",
    "coalesceBinSize",
    "avoidEmptyBatches",
    "consumerName",
    "consumerNamePrefix",
    "consumerRefreshInterval",
    "registerConsumerTimeoutInterval",
    "deregisterConsumerTimeoutInterval",
    "requireConsumerDeregistration",
)
"""Options of Databricks that shape its buffers or its enhanced fan-out: taken, and without effect here."""


def _quantity(text: str, units: Mapping[str, float], example: str) -> float:
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([a-z]+)\s*", text.lower())
    if match is None or match[2] not in units:
        raise ValueError(f"write it like {example}, with one of {', '.join(units)}")
    return float(match[1]) * units[match[2]]


def _seconds(text: str) -> float:
    return _quantity(text, _SECONDS, "10s")


def _bytes(text: str) -> int:
    return int(_quantity(text, _BYTES, "20gb"))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",")) if text else ()
    for name in names:
        if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,128}", name):
            raise ValueError(f"'{name[:128]}' is no name of a stream")
    if len(set(names)) < len(names):
        raise ValueError("a stream is named twice")
    return names


def _polling(text: str) -> str:
    if text.lower() != "polling":
        raise ValueError("only polling is built here; enhanced fan-out (efo) is Databricks' alone")
    return "polling"


def _address(text: str) -> str:
    return text if not text or "://" in text else f"https://{text}"


Seconds = Annotated[float, BeforeValidator(_seconds)]
Bytes = Annotated[int, BeforeValidator(_bytes)]
Address = Annotated[str, BeforeValidator(_address), Field(pattern=r"^(https?://[^/\s]+/?)?$")]


class KinesisOptions(BaseModel):
    """Every option that has an effect; the alias of a field is its name for Spark."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        alias_generator=to_camel,
    )

    stream_name: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        "", description="Streams to read, with commas between.", validate_default=True
    )
    stream_arn: str = Field(
        "",
        alias="streamARN",
        pattern=r"^(arn:[a-z-]+:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128})?$",
        description="Instead of names: the Amazon resource name of one stream.",
    )
    region: str = Field("", description="Region of the streams; AWS's usual chain when it is not given.")
    endpoint: Address = Field("", description="Address of the service, other than the region's own.")
    initial_position: Annotated[Beginning, BeforeValidator(beginning)] = Field(
        "latest",
        description="Where a query without a checkpoint begins: latest, trim_horizon, earliest or a time"
        ' as {"at_timestamp": "…", "format": "…"}.',
        validate_default=True,
    )
    consumer_mode: Annotated[str, BeforeValidator(_polling)] = Field(
        "polling", description="How records come: polling."
    )
    max_records_per_fetch: int = Field(10_000, ge=1, le=10_000, description="Most records of one request.")
    max_fetch_rate: float = Field(
        1.0, gt=0, le=2.0, description="Most megabytes (10^6 bytes) a second of one shard."
    )
    max_fetch_duration: Seconds = Field(
        "10s",
        gt=0,
        description="How long a batch gathers small answers of shards that are behind.",
        validate_default=True,
    )
    min_fetch_period: Seconds = Field(
        "400ms", ge=0.2, description="Time between two requests to one shard.", validate_default=True
    )
    fetch_buffer_size: Bytes = Field(
        "20gb", ge=1, description="Bytes of data after which a batch is full.", validate_default=True
    )
    shards_per_task: int = Field(5, ge=1, description="Shards that one task of Spark reads.")
    shard_fetch_interval: Seconds = Field(
        "1s",
        gt=0,
        description="Time between two looks for the children of a closed shard.",
        validate_default=True,
    )
    max_shards_per_describe: int = Field(
        100, ge=1, le=10_000, description="Most shards of one request that lists them."
    )
    aws_access_key: str = Field("", description="Access key; AWS's usual chain when it is not given.")
    aws_secret_key: SecretStr | None = Field(None, description="Secret of that access key; never printed.")
    session_token: SecretStr | None = Field(None, description="Token of temporary keys; never printed.")
    role_arn: str = Field("", description="Role that is assumed to read.")
    role_external_id: str = Field("", description="External id that the role asks for.")
    role_session_name: str = Field("", description="Name of the session of the role.")
    sts_endpoint: Address = Field("", description="Address of the service that gives roles.")

    @model_validator(mode="after")
    def _names_streams_and_keys(self) -> Self:
        if bool(self.stream_name) == bool(self.stream_arn):
            raise ValueError("give streamName or streamARN, one of them")
        if bool(self.aws_access_key) != bool(self.aws_secret_key):
            raise ValueError("awsAccessKey and awsSecretKey go together")
        if self.session_token and not self.aws_access_key:
            raise ValueError("sessionToken goes with awsAccessKey and awsSecretKey")
        if not self.role_arn and (self.role_external_id or self.role_session_name or self.sts_endpoint):
            raise ValueError("roleExternalId, roleSessionName and stsEndpoint go with roleArn")
        return self

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of the streams, in order."""
        return self.stream_name or (self.stream_arn.rpartition("/")[2],)

    @property
    def bytes_a_second(self) -> float:
        """Most bytes a second of one shard."""
        return self.max_fetch_rate * _MEGABYTE


def kinesis_options(given: Mapping[str, str]) -> KinesisOptions:
    """The options that Spark hands over; raises SettingError with the name of a wrong or unknown one."""
    known = {name.lower(): name for name in (*option_names(), *NO_EFFECT)}
    named: dict[str, Any] = {}
    for name, value in given.items():
        if name.lower() == "servicecredential":
            raise SettingError(
                "serviceCredential is a credential that only Databricks keeps",
                "give awsAccessKey and awsSecretKey, roleArn, or nothing for AWS's usual chain",
            )
        if name.lower() not in known:
            raise SettingError(f"the source 'kinesis' has no option '{name}'", _guess(name.lower(), known))
        named[known[name.lower()]] = value
    try:
        return KinesisOptions.model_validate({name: named[name] for name in named if name not in NO_EFFECT})
    except ValidationError as error:
        raise SettingError(_problems(error), "docs/reference/kinesis-source.md has every option") from None


def option_names() -> list[str]:
    """The names of all options that have an effect."""
    return [field.alias or name for name, field in KinesisOptions.model_fields.items()]


def _guess(name: str, known: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, known, 1, cutoff=0.7)
    return f"did you mean {known[near[0]]}?" if near else f"it has {', '.join(option_names())}"


def _problems(error: ValidationError) -> str:
    return "the source 'kinesis': " + "; ".join(
        ": ".join([*map(str, problem["loc"][:1]), problem["msg"].removeprefix("Value error, ")])
        for problem in error.errors(include_url=False)
    )
