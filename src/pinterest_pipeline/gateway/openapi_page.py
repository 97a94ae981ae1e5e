"""The OpenAPI document as one HTML page that loads nothing (pure). All texts are escaped."""

import functools
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, Final

import jinja2
import msgspec
from markupsafe import Markup, escape

Json = Mapping[str, Any]

_LIMITS: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "length at least {}",
    "maxLength": "length at most {}",
    "pattern": "like {}",
}


def render(document: Json) -> str:
    """The page of a document as `openapi.document` writes it, to be sent as UTF-8."""
    operations = list(_operations(document))
    groups = [
        (tag["name"], [one for one in operations if tag["name"] in one["tags"]]) for tag in document["tags"]
    ]
    return _template().render(document=document, groups=groups, schemas=document["components"]["schemas"])


def _operations(document: Json) -> Iterator[dict[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield {"path": path, "method": method.upper(), **operation}


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"shape": shape, "prose": prose}
    page = resources.files(__package__).joinpath("openapi_page.html").read_text(encoding="utf-8")
    return environment.from_string(page)


def prose(text: str) -> Markup:
    """A text whose parts between backticks are code."""
    parts = enumerate(text.split("`"))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in parts
    )


def shape(schema: Json) -> Markup:
    """A schema in a few words, with links to the schemas it names."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return Markup(" or ").join(shape(one) for one in schema[choice])
    if "enum" in schema:
        return Markup(" or ").join(Markup("<code>{}</code>").format(repr_json(one)) for one in schema["enum"])
    return _plain(schema)


def _plain(schema: Json) -> Markup:
    kind = schema.get("type", "any JSON")
    if kind == "array":
        return Markup("list of {}").format(shape(schema.get("items", {})))
    if kind == "object" and "additionalProperties" in schema and schema["additionalProperties"]:
        return Markup("object of {}").format(shape(schema["additionalProperties"]))
    words = [schema.get("format") or schema.get("contentEncoding") or ""]
    words += [text.format(schema[name]) for name, text in _LIMITS.items() if name in schema]
    return escape(", ".join([kind, *filter(None, words)]))


def repr_json(value: Any) -> str:
    """A value of JSON as it is written there."""
    return msgspec.json.encode(value).decode()
