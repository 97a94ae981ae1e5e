import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier

import pytest

from pinterest_pipeline.errors import Unavailable
from pinterest_pipeline.gateway import completions
from pinterest_pipeline.gateway.completions import completed


def test_every_waiter_gets_its_own_result() -> None:
    """Many threads settle futures while the loop delivers: none may be missed."""
    futures: list[Future[int]] = [Future() for _ in range(4_000)]
    barrier = Barrier(4)

    def settle(number: int) -> None:
        barrier.wait()
        for place in range(number, len(futures), 4):
            futures[place].set_result(place)

    async def all_of_them() -> list[int]:
        waiting = [asyncio.ensure_future(completed(future)) for future in futures]
        with ThreadPoolExecutor(4) as pool:
            for number in range(4):
                pool.submit(settle, number)
            return await asyncio.wait_for(asyncio.gather(*waiting), 30)

    assert asyncio.run(all_of_them()) == list(range(4_000))


def test_a_failure_and_a_result_that_is_there_already() -> None:
    failed: Future[int] = Future()
    failed.set_exception(KeyError("gone"))
    done: Future[int] = Future()
    done.set_result(7)
    assert asyncio.run(completed(done)) == 7
    with pytest.raises(KeyError, match="gone"):
        asyncio.run(completed(failed))


def test_a_waiter_that_has_gone_disturbs_no_other() -> None:
    async def scenario() -> int:
        left: Future[int] = Future()
        kept: Future[int] = Future()
        gone = asyncio.ensure_future(completed(left))
        stays = asyncio.ensure_future(completed(kept))
        await asyncio.sleep(0)
        gone.cancel()
        left.set_result(1)
        kept.set_result(2)
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await stays

    assert asyncio.run(scenario()) == 2


def test_what_a_log_never_settles_is_given_up_and_all_else_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs, or a process that was frozen while it held the log's lock."""
    monkeypatch.setattr(completions, "_PATIENCE_SECONDS", 0.02)

    async def scenario() -> list[object]:
        hanging: list[Future[int]] = [Future() for _ in range(3)]
        left = asyncio.ensure_future(completed(hanging[0]))
        await asyncio.sleep(0)
        left.cancel()  # its caller went away
        lost = await asyncio.gather(*(completed(future) for future in hanging[1:]), return_exceptions=True)
        late: Future[int] = Future()
        waiting = asyncio.ensure_future(completed(late))
        for future in (*hanging, late):
            future.set_result(4)
        return [*lost, await waiting]

    first, second, answer = asyncio.run(asyncio.wait_for(scenario(), 30))
    assert isinstance(first, Unavailable)
    assert str(first) == str(second)
    assert str(first).startswith("the log has not answered for 0.02 s. the records may have landed")
    assert answer == 4
