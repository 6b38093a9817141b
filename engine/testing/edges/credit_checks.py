"""The contract of an edge, second part: credits, and who is told of them.

Source: FR-007, SC-007.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

from engine.testing.edges.flow_checks import LARGE_FRAMES
from engine.testing.edges.traffic import Checks, Traffic, audio, expect, packet

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.testing.edges.traffic import MakeEdge

CREDIT_CHECKS = Checks()

#: Around what is sent at a time and what a batch of credits is.
_CAPACITIES = (1, 2, 3, 5, 63, 64, 65, 200)
_STEPS = 400


@CREDIT_CHECKS.rule("from try_send to release there are never more items than the capacity")
async def check_bounds(make: MakeEdge) -> None:
    for capacity in _CAPACITIES:
        traffic = Traffic(make(capacity))
        for _ in range(2):
            took = traffic.fill()
            await traffic.settle()
            took += traffic.fill()
            more = "more" if took > capacity else "only"
            expect(took == capacity, f"{more} {took} items with a capacity of {capacity}")
            await traffic.come_home()


@CREDIT_CHECKS.rule("a credit is away until its turn has ended, not until its item has arrived")
async def check_held_until_release(make: MakeEdge) -> None:
    traffic = Traffic(make(1))
    traffic.send_numbers(1)
    await traffic.settle()
    expect(not traffic.send(packet(1)), "an item that lies in the queue has paid its credit back")
    expect(traffic.take() is not None, "the item did not come")
    await traffic.settle()
    expect(
        not traffic.send(packet(1)), "a credit came back before release, in the middle of a turn"
    )
    traffic.release()
    await traffic.settle()
    expect(traffic.send(packet(1)), "the turn has ended, and its credit is not back")


@CREDIT_CHECKS.rule("issued = held by producer + in flight + held by consumer, at every step")
async def check_law(make: MakeEdge) -> None:
    for seed in range(4):
        rnd = random.Random(seed)  # noqa: S311 - a workload, no secret
        traffic = Traffic(make(rnd.choice((1, 3, 10, 70))))
        for _ in range(_STEPS):
            match rnd.choice(("send", "send", "take", "release", "settle", "discard")):
                case "send":
                    number = len(traffic.sent)
                    traffic.send(packet(number, generation=number // 40))
                case "take":
                    traffic.take()
                case "release" if traffic.held:
                    traffic.release(rnd.randint(1, traffic.held))
                case "settle":
                    await traffic.settle()
                case "discard" if rnd.random() < 0.1:  # noqa: PLR2004 - a share
                    traffic.discard_older(len(traffic.sent) // 40)
        traffic.fill()
        await traffic.settle()
        away, owed = traffic.away, traffic.owed
        expect(away == owed, f"at rest {owed} items are under way, and {away} credits are away")
        await traffic.come_home()
        took = traffic.fill()
        await traffic.settle()
        took += traffic.fill()
        expect(
            took == traffic.capacity,
            f"all turns had ended, and {took} of {traffic.capacity} credits were there",
        )


@CREDIT_CHECKS.rule("a refusal is answered by exactly one on_credit once a credit is back")
async def check_refusal_answered(make: MakeEdge) -> None:
    for ask in (_by_sending, _by_asking):
        traffic = Traffic(make(2))
        traffic.send_numbers(2)
        for _ in range(3):
            expect(not ask(traffic), "an edge without a credit says that it has one")
        await traffic.settle()
        expect(not traffic.credit_calls, "on_credit was called before a credit was back")
        await traffic.come_home()
        calls = traffic.credit_calls
        expect(calls == 1, f"refused, and then {calls} calls of on_credit")
        expect(ask(traffic), "on_credit was called, and there is no credit")


def _by_sending(traffic: Traffic) -> bool:
    return traffic.send(packet(len(traffic.sent)))


def _by_asking(traffic: Traffic) -> bool:
    return traffic.pair.sender.ready


@CREDIT_CHECKS.rule("who was not refused is not called")
async def check_no_call_unasked(make: MakeEdge) -> None:
    traffic = Traffic(make(3))
    for _ in range(5):
        traffic.send_numbers(2)
        await traffic.drain()
        if traffic.away == traffic.capacity:  # a batch that nobody asked for
            await traffic.come_home()
    expect(not traffic.credit_calls, f"{traffic.credit_calls} calls of on_credit without refusal")


@CREDIT_CHECKS.rule("turns end in any order, several at once, and views die in any order")
async def check_release_in_any_order(make: MakeEdge) -> None:
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)):
        pair = make(4)
        for _ in range(6):
            for number in range(4):
                accepted = pair.sender.try_send(packet(number, audio(number, LARGE_FRAMES)))
                expect(accepted, f"item {number} was refused though all turns have ended")
            await pair.settle()
            held = [pair.receiver.try_receive() for _ in range(4)]
            expect(all(held), "not all of four items came")
            pair.receiver.release(2)
            for place in order:
                held[place] = None
                await pair.settle()
            pair.receiver.release(2)
            await pair.settle()


@CREDIT_CHECKS.rule("nobody can release what is not held: credits are not made of nothing")
async def check_over_release(make: MakeEdge) -> None:
    traffic = Traffic(make(3))
    traffic.send_numbers(2)
    await traffic.settle()
    traffic.take()
    for count in (-1, 2, 2**31):
        try:
            traffic.pair.receiver.release(count)
        except ValueError:
            pass
        else:
            expect(condition=False, seen=f"release({count}) was taken, with one item held")
        traffic.look()
    traffic.release(0)
    await traffic.come_home()
    took = traffic.fill()
    expect(took <= traffic.capacity, f"{took} items fit, and the capacity is {traffic.capacity}")


@CREDIT_CHECKS.rule("callbacks only schedule: they find all done, take nothing, and are not nested")
async def check_callbacks_only_schedule(make: MakeEdge) -> None:
    traffic = Traffic(make(2))
    pair = traffic.pair
    depth, seen = 0, []

    def watch(name: str, look: Callable[[], str]) -> Callable[[], None]:
        def callback() -> None:
            nonlocal depth
            depth += 1
            seen.append((name, depth, look(), len(traffic.received)))
            depth -= 1

        return callback

    pair.receiver.on_readable = watch(
        "on_readable", lambda: "" if pair.receiver.readable else "nothing is readable"
    )
    pair.sender.on_credit = watch(
        "on_credit", lambda: "" if pair.sender.ready else "there is no credit"
    )
    traffic.fill()
    await traffic.settle()
    await traffic.settle()
    expect(seen, "no callback told the consumer of two items")
    expect(traffic.away == 2, "a callback has taken what is the consumer's to take")  # noqa: PLR2004 - sent
    while traffic.take() is not None:
        traffic.release()
    await traffic.come_home()
    for name, nesting, wrong, _ in seen:
        expect(not wrong, f"while {name} runs, {wrong}")
        expect(nesting == 1, f"{name} was called inside another callback")
    expect(seen[-1][0] == "on_credit", "no callback told the producer of a credit")


@CREDIT_CHECKS.rule("who only waits for callbacks never waits for ever")
async def check_wakes(make: MakeEdge) -> None:
    for capacity in (1, 2, 5, 70):
        traffic = Traffic(make(capacity))
        count, pair = 3 * capacity + 10, traffic.pair
        credit_calls, readable_calls, refused = 0, 0, False
        for _ in range(20 * count):
            if not refused or traffic.credit_calls > credit_calls:
                credit_calls, refused = traffic.credit_calls, False
                while len(traffic.sent) < count and not refused:
                    refused = not traffic.send(packet(len(traffic.sent)))
                if len(traffic.sent) == count:
                    pair.sender.finish()
            if traffic.readable_calls > readable_calls:
                readable_calls = traffic.readable_calls
                while traffic.take() is not None:
                    traffic.release()
            if pair.receiver.ended:
                break
            await traffic.settle()
        arrived = len(traffic.received)
        expect(
            pair.receiver.ended, f"with capacity {capacity} both wait, {arrived} of {count} came"
        )


@CREDIT_CHECKS.rule("discard drops what is not wanted, nothing else, and pays its credits back")
async def check_discard(make: MakeEdge) -> None:
    traffic = Traffic(make(6))
    for number in range(6):
        expect(traffic.send(packet(number, generation=number % 3)), f"item {number} was refused")
    expect(not traffic.send(packet(6)), "a seventh item was accepted with six credits")
    await traffic.settle()
    dropped = traffic.discard_older(2)
    expect(dropped == 4, f"4 items were older, and {dropped} were dropped")  # noqa: PLR2004 - 0 0 1 1
    expect(traffic.dropped == dropped, f"{dropped} were dropped, {traffic.dropped} are counted")
    expect(traffic.discard_older(2) == 0, "the same was dropped twice")
    await traffic.settle()
    expect(traffic.credit_calls == 1, f"{traffic.credit_calls} calls of on_credit behind it")
    took = traffic.fill()
    expect(took == dropped, f"{dropped} credits should be back, and {took} items were accepted")
    await traffic.drain()
    kept = traffic.numbers()[:2]
    expect(kept == [2, 5], f"items 2 and 5 should be left, and {kept} came")


@CREDIT_CHECKS.rule("statistics say what happened, and are snapshots")
async def check_statistics(make: MakeEdge) -> None:
    traffic = Traffic(make(3))
    sender = traffic.pair.sender
    before = sender.statistics()
    traffic.fill()
    counts = sender.statistics()
    expect(before.sent == 0, "an earlier snapshot has changed")
    expect(counts.sent == 3, f"3 items were accepted, sent is {counts.sent}")  # noqa: PLR2004 - filled
    expect(counts.refused == 1, f"1 was refused, refused is {counts.refused}")
    expect(counts.dropped == 0, f"none was dropped, dropped is {counts.dropped}")
    away = counts.queued + counts.in_flight
    expect(away == 3, f"3 credits are out, queued and in_flight make {away}")  # noqa: PLR2004 - filled
    await traffic.settle()
    expect(not sender.ready, "an edge without a credit says that it is ready")
    refused = sender.statistics().refused
    expect(refused == 2, f"asking in vain is a refusal, too, and refused is {refused}")  # noqa: PLR2004 - both
    await traffic.come_home()
    expect(traffic.away == 0, f"all turns have ended, and {traffic.away} credits are away")


@CREDIT_CHECKS.rule("who says that it rings outside turns calls on_readable from the loop alone")
async def check_rings_outside_turns(make: MakeEdge) -> None:
    traffic = Traffic(make(3))
    pair = traffic.pair
    if not pair.receiver.rings_outside_turns:
        return
    inside: list[str] = []
    rung: list[str] = []
    pair.receiver.on_readable = lambda: rung.extend(inside[-1:])

    def within(name: str, call: Callable[[], object]) -> None:
        inside.append(name)
        call()
        inside.pop()

    for round_ in range(3):
        within("try_send", traffic.fill)
        within("sender.flush", pair.sender.flush)
        await traffic.settle()
        within("try_receive", traffic.take)
        within("release", traffic.release)
        within("receiver.flush", pair.receiver.flush)
        within("discard", partial(traffic.discard_older, round_ + 1))
        await traffic.settle()
    within("finish", pair.sender.finish)
    within("sender.flush", pair.sender.flush)
    await traffic.settle()
    within("close", pair.receiver.close)
    expect(not rung, f"on_readable was called from within {', '.join(sorted(set(rung)))}")
