"""What a key may do (pure): scopes such as `write:topic:124df56aef51.*`, a verb on the nouns of a pattern."""

import fnmatch
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple, cast, get_args

from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.gateway.operations import Noun, Verb

_VERBS: Final[tuple[str, ...]] = get_args(Verb)
_NOUNS: Final[tuple[str, ...]] = get_args(Noun)
_NAMELESS: Final = ("cluster", "service")
"""Nouns of which there is one, so that a scope need not name it."""
_PATTERN: Final = re.compile(r"[\x21-\x7e]{1,255}")
_IMPLY_DESCRIBE: Final = ("read", "write", "delete")
"""Who may do one of these may describe the noun too, as in the access lists of Kafka."""


class Scope(NamedTuple):
    """A verb on every noun of a kind whose name fits the pattern; `*` is any text, `?` any character."""

    verb: Verb
    noun: Noun
    pattern: str


def parse(text: str) -> Scope:
    """Read `verb:noun:pattern`, or `verb:noun` where there is only one; raises SettingError."""
    verb, _, rest = text.partition(":")
    noun, _, pattern = rest.partition(":")
    pattern = pattern or ("*" if noun in _NAMELESS else "")
    if verb not in _VERBS or noun not in _NOUNS or not _PATTERN.fullmatch(pattern):
        raise SettingError(
            f"'{text}' is no scope",
            f"write VERB:NOUN:NAME, like write:topic:124df56aef51.*; verbs are {', '.join(_VERBS)}, nouns"
            f" {', '.join(_NOUNS)}; in the name * stands for any text and ? for one character",
        )
    return Scope(cast("Verb", verb), cast("Noun", noun), pattern)


class Grant:
    """All that the scopes of one key allow."""

    def __init__(self, scopes: Iterable[str]) -> None:
        """`scopes` are texts that `parse` takes; raises SettingError."""
        patterns: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for verb, noun, pattern in map(parse, scopes):
            # Only the two wildcards that the scopes know; the expression that comes out does not backtrack.
            expression = fnmatch.translate(pattern.replace("[", "[[]"))
            patterns[verb, noun].append(expression)
            if verb in _IMPLY_DESCRIBE:
                patterns["describe", noun].append(expression)
        self._patterns = {what: re.compile("|".join(found)) for what, found in patterns.items()}

    def allows(self, verb: Verb, noun: Noun, name: str | None) -> bool:
        """Whether the verb is allowed on the noun of this name; for None, on any of the kind."""
        pattern = self._patterns.get((verb, noun))
        return pattern is not None and (name is None or pattern.match(name) is not None)
