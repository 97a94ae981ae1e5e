"""`db_creds.yaml`: the source database and the addresses of the API, as in the original project."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import yaml
from pydantic import (
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from pinterest_pipeline.config.groups import Group
from pinterest_pipeline.errors import SettingError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL as DatabaseURL


class Credentials(Group):
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
            except (ArgumentError, ValueError):  # of a port that is no number
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
    except ValueError as error:  # what looks like a date and is none
        raise SettingError(f"{path} has a value that YAML cannot read: {error}", "put it in quotes") from None
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
