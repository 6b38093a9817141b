"""engine.session.interruptions: who has answered an interrupt, and what is said of who has not."""

from __future__ import annotations

import asyncio

from engine.interruption import Settlement
from engine.session.interruptions import Interruptions
from tests.engine.stage_helpers import virtual

ALL = frozenset("ab")


@virtual
async def test_it_has_settled_once_every_stage_has_answered():
    interruptions = Interruptions()
    ack = interruptions.begin(ALL, "why", ["a", "b"])
    assert (ack.generation, ack.nodes, ack.reason, ack.over) == (1, ALL, "why", False)
    ack.add_dropped({"exit": 2})
    waiting = asyncio.create_task(ack.settled())
    interruptions.stage_settled("a", Settlement(1, {"x": 3}))
    await asyncio.sleep(1)
    assert not waiting.done()
    interruptions.stage_settled("b", Settlement(1, {"x": 1, "y": 0}))
    settlement = await waiting
    assert (settlement.generation, settlement.dropped, settlement.late) == (
        1,
        {"exit": 2, "x": 4},
        (),
    )
    assert ack.settlement is settlement


@virtual
async def test_who_has_applied_an_interrupt_has_applied_those_before():
    interruptions = Interruptions()
    acks = [interruptions.begin(ALL, "", ["a"]) for _ in range(3)]
    interruptions.stage_settled("a", Settlement(2, {"x": 1}))
    assert [ack.over for ack in acks] == [True, True, False]
    assert [ack.settlement.dropped for ack in acks] == [{}, {"x": 1}, {}]


@virtual
async def test_a_stage_that_has_ended_holds_nobody_up():
    interruptions = Interruptions()
    acks = [interruptions.begin(ALL, "", ["a", "b"]) for _ in range(2)]
    interruptions.stage_settled("b", Settlement(2))
    interruptions.stage_gone("a")
    assert all(ack.over for ack in acks)


@virtual
async def test_nothing_to_wait_for_has_settled_at_once():
    ack = Interruptions().begin(ALL, "", [])
    late = []
    ack.expect_by(1, late.append)
    assert not (await ack.settled()).late
    await asyncio.sleep(2)
    assert late == []


@virtual
async def test_who_has_not_answered_by_the_deadline_is_late():
    interruptions, late = Interruptions(), []
    ack = interruptions.begin(ALL, "", ["a", "b", "c"])
    ack.expect_by(1, late.append)
    interruptions.stage_settled("b", Settlement(1, {"x": 1}))
    started = asyncio.get_running_loop().time()
    settlement = await ack.settled()
    assert asyncio.get_running_loop().time() == started + 1
    assert (settlement.late, settlement.dropped) == (("a", "c"), {"x": 1})
    assert late == [("a", "c")]
    interruptions.stage_settled("a", Settlement(1, {"x": 1}))  # too late to count
    assert settlement.dropped == {"x": 1}


@virtual
async def test_an_answer_in_time_disarms_the_deadline():
    interruptions, late = Interruptions(), []
    ack = interruptions.begin(ALL, "", ["a"])
    ack.expect_by(1, late.append)
    interruptions.stage_settled("a", Settlement(1))
    await asyncio.sleep(2)
    assert late == []
    assert not (await ack.settled()).late


@virtual
async def test_who_stops_waiting_changes_nothing():
    interruptions = Interruptions()
    ack = interruptions.begin(ALL, "", ["a"])
    waiting = asyncio.create_task(ack.settled())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    interruptions.stage_settled("a", Settlement(1))
    assert (await ack.settled()).generation == 1
