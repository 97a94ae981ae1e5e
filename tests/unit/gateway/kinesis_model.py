"""AWS' own service model of Kinesis, as botocore ships it: whether a request or an answer fits it."""

import re
from functools import cache
from typing import Any

from botocore.loaders import Loader  # type: ignore[import-untyped] # it has no types

Shape = dict[str, Any]


@cache
def model() -> dict[str, Any]:
    found: dict[str, Any] = Loader().load_service_model("kinesis", "service-2", "2013-12-02")
    return found


def shape(name: str) -> Shape:
    found: Shape = model()["shapes"][name]
    return found


def problems(operation: str, side: str, value: Any) -> list[str]:
    """What of a request (`input`) or an answer (`output`) the model does not know."""
    described = model()["operations"][operation]
    if side not in described:
        return [] if value is None else [f"{operation} has no {side}"]
    found = _problems(described[side]["shape"], value, operation)
    # AWS itself answers a count of 0 and an empty list where its model says 1 or more.
    return [problem for problem in found if side == "input" or not problem.endswith(" 0 is out of bounds")]


def errors(operation: str) -> set[str]:
    """The errors that the model announces for an operation."""
    return {error["shape"] for error in model()["operations"][operation].get("errors", [])}


_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "list": (list,),
    "map": (dict,),
    "string": (str,),
    "blob": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
    "timestamp": (int, float),
}


def _problems(name: str, value: Any, where: str) -> list[str]:
    known = shape(name)
    kinds: Any = _TYPES[known["type"]]
    if not isinstance(value, kinds):
        return [f"{where}: {value!r} is no {known['type']}"]
    if known["type"] == "structure":
        return _structure(known, value, where)
    if known["type"] == "list":
        found = [problem for one in value for problem in _problems(known["member"]["shape"], one, where)]
        return found + _bounds(known, len(value), where)
    if known["type"] == "string":
        return _bounds(known, len(value), where) + _text(known, value, where)
    return _bounds(known, value, where) if known["type"] in ("integer", "long") else []


def _structure(known: Shape, value: dict[str, Any], where: str) -> list[str]:
    missing = [f"{where}: {name} is missing" for name in known.get("required", ()) if name not in value]
    unknown = [f"{where}: {name} is unknown" for name in value if name not in known["members"]]
    inner = [
        problem
        for name, one in value.items()
        if name in known["members"] and one is not None
        for problem in _problems(known["members"][name]["shape"], one, f"{where}.{name}")
    ]
    return missing + unknown + inner


def _bounds(known: Shape, value: int, where: str) -> list[str]:
    if known.get("min", value) <= value <= known.get("max", value):
        return []
    return [f"{where}: {value} is out of bounds"]


def _text(known: Shape, value: str, where: str) -> list[str]:
    if "enum" in known and value not in known["enum"]:
        return [f"{where}: {value} is not in {known['enum']}"]
    if "pattern" in known and not re.fullmatch(known["pattern"], value):
        return [f"{where}: {value} does not match {known['pattern']}"]
    return []
