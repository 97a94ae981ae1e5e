"""All settings as one, read from the environment and `pinpipe.toml`, written for child processes."""

import difflib
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from pinterest_pipeline.config.groups import (
    PREFIX,
    EngineSettings,
    GatewaySettings,
    KafkaSettings,
    KinesisSettings,
    LogSettings,
    ObjectSettings,
    SinkSettings,
    StreamSettings,
    TableSettings,
    expanded,
)
from pinterest_pipeline.errors import SettingError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


_HOMES = "homes.toml"
_NOTHING = "null"  # what a child gets where we have no value and pinpipe.toml may have one


class Settings(BaseSettings):
    """All settings of the pipeline."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_parse_none_str=_NOTHING,
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
    kinesis: KinesisSettings = Field(KinesisSettings(), description="Streams as Kinesis has them.")
    sink: SinkSettings = Field(SinkSettings(), description="Log to objects.")
    objects: ObjectSettings = Field(ObjectSettings(), description="The store of objects.")
    stream: StreamSettings = Field(StreamSettings(), description="Streams to Delta tables.")
    tables: TableSettings = Field(TableSettings(), description="The Delta tables.")
    engine: EngineSettings = Field(EngineSettings(), description="The engine that cleans and answers.")

    _expanded = field_validator("*")(expanded)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        here = TomlConfigSettingsSource(settings_cls)
        named = (source().get("data") for source in (init_settings, env_settings, here))
        folder = next(
            (str(found) for found in named if found), str(settings_cls.model_fields["data"].default)
        )
        data = Path(os.path.expanduser(folder)).absolute()  # noqa: PTH111 - which refuses an unknown user itself
        homes = TomlConfigSettingsSource(settings_cls, toml_file=data / _HOMES)
        return init_settings, env_settings, here, homes


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


def remember(settings: Settings) -> None:
    """Keep in the working folder where its topics and objects are, for every later command there."""
    home, url = json.dumps(settings.log.home), json.dumps(settings.objects.url)
    path = settings.data / _HOMES
    path.with_suffix(".tmp").write_text(f"[log]\nhome = {home}\n\n[objects]\nurl = {url}\n", encoding="utf-8")
    path.with_suffix(".tmp").replace(path)


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment that gives a child process these very settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    return inherited | dict(variables(settings))


def variables(settings: BaseModel, prefix: str = PREFIX) -> list[tuple[str, str]]:
    """Every setting as (environment variable, value), secrets in the clear."""
    rows: list[tuple[str, str]] = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        variable = prefix + name.upper()
        if isinstance(value, BaseModel):
            rows += variables(value, variable + "__")
        else:
            rows.append((variable, _NOTHING if value is None else _written(value)))
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
            near = difflib.get_close_matches(name.upper(), known, 1, cutoff=0.85)
            guess = f"did you mean {near[0]}? " if near else ""
            raise SettingError(
                f"the environment variable {name} is no setting",
                f"{guess}see 'pinpipe settings' for all names",
            )


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{PREFIX}{_joined(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}{_found(problem)}"
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


def on_databricks() -> bool:
    """Whether this process runs on Databricks, by the variable that every runtime of it sets."""
    return "DATABRICKS_RUNTIME_VERSION" in os.environ


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
