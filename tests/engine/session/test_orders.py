"""engine.session.orders: what stages are told, and what becomes of who waits for their answers."""

from __future__ import annotations

import asyncio
import types

import pytest

from engine.errors import EdgeClosedError, ResourceLimitError, UsageError
from engine.session.orders import UNANSWERED_MAX, Orders
from engine.steering import Detach, SetNodeState, Tell
from tests.engine.stage_helpers import virtual


class StageDouble:
    """Remembers what it was told; or refuses to be told."""

    def __init__(self, stage_id="s", error=None):
        self.plan = types.SimpleNamespace(id=stage_id)
        self.told = []
        self.error = error

    def steer(self, number, order, hand=None):
        if self.error is not None:
            raise self.error
        self.told.append((number, order, hand))


BYPASS = SetNodeState("n", "bypass")


async def giving(orders, stage, order=BYPASS, hand=None):
    """A call that has given its order and waits."""
    task = asyncio.ensure_future(orders.give(stage, order, hand))
    await asyncio.sleep(0)
    return task


@virtual
async def test_each_call_gets_its_own_answer_in_whichever_order_they_come():
    orders, stage = Orders(), StageDouble()
    hand = object()
    first, second = await giving(orders, stage), await giving(orders, stage, hand=hand)
    (one, order, nothing), (two, _, brought) = stage.told
    assert (order, nothing, brought) == (BYPASS, None, hand)
    assert one != two
    orders.answered(two, {"of": 2})
    orders.answered(one, {"of": 1})
    assert (await first, await second) == ({"of": 1}, {"of": 2})


@virtual
async def test_a_refusal_is_raised():
    orders, stage = Orders(), StageDouble()
    task = await giving(orders, stage)
    orders.answered(stage.told[0][0], UsageError("not that"))
    with pytest.raises(UsageError, match="not that"):
        await task


@virtual
async def test_an_answer_to_what_nobody_asked_is_nothing():
    orders = Orders()
    orders.answered(7, {})
    orders.answered(8, UsageError("late"))


@virtual
async def test_a_second_answer_is_nothing():
    orders, stage = Orders(), StageDouble()
    task = await giving(orders, stage)
    number = stage.told[0][0]
    orders.answered(number, {"first": True})
    orders.answered(number, UsageError("second"))
    assert await task == {"first": True}


@virtual
async def test_a_stage_that_ends_answers_all_it_was_told_and_no_other():
    orders, stage, other = Orders(), StageDouble("s"), StageDouble("t")
    tasks = [await giving(orders, stage) for _ in range(3)]
    beside = await giving(orders, other)
    orders.stage_gone("s")
    for task in tasks:
        with pytest.raises(EdgeClosedError, match="stage 's' has ended before"):
            await task
    orders.answered(other.told[0][0], {})
    assert await beside == {}


@virtual
async def test_an_order_that_cannot_be_told_counts_for_nothing():
    orders = Orders()
    stage = StageDouble(error=UsageError("it is no JSON"))
    for _ in range(2 * UNANSWERED_MAX):
        with pytest.raises(UsageError, match="no JSON"):
            await orders.give(stage, BYPASS)


@virtual
async def test_so_many_orders_are_unanswered_and_no_more():
    orders, stage, other = Orders(), StageDouble("s"), StageDouble("t")
    tasks = [await giving(orders, stage) for _ in range(UNANSWERED_MAX)]
    with pytest.raises(ResourceLimitError, match=r"node 'n' has not answered 64 orders"):
        await orders.give(stage, Tell(("n", "m"), {}, 0))
    assert len(stage.told) == UNANSWERED_MAX
    await giving(orders, other)  # another one is not busy
    orders.answered(stage.told[0][0], {})
    assert await tasks[0] == {}
    tasks.append(await giving(orders, stage, Detach("tap-1", "n")))
    assert len(stage.told) == UNANSWERED_MAX + 1
    orders.stage_gone("s")
    orders.stage_gone("t")
    await asyncio.gather(*tasks[1:], return_exceptions=True)


@virtual
async def test_a_cancelled_wait_counts_until_its_order_is_answered():
    orders, stage = Orders(), StageDouble()
    for _ in range(UNANSWERED_MAX):
        task = await giving(orders, stage)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    with pytest.raises(ResourceLimitError):
        await orders.give(stage, BYPASS)
    for number, _, _ in list(stage.told):
        orders.answered(number, {})
    task = await giving(orders, stage)
    orders.answered(stage.told[-1][0], {"yes": 1})
    assert await task == {"yes": 1}


@virtual
async def test_an_answer_beside_a_cancellation_harms_nobody():
    orders, stage = Orders(), StageDouble()
    task = await giving(orders, stage)
    orders.answered(stage.told[0][0], {})
    task.cancel()  # before it has run again
    await asyncio.wait([task])
    again = await giving(orders, stage)
    orders.answered(stage.told[1][0], {})
    assert await again == {}
