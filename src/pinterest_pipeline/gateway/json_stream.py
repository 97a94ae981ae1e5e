"""Objects of JSON that come one after the other, cut out of bytes as they come (pure).

Only where an object ends is found here, by its braces and strings; whether it is valid JSON is for a decoder
to say. The work is linear in the bytes, however they are cut into chunks.
"""

import re
from typing import Final

_BLANKS: Final = re.compile(rb"[ \t\n\r]*+")
_TO_BRACE: Final = re.compile(rb'(?:[^{}"]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_IN_TEXT: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_OPEN, _QUOTE = b'{"'


class ObjectStream:
    """Takes chunks of bytes and gives whole objects."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._looked = 0  # bytes held that need no second look
        self._depth = 0
        self._in_text = False
        self.broken = False
        """Whether something that is no object stood where one had to begin; nothing after it is read."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The objects that end in this chunk, in order."""
        self._held += chunk
        objects: list[bytes] = []
        while not self.broken and self._ends():
            objects.append(bytes(self._held[: self._looked]))
            self._drop(self._looked)
        return objects

    @property
    def held(self) -> int:
        """The bytes of the object that has begun and not ended."""
        return len(self._held)

    def _drop(self, count: int) -> None:
        del self._held[:count]
        self._looked = 0

    def _ends(self) -> bool:
        """Look on to the end of an object; False when it has not come yet."""
        if self._depth == 0 and not self._begins():
            return False
        while True:
            if self._in_text and not self._text_ends():
                return False
            self._look(_TO_BRACE)
            if self._looked == len(self._held):
                return False
            found = self._held[self._looked]
            self._looked += 1
            if found == _QUOTE:  # of a text whose end has not come
                self._in_text = True
            else:
                self._depth += 1 if found == _OPEN else -1
                if self._depth == 0:
                    return True

    def _begins(self) -> bool:
        self._look(_BLANKS)
        self._drop(self._looked)
        if not self._held:
            return False
        self.broken = self._held[0] != _OPEN
        return not self.broken

    def _text_ends(self) -> bool:
        self._look(_IN_TEXT)
        if self._looked == len(self._held) or self._held[self._looked] != _QUOTE:
            return False
        self._looked += 1
        self._in_text = False
        return True

    def _look(self, pattern: re.Pattern[bytes]) -> None:
        found = pattern.match(self._held, self._looked)
        self._looked = found.end() if found else self._looked
