"""The media types of the Kafka REST API v2, and which of them a caller takes (pure)."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request

from pinterest_pipeline.gateway.error_codes import MEDIA_TYPE, NOT_ACCEPTABLE, Fault
from pinterest_pipeline.gateway.responses import KAFKA_MEDIA

PLAIN_JSON: Final = "application/json"
JSON: Final = "application/vnd.kafka.json.v2+json"
BINARY: Final = "application/vnd.kafka.binary.v2+json"
ANSWERS: Final = (KAFKA_MEDIA, PLAIN_JSON)
"""What an answer may come as: the same bytes under either name."""

PRODUCE: Final = (JSON, BINARY, PLAIN_JSON)
SETTINGS: Final = (KAFKA_MEDIA, PLAIN_JSON, JSON, BINARY, "application/octet-stream", "")
"""What a body of a consumer operation may come in; the empty text is a missing Content-Type."""

_WITH_SCHEMA: Final = frozenset(
    f"application/vnd.kafka.{name}.v2+json" for name in ("avro", "jsonschema", "protobuf")
)


def content_type(request: Request) -> str:
    """The media type of the body in lower case, without parameters; empty when there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def content_fault(media: str, taken: Sequence[str]) -> Fault | None:
    """What is wrong with a Content-Type; among those taken, the empty text is an absent one."""
    if media in taken:
        return None
    named = " or ".join(name for name in taken if name)
    if media in _WITH_SCHEMA:
        return Fault(
            MEDIA_TYPE, f"'{media}' needs a schema registry, and this gateway has none; send {named}"
        )
    return Fault(MEDIA_TYPE, f"the Content-Type is '{media[:100]}', send {named}")


def accepted(request: Request, offered: Sequence[str]) -> str | Fault:
    """The offered media type that the caller likes most, the first of several (RFC 9110, section 12.5.1)."""
    header = ",".join(request.headers.getlist("accept"))
    if not header.strip() or header.strip() == "*/*":
        return offered[0]
    ranges = dict(_range(text) for text in header.lower().split(",") if text.strip())
    best = max(offered, key=lambda media: _quality(media, ranges))
    if _quality(best, ranges) > 0:
        return best
    return Fault(NOT_ACCEPTABLE, f"the answer comes as {' or '.join(offered)}, and Accept takes none of them")


def _range(text: str) -> tuple[str, float]:
    media, *parameters = (part.strip() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media, float(value)
            except ValueError:
                return media, 0.0
    return media, 1.0


def _quality(media: str, ranges: dict[str, float]) -> float:
    for name in (media, f"{media.partition('/')[0]}/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0
