"""The description of the gateway, for machines and for people, as operations of its own."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec
from starlette.requests import Request

from pinterest_pipeline.gateway import openapi, openapi_page
from pinterest_pipeline.gateway.operations import PUBLIC, Handler, Operation
from pinterest_pipeline.gateway.responses import JSON_MEDIA, Answer

HTML_MEDIA: Final = "text/html; charset=utf-8"
_POLICY: Final = (
    "content-security-policy",
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
)


def described(operations: Sequence[Operation], *, secured: bool) -> list[Operation]:
    """The operations, and the two that describe them all; `secured` when a key is asked for."""
    described: list[Operation] = []
    written: list[tuple[bytes, bytes]] = []  # made when first asked for

    def document() -> tuple[bytes, bytes]:
        if not written:
            with_paths = [operation for operation in described if not operation.target]
            made = openapi.document(with_paths, version("pinterest-data-pipeline"), secured=secured)
            written.append((msgspec.json.encode(made), openapi_page.render(made).encode()))
        return written[0]

    async def as_json(_: Request) -> Answer:
        return Answer(document()[0], JSON_MEDIA)

    async def as_page(_: Request) -> Answer:
        return Answer(document()[1], HTML_MEDIA, headers=(_POLICY,))

    described += [
        *operations,
        _operation("openapi", "/openapi.json", as_json, "This document", dict[str, Any], JSON_MEDIA),
        _operation("docs", "/docs", as_page, "This document, to be read", str, HTML_MEDIA),
    ]
    return described


def _operation(
    id: str,  # noqa: A002
    path: str,
    handler: Handler,
    says: str,
    answer: Any,
    media: str,
) -> Operation:
    return Operation(
        id=id,
        api="service",
        method="GET",
        path=path,
        handler=handler,
        says=says,
        access=PUBLIC,
        answers={200: answer},
        media=media,
    )
