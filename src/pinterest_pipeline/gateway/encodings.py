"""What was encoded once too often, by what it looks like (pure).

Data may be anything, so nothing here is refused or changed: a stream may well hold texts in quotes. But JSON
within a JSON string, or in base64, is what a client sends that encodes what the gateway, or its own library,
encodes already; and readers that look for fields in it find none.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Final

import msgspec

_JSON: Final = "JSON within a JSON string"
_BASE64: Final = "JSON in base64"
_HOW: Final = {
    _JSON: "send the object itself, or the text of one json.dumps",
    _BASE64: "send the object itself: it goes to the stream as it is",
}
_SHOWN: Final = 5
_LEVELS: Final = 4
_IN_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]++={0,2}")
_FIRST_IN_BASE64: Final = (b"e", b"W", b"I", b"Z", b"V", b"S")
"""How base64 of what begins with `{`, `[` or a quote begins, and base64 of that."""

_TEXTS: Final = re.compile(rb'(?:\[[ \t\n\r]*+)?"')
"""How a text begins, and a list of texts."""


class _Body(msgspec.Struct):
    """What is looked at of a body; of the rest, which may be megabytes of small things, nothing is made."""

    records: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


_body: Final = msgspec.json.Decoder(str | _Body)
_text: Final = msgspec.json.Decoder(str)
_any: Final = msgspec.json.Decoder(msgspec.Raw)


def hint(values: Iterable[bytes | None]) -> str | None:
    """What to tell a client about the data that it sent; None when nothing looks wrong."""
    found = [(number, what) for number, value in enumerate(values) if value and (what := _twice(value))]
    if not found:
        return None
    kind = found[0][1]
    alike = [number for number, what in found if what == kind]
    shown = ", ".join(str(number) for number in alike[:_SHOWN]) + (", …" if len(alike) > _SHOWN else "")
    return f"the data of record {shown} are {kind}, and were kept so; {_HOW[kind]}"


def hint_of_body(body: bytes) -> str | None:
    """Why a body that is no request is none, if it is one that was encoded twice."""
    try:
        whole = _body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(whole, str):
        if _is_json(whole.encode()):
            return f"the body is {_JSON}; {_HOW[_JSON]} (in Python's requests: json=payload)"
    elif _TEXTS.match(memoryview(whole.records)):
        return "what 'records' holds is text; send a list of objects, encoded once with all of the body"
    return None


def _twice(value: bytes, levels: int = _LEVELS) -> str | None:
    """What kind of encoding is around the JSON of a value; None when there is none, or no JSON."""
    if not levels:
        return None
    if value.startswith(b'"'):
        try:
            inner, kind = _text.decode(value).encode(), _JSON
        except (msgspec.DecodeError, UnicodeError):
            return None
    elif value[:1] in _FIRST_IN_BASE64 and len(value) % 4 == 0 and _IN_BASE64.fullmatch(value):
        try:
            inner, kind = base64.b64decode(value.translate(_STANDARD)), _BASE64
        except binascii.Error:
            return None
    else:
        return None
    return kind if _is_json(inner) or _twice(inner, levels - 1) else None


_STANDARD: Final = bytes.maketrans(b"-_", b"+/")


def _is_json(value: bytes) -> bool:
    """Whether it is an object or a list."""
    if value[:1] not in (b"{", b"["):
        return False
    try:
        _any.decode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True
