"""Results of a log's threads for the event loop, many of them for each time it is woken.

No caller waits for ever: what a log has not settled after two minutes is given up.
"""

import asyncio
from collections import deque
from concurrent.futures import Future
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from pinterest_pipeline.errors import Unavailable

T = TypeVar("T")

_PATIENCE_SECONDS: Final = 120.0
"""A log that works gives up sooner, and says why. A disk that hangs has no end, nor has a process that was
frozen while it held the log's lock."""


class _Completions:
    """What is done and not yet delivered to one loop.

    A log settles all requests of a commit one after the other. asyncio.wrap_future wakes the loop for each,
    a system call and a fight for the interpreter's lock every time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done: deque[tuple[Future[Any], asyncio.Future[Any]]] = deque()
        self._woken = False
        self._waiting: dict[asyncio.Future[Any], float] = {}
        """Since when, by the loop's clock; the oldest first."""
        self._is_watched = False

    def waiter(self, future: "Future[T]") -> "asyncio.Future[T]":
        waiter: asyncio.Future[T] = self._loop.create_future()
        self._waiting[waiter] = self._loop.time()
        if not self._is_watched:
            self._is_watched = True
            self._give_up()
        future.add_done_callback(lambda done: self._add(done, waiter))
        return waiter

    def _add(self, done: "Future[Any]", waiter: "asyncio.Future[Any]") -> None:
        """Called in whichever thread the result is made."""
        self._done.append((done, waiter))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False  # first: what is added from here on may be missed below
        while self._done:
            done, waiter = self._done.popleft()
            self._waiting.pop(waiter, None)
            if waiter.done():
                continue
            error = done.exception()
            if error is None:
                waiter.set_result(done.result())
            else:
                waiter.set_exception(error)

    def _give_up(self) -> None:
        """Fail what has waited for too long, and look again when the next one may have."""
        for waiter, since in list(self._waiting.items()):
            if since + _PATIENCE_SECONDS > self._loop.time():
                self._loop.call_at(since + _PATIENCE_SECONDS, self._give_up)
                return
            del self._waiting[waiter]
            if not waiter.done():
                waiter.set_exception(_given_up())
        self._is_watched = False


def _given_up() -> Unavailable:
    return Unavailable(
        f"the log has not answered for {_PATIENCE_SECONDS:g} s",
        "the records may have landed, or may still: send them again with their Idempotency-Key",
    )


_of_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Completions]] = WeakKeyDictionary()


async def completed(future: "Future[T]") -> T:
    """The result of a future that a thread settles; raises what it raises."""
    loop = asyncio.get_running_loop()
    completions = _of_loop.get(loop)
    if completions is None:
        completions = _of_loop[loop] = _Completions(loop)
    return await completions.waiter(future)
