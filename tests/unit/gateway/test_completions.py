import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier

import pytest

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
