"""Where a query begins: the values of the option `initialPosition` (pure)."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo

Beginning = Literal["latest", "trim_horizon"] | int
"""The newest end, the oldest record, or a time in milliseconds since 1970."""

DEFAULT_FORMAT: Final = "MM/dd/yyyy HH:mm:ss ZZZ"

# Java's letters, by how they are written; a run of one letter that is not here is refused.
_FIELDS: Final = {
    "yyyy": r"(?P<year>[0-9]{4})",
    "MM": r"(?P<month>[0-9]{2})",
    "M": r"(?P<month>[0-9]{1,2})",
    "dd": r"(?P<day>[0-9]{2})",
    "d": r"(?P<day>[0-9]{1,2})",
    "HH": r"(?P<hour>[0-9]{2})",
    "H": r"(?P<hour>[0-9]{1,2})",
    "mm": r"(?P<minute>[0-9]{2})",
    "ss": r"(?P<second>[0-9]{2})",
}
_ZONE: Final = r"(?P<zone>[A-Za-z_]+(?:/[A-Za-z_]+)*|[+-][0-9]{2}:?[0-9]{2})"
_TOKENS: Final = re.compile(r"(?P<letters>([A-Za-z])\2*)|'(?P<quoted>[^']*)'|(?P<other>.)", re.DOTALL)
# The names that RFC 822 gives to zones; Java knows them, Python's zoneinfo does not know all.
_NAMED_HOURS: Final = {
    "UT": 0, "UTC": 0, "GMT": 0, "Z": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6,
    "PST": -8, "PDT": -7,
}  # fmt: skip


def beginning(text: str) -> Beginning:
    """Where to begin; raises ValueError that says what can be written."""
    word = text.strip().lower()
    if word in ("trim_horizon", "earliest"):
        return "trim_horizon"
    if word == "latest":
        return "latest"
    return _at_timestamp(text)


def _at_timestamp(text: str) -> int:
    forms = 'latest, trim_horizon, earliest or {"at_timestamp": "06/25/2020 10:23:45 PDT", "format": "…"}'
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if (
        not isinstance(given, dict)
        or "at_timestamp" not in given
        or given.keys() - {"at_timestamp", "format"}
    ):
        raise ValueError(f"write one of {forms}")
    if not all(isinstance(value, str) for value in given.values()):
        raise ValueError(f"both values are texts: {forms}")
    return milliseconds(given["at_timestamp"], given.get("format", DEFAULT_FORMAT))


def milliseconds(text: str, java_format: str) -> int:
    """A time as Java's pattern describes it, in milliseconds since 1970; without a zone it is UTC.

    Raises ValueError when the pattern has a letter that is not known here or one part of a time twice, or
    the text does not fit.
    """
    try:
        match = re.fullmatch(_expression(java_format), text.strip())
    except re.error:  # two groups of one name
        raise ValueError(f"the format '{java_format[:100]}' names one part of a time twice") from None
    if match is None:
        raise ValueError(f"the time '{text[:100]}' does not fit the format '{java_format[:100]}'")
    found = match.groupdict()
    year, month, day, hour, minute, second = (int(found.get(name) or least) for name, least in _LEAST.items())
    micros = int((found.get("fraction") or "0").ljust(6, "0")[:6])
    time = datetime(year, month, day, hour, minute, second, micros, _zone(found.get("zone") or "UTC"))
    return int((time - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


_LEAST: Final = {"year": 1970, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}


def _expression(java_format: str) -> str:
    """The regular expression of a pattern of Java."""
    parts = []
    for token in _TOKENS.finditer(java_format):
        letters = token["letters"]
        if letters is None:
            parts.append(re.escape(token["other"] or token["quoted"]))
        elif letters in _FIELDS:
            parts.append(_FIELDS[letters])
        elif set(letters) == {"S"}:
            parts.append(r"(?P<fraction>[0-9]{1,9})")
        elif letters[0] in "zZXxV":
            parts.append(_ZONE)
        else:
            known = ", ".join([*_FIELDS, "S", "z", "Z", "X"])
            raise ValueError(f"'{letters}' in the format is not known here: {known}")
    return "".join(parts)


def _zone(name: str) -> tzinfo:
    if name.upper() in _NAMED_HOURS:
        return timezone(timedelta(hours=_NAMED_HOURS[name.upper()]))
    if name[0] in "+-":
        sign = -1 if name[0] == "-" else 1
        return timezone(sign * timedelta(hours=int(name[1:3]), minutes=int(name[-2:])))
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # some names are folders of zones, as "US" is
        raise ValueError(f"'{name}' is no time zone that is known here") from None
