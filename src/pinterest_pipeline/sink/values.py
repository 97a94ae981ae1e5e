"""The values of a properties file, by their types (pure)."""

from collections.abc import Mapping
from typing import NoReturn, TypeVar

from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.sink.keys import BY_NAME

_T = TypeVar("_T")


class Values:
    """What is not given has the key's default; a wrong value raises SettingError with the key's name."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self.given = {name: value.strip() for name, value in properties.items()}

    def text(self, name: str) -> str:
        return self.given.get(name) or BY_NAME[name].default

    def list(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.text(name).split(",") if part.strip())

    def truth(self, name: str) -> bool:
        return self.one_of(name, ("true", "false")) == "true"

    def number(self, name: str, least: int) -> int:
        text = self.text(name)
        try:
            number = int(text)
        except ValueError:
            self.refuse(name, f"{text!r} is no whole number")
        if number < least:
            self.refuse(name, f"it is {least} at least, not {number}")
        return number

    def one_of(self, name: str, values: tuple[_T, ...]) -> _T:
        text = self.text(name).lower()
        for value in values:
            if value == text:
                return value
        return self.refuse(name, f"it is one of {', '.join(map(str, values))}, not '{self.text(name)}'")

    def choice(self, name: str, values: Mapping[str, _T], default: _T | None = None) -> _T:
        """A class by its last name."""
        text = self.text(name).rpartition(".")[2]
        if not text and default is not None:
            return default
        if text not in values:
            self.refuse(name, f"it is one of {', '.join(values)}; {avro(text)}")
        return values[text]

    def refuse(self, name: str, reason: str) -> NoReturn:
        raise SettingError(f"{name}: {reason}", "see docs/reference/sink.md for every key")


def avro(name: str) -> str:
    """Why a class cannot be used."""
    return "Avro needs a schema, and JSON in the log brings none" if "Avro" in name else f"not '{name}'"
