"""The contract of an edge, third part: we closed, the peer died, the stream ended.

Source: FR-007, FR-011.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.errors import EdgeClosedError, PeerDiedError
from engine.testing.edges.traffic import Checks, Traffic, expect, packet

if TYPE_CHECKING:
    from engine.testing.edges.traffic import MakeEdge

ENDING_CHECKS = Checks()

#: What a producer that has failed says.
_WHY = "stage 'a' failed"


def _failure() -> EdgeClosedError:
    return EdgeClosedError(_WHY, stage="a")


def _is(traffic: Traffic) -> str:
    """How the consumer sees the edge, in a word."""
    receiver = traffic.pair.receiver
    if receiver.error is not None:
        if receiver.ended:
            return "ended and failed at once"
        return "a death" if isinstance(receiver.error, PeerDiedError) else "a failure"
    return "ended" if receiver.ended else "open"


def _expect_state(traffic: Traffic, wanted: str, when: str) -> None:
    seen = _is(traffic)
    expect(seen == wanted, f"{when} the consumer sees it as {seen}, and it is {wanted}")


@ENDING_CHECKS.rule("the end comes behind everything that was accepted before it")
async def check_end_after_all(make: MakeEdge) -> None:
    for capacity in (3, 150):
        traffic = Traffic(make(capacity))
        traffic.send_numbers(capacity)
        traffic.pair.sender.finish()
        await traffic.settle()
        while len(traffic.received) < capacity:
            _expect_state(traffic, "open", f"with {len(traffic.received)} of {capacity} received")
            if traffic.take() is None:
                break
            traffic.release()
            await traffic.settle()
        lost = traffic.lost()
        expect(not lost, f"the end came, and {len(lost)} items before it never did")
        _expect_state(traffic, "ended", "behind the last item")
        expect(traffic.take() is None, "an item came behind the end")


@ENDING_CHECKS.rule("the end of a stream needs no credit, and is told")
async def check_end_without_credit(make: MakeEdge) -> None:
    for count in (0, 2):
        traffic = Traffic(make(2))
        traffic.send_numbers(count)
        await traffic.settle()
        while traffic.take() is not None:
            pass
        calls = traffic.readable_calls
        traffic.pair.sender.finish()
        await traffic.settle()
        _expect_state(traffic, "ended", f"with all credits but {2 - count} held by its consumer,")
        expect(traffic.readable_calls > calls, "on_readable was not called for the end")
        traffic.release(count)
        await traffic.settle()


@ENDING_CHECKS.rule("a producer that fails is seen as a failure, behind what came before it")
async def check_failure(make: MakeEdge) -> None:
    traffic = Traffic(make(10))
    traffic.send_numbers(5)
    await traffic.settle()
    calls, traffic.open = traffic.readable_calls, False
    traffic.pair.sender.fail(_failure())
    await traffic.settle()
    expect(traffic.readable_calls > calls, "on_readable was not called for the failure")
    for number in range(5):
        _expect_state(traffic, "open", f"with {number} of 5 items received")
        expect(traffic.take() is not None, f"item {number}, which had arrived, is gone")
    _expect_state(traffic, "a failure", "behind the last item")
    error = traffic.pair.receiver.error
    expect(isinstance(error, EdgeClosedError), f"the failure came as {type(error).__name__}")
    expect(error is not None and error.message == _WHY, f"the failure says {error}")
    expect(traffic.take() is None, "an item came behind the failure")


@ENDING_CHECKS.rule(
    "what a failing producer had accepted arrives in order or is counted as dropped"
)
async def check_failure_with_a_queue(make: MakeEdge) -> None:
    traffic = Traffic(make(150))
    traffic.send_numbers(150)
    traffic.open = False
    traffic.pair.sender.fail(_failure())
    await traffic.drain()
    numbers, dropped = traffic.numbers(), traffic.dropped
    expect(numbers == list(range(len(numbers))), f"{numbers[:5]} … came")
    expect(
        len(numbers) + dropped == len(traffic.sent),
        f"of {len(traffic.sent)} items {len(numbers)} came and {dropped} are counted as dropped",
    )
    _expect_state(traffic, "a failure", "behind the last item")


@ENDING_CHECKS.rule("a producer that dies is seen as a death, behind what it had sent")
async def check_producer_dies(make: MakeEdge) -> None:
    pair = make(10)
    if not pair.mortal:
        return
    traffic = Traffic(pair)
    traffic.send_numbers(3)
    await traffic.settle()
    calls, traffic.open = traffic.readable_calls, False
    pair.kill_producer()
    await traffic.settle()
    expect(traffic.readable_calls > calls, "on_readable was not called for the death")
    for number in range(3):
        _expect_state(traffic, "open", f"with {number} of 3 items received")
        expect(traffic.take() is not None, f"item {number}, which had arrived, is gone")
    _expect_state(traffic, "a death", "behind the last item")
    traffic.release(3)
    pair.receiver.flush()
    await traffic.settle()


@ENDING_CHECKS.rule("a producer that has ended its stream may go: that is no death")
async def check_end_then_gone(make: MakeEdge) -> None:
    pair = make(10)
    if not pair.mortal:
        return
    traffic = Traffic(pair)
    traffic.send_numbers(3)
    pair.sender.finish()
    await traffic.settle()
    traffic.open = False
    pair.kill_producer()
    await traffic.drain()
    expect(not traffic.lost(), f"{len(traffic.lost())} items are gone with it")
    _expect_state(traffic, "ended", "behind the last item")


@ENDING_CHECKS.rule("a consumer that dies gives all credits back, and is no obstacle")
async def check_consumer_dies(make: MakeEdge) -> None:
    pair = make(4)
    if not pair.mortal:
        return
    traffic = Traffic(pair)
    traffic.fill()
    await traffic.settle()
    traffic.take()
    traffic.open = False
    pair.kill_consumer()
    await pair.settle()
    expect(traffic.away == 0, f"{traffic.away} credits did not come home")
    expect(traffic.credit_calls == 1, f"{traffic.credit_calls} calls of on_credit for a refusal")
    for number in range(20):
        expect(traffic.send(packet(number)), "what is sent to the dead is refused")
    pair.sender.finish()


@ENDING_CHECKS.rule(
    "a consumer that has closed gets nothing more, and that is neither end nor error"
)
async def check_close(make: MakeEdge) -> None:
    traffic = Traffic(make(4))
    traffic.send_numbers(4)
    await traffic.settle()
    traffic.take()
    traffic.open = False
    traffic.pair.receiver.close()
    await traffic.settle()
    expect(not traffic.pair.receiver.readable, "something is readable behind close")
    expect(traffic.pair.receiver.try_receive() is None, "an item came behind close")
    _expect_state(traffic, "open", "after its own close")
    traffic.send_numbers(3)
    await traffic.settle()
    expect(traffic.pair.receiver.try_receive() is None, "an item sent behind close came")
    if traffic.pair.mortal:
        traffic.pair.kill_producer()
        await traffic.settle()
        _expect_state(traffic, "open", "when its producer goes after its own close")


@ENDING_CHECKS.rule("a producer goes on when its consumer has closed: all goes nowhere, and counts")
async def check_closed_is_no_obstacle(make: MakeEdge) -> None:
    traffic = Traffic(make(2))
    traffic.fill()
    await traffic.settle()
    traffic.open = False
    traffic.pair.receiver.close()
    await traffic.settle()
    calls = traffic.credit_calls
    expect(calls == 1, f"it was refused, and the close was told by {calls} calls of on_credit")
    for number in range(50):
        expect(traffic.pair.sender.ready, "an edge that nobody reads is not ready")
        expect(traffic.send(packet(number)), "an item was refused though nobody reads")
    await traffic.settle()
    expect(traffic.away == 0, f"{traffic.away} credits are away, and nobody holds an item")
    expect(traffic.dropped == 52, f"52 items went nowhere, {traffic.dropped} are counted")  # noqa: PLR2004 - sent
    traffic.pair.sender.finish()
    await traffic.settle()


@ENDING_CHECKS.rule("a turn may end after its consumer has closed")
async def check_release_after_close(make: MakeEdge) -> None:
    traffic = Traffic(make(3))
    traffic.send_numbers(3)
    await traffic.settle()
    traffic.take()
    traffic.take()
    traffic.open = False
    traffic.pair.receiver.close()
    await traffic.settle()
    traffic.release(2)
    await traffic.settle()
    expect(traffic.away == 0, f"{traffic.away} credits did not come home")


@ENDING_CHECKS.rule("closing, finishing and failing twice is once, and the first ending counts")
async def check_twice_is_once(make: MakeEdge) -> None:
    ended, failed, closed = Traffic(make(3)), Traffic(make(3)), Traffic(make(3))
    ended.send_numbers(1)
    for end in (ended.pair.sender.finish, ended.pair.sender.finish):
        end()
    ended.pair.sender.fail(_failure())
    failed.open = False
    failed.pair.sender.fail(_failure())
    failed.pair.sender.fail(EdgeClosedError("the second"))
    failed.pair.sender.finish()
    closed.open = False
    closed.send_numbers(2)
    await closed.settle()
    for _ in range(2):
        closed.pair.receiver.close()
        await closed.settle()
    await ended.drain()
    await failed.drain()
    expect(ended.numbers() == [0], f"{ended.numbers()} came before an end that was said thrice")
    _expect_state(ended, "ended", "after finish, finish and fail")
    _expect_state(failed, "a failure", "after fail, fail and finish")
    error = failed.pair.receiver.error
    expect(error is not None and error.message == _WHY, f"of two failures it shows {error}")
    expect(closed.dropped == 2, f"closed twice over 2 items, {closed.dropped} are counted")  # noqa: PLR2004 - sent


@ENDING_CHECKS.rule("what is sent behind the end goes nowhere, is never refused, and counts")
async def check_send_after_end(make: MakeEdge) -> None:
    for count in (0, 2):
        traffic = Traffic(make(2))
        traffic.send_numbers(count)
        traffic.pair.sender.finish()
        traffic.open = False
        expect(traffic.pair.sender.ready, "behind the end the edge is not ready")
        for number in range(3):
            expect(traffic.send(packet(9 + number)), "an item behind the end was refused")
        await traffic.drain()
        expect(traffic.numbers() == list(range(count)), f"{traffic.numbers()} came")
        expect(traffic.dropped == 3, f"3 items went nowhere, {traffic.dropped} are counted")  # noqa: PLR2004 - sent
        _expect_state(traffic, "ended", "behind the last item")


@ENDING_CHECKS.rule("the end outlasts an interrupt")
async def check_end_outlasts_discarding(make: MakeEdge) -> None:
    traffic = Traffic(make(3))
    traffic.send_numbers(3)
    traffic.pair.sender.finish()
    await traffic.settle()
    traffic.discard_older(1)
    await traffic.settle()
    _expect_state(traffic, "ended", "after an interrupt")


@ENDING_CHECKS.rule("a wait that is cancelled has changed nothing")
async def check_cancelled_wait(make: MakeEdge) -> None:
    traffic = Traffic(make(100))
    wait_drained = getattr(traffic.pair.sender, "wait_drained", None)
    if wait_drained is None:
        return
    traffic.send_numbers(100)
    traffic.pair.sender.finish()
    for _ in range(2):
        waiting = asyncio.ensure_future(wait_drained())
        await asyncio.sleep(0)
        waiting.cancel()
        ended = await asyncio.wait([waiting])
        expect(waiting in ended[0] and waiting.cancelled(), "a cancelled wait went on")
    waiting = asyncio.ensure_future(wait_drained())
    await traffic.drain()
    expect(not traffic.lost(), f"{len(traffic.lost())} items were lost by the cancelled waits")
    _expect_state(traffic, "ended", "behind the last item")
    expect(waiting.done(), "the end has been sent, and who waits for that still does")
    await waiting
