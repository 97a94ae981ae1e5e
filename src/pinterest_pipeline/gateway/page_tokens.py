"""Tokens by which a list of Kinesis' own API is gone on with: good for five minutes (pure)."""

import base64
import binascii
from typing import Final, NamedTuple

import msgspec

from pinterest_pipeline.gateway.error_codes import EXPIRED_TOKEN, INVALID_ARGUMENT, Fault
from pinterest_pipeline.gateway.kinesis_requests import ShardFilter

_TOKEN_MS: Final = 300_000
_FOREIGN: Final = Fault(INVALID_ARGUMENT, "NextToken is not one that was given here.")


class Page(NamedTuple):
    """Where a list stands: behind which name, at what time it was said, and what the list is of."""

    given_ms: int
    after: str
    stream: str = ""
    """Whose shards are listed; a list of streams has none."""
    created_ms: int = 0
    filter: ShardFilter | None = None


_pages: Final = msgspec.json.Decoder(Page)


def token(page: Page) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(page)).decode()


def page_of(text: str, *, of_shards: bool) -> Page | Fault:
    """The page of a token, also of one that has expired, of a list of shards or of one of streams."""
    try:
        page = _pages.decode(base64.b64decode(text, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return _FOREIGN
    return page if bool(page.stream) == of_shards else _FOREIGN


def current_page(text: str, now: int, *, of_shards: bool) -> Page | Fault:
    """The page of a token, unless it has expired by now (ms)."""
    page = page_of(text, of_shards=of_shards)
    if isinstance(page, Fault) or now - page.given_ms <= _TOKEN_MS:
        return page
    return Fault(EXPIRED_TOKEN, f"NextToken was given more than {_TOKEN_MS} milliseconds ago.")
