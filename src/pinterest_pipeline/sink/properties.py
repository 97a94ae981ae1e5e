"""Java's `.properties` text, as Kafka Connect's standalone worker reads it (pure).

The rules are those of `java.util.Properties.load`: comments by `#` or `!`; `=`, `:` or white space between
key and value; a backslash at the end of a line joins the next one, `\\uXXXX` and the usual escapes.
"""

import re

from pinterest_pipeline.errors import BadInput

_BLANK = " \t\f"
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|u|.)", re.DOTALL)
_PAIR = re.compile(r"(?P<key>(?:[^\\=: \t\f]|\\.)*)[ \t\f]*[=:]?[ \t\f]*(?P<value>.*)", re.DOTALL)


def parse_properties(text: str) -> dict[str, str]:
    """Keys and values in the order of the file; the last of two equal keys counts. Raises BadInput."""
    found: dict[str, str] = {}
    for number, line in _logical_lines(text):
        pair = _PAIR.fullmatch(line)
        if pair is None:  # only a lone backslash at the very end is no pair
            raise BadInput(f"line {number} of the properties cannot be read: {line!r}")
        found[_unescaped(pair["key"], number)] = _unescaped(pair["value"], number)
    return found


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines without comments and blank ones, joined where a backslash says so, with their first number."""
    found: list[tuple[int, str]] = []
    begun: str | None = None
    first = 0
    for number, natural in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = natural.lstrip(_BLANK)
        if begun is None:
            if not line or line[0] in "#!":
                continue
            begun, first = "", number
        begun += line
        if _goes_on(begun):
            begun = begun[:-1]
            continue
        found.append((first, begun))
        begun = None
    return [*found, (first, begun)] if begun else found


def _goes_on(line: str) -> bool:
    """Whether the line ends with an odd number of backslashes."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _unescaped(text: str, number: int) -> str:
    def character(match: re.Match[str]) -> str:
        escape = match[1]
        if escape == "u":
            raise BadInput(f"line {number} of the properties has \\u without four hexadecimal digits")
        if escape[0] == "u":
            return chr(int(escape[1:], 16))
        return _ESCAPES.get(escape, escape)

    return _ESCAPE.sub(character, text)
