"""Brings one request's records to the API: tries, reads the answer, tries again what may pass by itself.

Every body goes under an Idempotency-Key of its own, and again under that key when its answer was lost. An API
that echoes the key keeps it: a body that comes again is not appended again. So a doubtful record is sent
again in its whole body, under the same key; only where no key is kept, or nothing is in doubt, do the failed
records alone make a new body with a new key.
"""

import asyncio
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx

from pinterest_pipeline.posts.targets import Answer, Refusal, Row, Target
from pinterest_pipeline.records.names import Table
from pinterest_pipeline.records.receipts import Outcome

_LONGEST_PAUSE: Final = 5.0
_KEY_HEADER: Final = "Idempotency-Key"


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to try; seconds."""

    timeout: float = 15.0
    """Longest wait for a connection, or for the next piece of an answer."""
    tries: int = 16
    first_pause: float = 0.1
    """The pause after the first try; it doubles up to 5 s, and chance takes up to half of it away."""
    total: float = 60.0
    """No try begins later than this after the first."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of each record, in the order of the request."""

    outcomes: list[Outcome]
    tries: int
    resent: int
    """Records sent again, counted at each try after the first."""
    last_refusal: Refusal | None
    """The last refusal of the request as a whole, if that was its last answer."""


class Courier:
    """Sends requests over one client; tries no more than once again after `halt` is set."""

    def __init__(self, client: httpx.AsyncClient, target: Target, patience: Patience, halt: asyncio.Event):
        self._client = client
        self._target = target
        self._patience = patience
        self._halt = halt

    async def deliver(self, table: Table, rows: Sequence[Row]) -> Delivered:
        """Send rows until each is acknowledged, refused for good, or patience is at its end."""
        parcel = _Parcel(len(rows))
        started = asyncio.get_running_loop().time()
        while True:
            waiting = [rows[place] for place in parcel.waiting]
            answer, key_is_kept = await self._try(table, waiting, parcel.key)
            again = parcel.read(answer, key_is_kept)
            if not again or not await self._pause(parcel, started):
                return parcel.delivered()
            parcel.send_again(again)

    async def _try(self, table: Table, rows: Sequence[Row], key: str) -> tuple[Answer, bool]:
        """The answer, and whether the API keeps the key of the request."""
        request = self._target.request(table, rows)
        headers = request.headers | {_KEY_HEADER: key}
        try:
            response = await self._client.request(
                request.method, request.path, headers=headers, content=request.content
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            distrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)  # httpx has no type of its own for it
            reason = f"no connection: {_words(error)}"
            return Refusal(reason, retry=not distrusted, hopeless=distrusted), False
        except httpx.RequestError as error:
            return Refusal(f"no answer: {_words(error)}", retry=True, doubtful=True), False
        answer = self._target.answer(response.status_code, response.headers, response.content, len(rows))
        return answer, response.headers.get(_KEY_HEADER) == key

    async def _pause(self, parcel: "_Parcel", started: float) -> bool:
        """Wait before the next try; False when there shall be none."""
        patience = self._patience
        growth = patience.first_pause * 2 ** min(parcel.tries - 1, 32)
        chance = random.uniform(0.5, 1.0)  # noqa: S311 -- keeps many emulators from coming back at once
        pause = max(parcel.wait, chance * min(growth, _LONGEST_PAUSE))
        waited = asyncio.get_running_loop().time() - started
        if self._halt.is_set() or parcel.tries >= patience.tries or waited + pause > patience.total:
            return False
        await told_within(self._halt, pause)  # whoever is halted here has one last try
        return True


async def told_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, at most this long; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


def _new_key() -> str:
    return f'"{uuid.uuid4()}"'


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


class _Parcel:
    """The records of one request on their way: which still wait, and what is known of each."""

    def __init__(self, count: int) -> None:
        self.waiting = list(range(count))
        self.key = _new_key()
        self.tries = 0
        self.wait = 0.0
        self._resent = 0
        self._found: list[Outcome | Refusal] = [Refusal("never tried")] * count
        self._doubtful: set[int] = set()
        self._whole: Refusal | None = None
        self._key_is_kept = False

    def read(self, answer: Answer, key_is_kept: bool) -> list[int]:
        """Note the answer for all that waited; returns those that may be tried again."""
        self.tries += 1
        self._whole = answer if isinstance(answer, Refusal) else None
        self._key_is_kept = key_is_kept
        answers = [answer] * len(self.waiting) if isinstance(answer, Refusal) else answer
        again, self.wait = [], 0.0
        for place, found in zip(self.waiting, answers, strict=True):
            if isinstance(self._found[place], Outcome):
                continue  # it came along in its whole body, and has its receipt
            self._found[place] = found
            if isinstance(found, Refusal):
                self.wait = max(self.wait, found.wait)
                self._note_doubt(place, found)
                if found.retry:
                    again.append(place)
        return again

    def _note_doubt(self, place: int, found: Refusal) -> None:
        """What is said of one record under a kept key is said of every try of that key."""
        if found.doubtful:
            self._doubtful.add(place)
        elif self._key_is_kept and self._whole is None:
            self._doubtful.discard(place)

    def send_again(self, places: list[int]) -> None:
        in_doubt = self._key_is_kept and not self._doubtful.isdisjoint(places)
        if self._whole is None and not in_doubt:
            self.waiting, self.key = places, _new_key()
        self._resent += len(self.waiting)

    def delivered(self) -> Delivered:
        outcomes = [self._outcome(place, found) for place, found in enumerate(self._found)]
        return Delivered(outcomes, self.tries, self._resent, self._whole)

    def _outcome(self, place: int, found: Outcome | Refusal) -> Outcome:
        """A record that may have landed in any try is unknown, whatever the later tries said."""
        if isinstance(found, Outcome):
            return found
        return Outcome(unknown=found.reason) if place in self._doubtful else Outcome(refused=found.reason)
