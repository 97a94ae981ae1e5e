"""Results of a log's threads for the event loop, many of them for each time it is woken."""

import asyncio
from collections import deque
from concurrent.futures import Future
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class _Completions:
    """What is done and not yet delivered to one loop.

    A log settles all requests of a commit one after the other. asyncio.wrap_future wakes the loop for each,
    a system call and a fight for the interpreter's lock every time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._done: deque[tuple[Future[Any], asyncio.Future[Any]]] = deque()
        self._woken = False

    def waiter(self, future: "Future[T]") -> "asyncio.Future[T]":
        waiter: asyncio.Future[T] = self._loop.create_future()
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
            if waiter.cancelled():
                continue
            error = done.exception()
            if error is None:
                waiter.set_result(done.result())
            else:
                waiter.set_exception(error)


_of_loop: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Completions]] = WeakKeyDictionary()


async def completed(future: "Future[T]") -> T:
    """The result of a future that a thread settles; raises what it raises."""
    loop = asyncio.get_running_loop()
    completions = _of_loop.get(loop)
    if completions is None:
        completions = _of_loop[loop] = _Completions(loop)
    return await completions.waiter(future)
