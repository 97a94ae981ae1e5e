"""What the gateway can do (pure): one entry for each operation.

Routes, checks, figures and the OpenAPI document all come from these entries, so that none can differ from
another.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from starlette.requests import Request

from pinterest_pipeline.gateway.error_codes import Fault, Kind
from pinterest_pipeline.gateway.responses import Answer, Streamed

Api = Literal["kafka_v2", "kafka_v3", "kinesis", "kinesis_wire", "service"]
"""A part of the API; it decides how an error is written."""

Noun = Literal["topic", "group", "stream", "cluster", "service"]
Verb = Literal["describe", "read", "write", "create", "delete"]

Handler = Callable[[Request], Awaitable[Answer | Streamed | Fault]]
"""Answers a request. What it raises becomes a fault, a PipelineError one that says what was wrong."""


PATH_NUMBERS: Final = frozenset({"partition", "partition_id", "broker_id"})
"""The parameters of paths that are whole numbers."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller must be allowed to do: a verb on the noun that the path parameter `of` names.

    Without `of` it is asked for any noun of the kind; the handler then shows only those the caller may see.
    """

    verb: Verb
    noun: Noun
    of: str | None = None


PUBLIC: Final = None
"""An operation that asks for no access: it shows nothing of the data."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or header of an operation; path parameters are read off the path."""

    name: str
    place: Literal["query", "header"]
    type: Any
    """The type of its value, as msgspec describes it in JSON Schema."""
    says: str
    required: bool = False


IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    str,
    "A key of this request: sent again with it, the request appends nothing and gets the same receipts",
)
TRACEPARENT: Final = Parameter(
    "traceparent", "header", str, "W3C trace context; it travels on as a header of each record"
)


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request: its type, and the media types it may come in, the preferred one first."""

    type: Any
    media: tuple[str, ...]
    required: bool = True
    types: Mapping[str, Any] = field(default_factory=dict)
    """The type in media types where it is another one."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path."""

    id: str
    api: Api
    method: str
    path: str
    handler: Handler
    says: str
    access: Access | None
    answers: Mapping[int, Any]
    """The type of the body of each status that is no fault; None for an answer without a body."""
    media: str
    """The media type of the answers."""
    other_media: tuple[str, ...] = ()
    """What the answers also come as, for callers that accept only that."""
    body: Body | None = None
    parameters: tuple[Parameter, ...] = ()
    target: str = ""
    """What `X-Amz-Target` names it by, where that and not the path tells operations apart."""
    faults: tuple[Kind, ...] = ()
    """What may go wrong beside what may go wrong everywhere (`error_codes.EVERYWHERE`)."""
