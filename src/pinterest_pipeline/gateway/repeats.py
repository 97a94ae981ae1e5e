"""What a request's own headers say of its records (pure): whether it may come again, and what trace it is of.

`Idempotency-Key` is the header of the IETF draft of that name: a string in quotes, which we also take bare.
`traceparent` and `tracestate` are those of W3C Trace Context; they travel on as headers of each record.
"""

import hashlib
import re
from dataclasses import replace
from typing import Final, TypeVar

from starlette.requests import Request

from pinterest_pipeline.eventlog.base import Headers, Once
from pinterest_pipeline.gateway.error_codes import MISSING_VALUE, Fault
from pinterest_pipeline.gateway.responses import Answer, Streamed

_KEY: Final = re.compile(r'"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x5b\x5d-\x7e]{1,255})')
_TRACE: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_TRACE_STATE: Final = 512


A = TypeVar("A", Answer, Streamed, Answer | Fault, Answer | Streamed | Fault)


def once(request: Request, body: bytes) -> Once | Fault | None:
    """The request's Idempotency-Key with a digest of all that it asks for; None when it has no key.

    A key belongs to its caller: what another one sends under the same key is another request.
    """
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    key = _KEY.fullmatch(given[0]) if len(given) == 1 else None
    if key is None:
        return Fault(
            MISSING_VALUE, 'the Idempotency-Key is one string of 1 to 255 ASCII characters, like "8e03978e"'
        )
    media = request.headers.get("content-type", "")
    digest = hashlib.blake2b(f"{request.method} {request.scope['path']} {media}\n".encode(), digest_size=16)
    digest.update(body)
    caller: str = request.scope.get("caller", "")
    return Once(f"{caller}/{key[1] or key[2]}", digest.digest())


def nth(whole: Once, number: int, record: bytes) -> Once:
    """The n-th record of a request that comes in single records, as a request of its own.

    The backslash can be in no key, so that none names a record of another.
    """
    digest = hashlib.blake2b(whole.fingerprint + record, digest_size=16).digest()
    return Once(f"{whole.key}\\{number}", digest)


def echoed(request: Request, answer: A) -> A:
    """The answer with the Idempotency-Key of its request: so the caller knows that the key was kept."""
    key = request.headers.get("idempotency-key")
    if key is None or isinstance(answer, Fault):
        return answer
    return replace(answer, headers=(*answer.headers, ("idempotency-key", key)))


def trace_headers(request: Request) -> Headers:
    """The trace context as headers of a record; a traceparent that is not valid is left out, as W3C asks."""
    parent = request.headers.get("traceparent", "")
    if not _TRACE.fullmatch(parent):
        return ()
    state = request.headers.get("tracestate", "")
    found = (("traceparent", parent.encode()),)
    if not state or len(state) > _MAX_TRACE_STATE:
        return found
    return (*found, ("tracestate", state.encode("latin-1")))
