"""Folders named by time: Joda-Time patterns, as Confluent's TimeBasedPartitioner takes them (pure).

https://www.joda.org/joda-time/apidocs/org/joda/time/format/DateTimeFormat.html
"""

import calendar
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

import pytz

from pinterest_pipeline.errors import SettingError

_TOKEN = re.compile(r"'(?P<quoted>(?:[^']|'')*)'|(?P<letters>([A-Za-z])\3*)|(?P<other>[^A-Za-z'])")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
_MONTHS: Final = tuple(calendar.month_name)  # English, as long as nobody calls setlocale; from 1 on
_DAYS: Final = tuple(calendar.day_name)
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 local time of any zone
_MILLISECOND: Final = timedelta(milliseconds=1)

_NUMBERS: Final[dict[str, Callable[[datetime], int]]] = {
    "C": lambda moment: moment.year // 100,
    "Y": lambda moment: moment.year,
    "y": lambda moment: moment.year,
    "x": lambda moment: moment.isocalendar().year,
    "w": lambda moment: moment.isocalendar().week,
    "e": lambda moment: moment.isoweekday(),
    "D": lambda moment: moment.timetuple().tm_yday,
    "M": lambda moment: moment.month,
    "d": lambda moment: moment.day,
    "K": lambda moment: moment.hour % 12,
    "h": lambda moment: moment.hour % 12 or 12,
    "H": lambda moment: moment.hour,
    "k": lambda moment: moment.hour or 24,
    "m": lambda moment: moment.minute,
    "s": lambda moment: moment.second,
}


def time_zone(name: str) -> tzinfo:
    """A zone by its long name or as `+hh:mm`; raises SettingError."""
    offset = _OFFSET.fullmatch(name)
    try:
        if offset:
            delta = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            return timezone(-delta if offset[1] == "-" else delta)
        return pytz.timezone(name)
    except (pytz.UnknownTimeZoneError, AttributeError, ValueError):  # ValueError: a day or more, or no ASCII
        raise SettingError(
            f"timezone: there is no time zone '{name}'", "write for example UTC, Europe/Paris or +02:00"
        ) from None


def local_time(milliseconds: int, zone: tzinfo) -> datetime:
    """The wall clock of a zone at a moment; raises OverflowError outside the years 1 to 9999."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return moment.astimezone(zone).replace(tzinfo=None)


def bucket(milliseconds: int, duration_ms: int, zone: tzinfo) -> datetime:
    """The begin of the partition that a moment falls in, on the wall clock of the zone."""
    local = (local_time(milliseconds, zone) - _EPOCH) // _MILLISECOND
    return _EPOCH + timedelta(milliseconds=local // duration_ms * duration_ms)


def formatter(pattern: str, locale: str) -> Callable[[datetime], str]:
    """What writes a moment by the pattern; raises SettingError for what cannot be written."""
    parts = [_part(token, pattern, locale) for token in _tokens(pattern)]
    return lambda moment: "".join(part(moment) for part in parts)


def _tokens(pattern: str) -> list[re.Match[str]]:
    tokens, position = [], 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None:
            raise SettingError(f"path.format: a quote is not closed in {pattern!r}")
        tokens.append(token)
        position = token.end()
    return tokens


def _part(token: re.Match[str], pattern: str, locale: str) -> Callable[[datetime], str]:
    if (letters := token["letters"]) is None:
        quoted = token["quoted"]
        text = token["other"] if quoted is None else quoted.replace("''", "'") or "'"
        return lambda moment: text
    letter, width = letters[0], len(letters)
    if letter == "E" or (letter == "M" and width > 2):
        return _name(letter, width, locale)
    if letter == "a":
        return lambda moment: "AM" if moment.hour < 12 else "PM"
    if letter == "S":
        return lambda moment: f"{moment.microsecond:06d}".ljust(width, "0")[:width]
    if letter not in _NUMBERS:
        raise SettingError(
            f"path.format: the letters '{letters}' of {pattern!r} are not supported",
            f"use {' '.join(_NUMBERS)} E a S, or put the text into quotes",
        )
    number = _NUMBERS[letter]
    if letter in "Yyx" and width == 2:
        return lambda moment: f"{number(moment) % 100:02d}"
    return lambda moment: f"{number(moment):0{width}d}"


def _name(letter: str, width: int, locale: str) -> Callable[[datetime], str]:
    if locale.replace("_", "-").partition("-")[0].lower() != "en":
        raise SettingError(
            f"locale: names of months and days are known in English only, not in '{locale}'",
            "write numbers into path.format (MM instead of MMM), or set locale=en-US",
        )
    length = None if width > 3 else 3
    if letter == "E":
        return lambda moment: _DAYS[moment.weekday()][:length]
    return lambda moment: _MONTHS[moment.month][:length]
