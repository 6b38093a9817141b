"""engine.session.hands: the client's side of taps and interceptions, with a test in the stage's."""

from __future__ import annotations

import asyncio

import pytest

from engine.edges.local import LocalEdge
from engine.errors import EdgeError, PeerDiedError, UsageError
from engine.flags import FLAG_UNINTERRUPTIBLE
from engine.packet import Origin, Packet, Source
from engine.payloads import Text
from engine.session.hands import Interception, Tap
from engine.steering import DECISION_KEY
from tests.engine.stage_helpers import virtual


class EdgesDouble:
    """The edges of a hand, both of whose other ends are the test's."""

    def __init__(self, capacity=4):
        self.receiver = LocalEdge("shows", capacity)
        self.sender = LocalEdge("gives", capacity)
        self.closed = 0

    @property
    def refused(self):
        return self.receiver.statistics().refused

    def close(self):
        self.closed += 1
        self.receiver.close()
        self.sender.finish()

    def show(self, text, sequence=0, generation=0, flags=0):
        origin = Origin("session", sequence, 0, 0, generation, flags)
        return self.receiver.try_send(Packet(Text(text), Source("n", "out"), "", 0, origin))

    def decisions(self):
        """What has been decided: (request, decision, text)."""
        decided = []
        while (packet := self.sender.try_receive()) is not None:
            self.sender.release()
            payload = packet.payload
            text = payload.text if isinstance(payload, Text) else ""
            origin = packet.origin
            decided.append((origin.sequence, origin.metadata[DECISION_KEY], text))
        return decided


class Detached:
    """Counts how often the stage was told to take the hand away."""

    def __init__(self):
        self.count = 0

    async def __call__(self):
        self.count += 1


def make(cls, capacity=4):
    edges, detached = EdgesDouble(capacity), Detached()
    return cls("n", "out", edges, detached), edges, detached


# ----------------------------------------------------------------------------------- taps


@virtual
async def test_a_tap_gives_what_is_shown_and_returns_the_credit():
    tap, edges, _ = make(Tap, capacity=2)
    assert tap.receive_nowait() is None
    waiting = asyncio.ensure_future(tap.receive())
    await asyncio.sleep(0)
    for number in range(10):
        assert edges.show(str(number))
        packet = await waiting if number == 0 else await tap.receive()
        assert packet.payload.text == str(number)
    assert (tap.node, tap.port, tap.dropped) == ("n", "out", 0)


@virtual
async def test_a_tap_that_is_not_read_counts_what_it_missed():
    tap, edges, _ = make(Tap, capacity=2)
    assert [edges.show(str(number)) for number in range(5)] == [True, True, False, False, False]
    assert tap.dropped == 3


@virtual
async def test_a_cancelled_wait_loses_nothing():
    tap, edges, _ = make(Tap)
    waiting = asyncio.ensure_future(tap.receive())
    await asyncio.sleep(0)
    edges.show("x")
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (await tap.receive()).payload.text == "x"


@virtual
async def test_several_who_wait_get_each_something_of_their_own():
    tap, edges, _ = make(Tap)
    waiting = [asyncio.ensure_future(tap.receive()) for _ in range(3)]
    await asyncio.sleep(0)
    for text in "abc":
        edges.show(text)
    assert sorted(p.payload.text for p in await asyncio.gather(*waiting)) == ["a", "b", "c"]


@pytest.mark.parametrize("end", ["finish", "fail"])
@virtual
async def test_a_tap_ends_behind_what_was_shown(end):
    tap, edges, detached = make(Tap)
    edges.show("x")
    if end == "finish":
        edges.receiver.finish()
    else:
        edges.receiver.fail(PeerDiedError("its process died", edge="shows"))
    assert not tap.ended
    assert [packet.payload.text async for packet in tap] == ["x"]
    assert tap.ended
    assert await tap.receive() is None
    assert detached.count == 0


@virtual
async def test_an_interrupt_hides_what_is_older():
    tap, edges, _ = make(Tap)
    edges.show("old")
    edges.show("kept", flags=FLAG_UNINTERRUPTIBLE)
    tap.interrupt(1)
    edges.show("late", generation=0)
    edges.show("new", generation=1)
    assert [tap.receive_nowait().payload.text for _ in range(2)] == ["kept", "new"]
    assert tap.receive_nowait() is None


@pytest.mark.parametrize("cls", [Tap, Interception])
@virtual
async def test_closing_ends_who_waits_and_is_said_once(cls):
    hand, edges, detached = make(cls)
    async with hand as same:
        assert same is hand
        waiting = asyncio.ensure_future(hand.receive())
        await asyncio.sleep(0)
    assert await waiting is None
    await hand.aclose()
    hand.close()
    assert detached.count == 1
    assert edges.closed >= 1
    assert hand.ended
    edges.show("late")
    assert hand.receive_nowait() is None
    assert await hand.receive() is None


@pytest.mark.parametrize("cls", [Tap, Interception])
@virtual
async def test_what_the_session_has_closed_is_not_taken_away_again(cls):
    hand, _, detached = make(cls)
    hand.close()
    await hand.aclose()
    assert detached.count == 0
    assert [each async for each in hand] == []


# -------------------------------------------------------------------------- interceptions


@virtual
async def test_each_request_is_answered_by_its_number():
    interception, edges, _ = make(Interception)
    for number in range(3):
        edges.show(str(number), sequence=10 + number)
    requests = [await interception.receive() for _ in range(3)]
    assert [request.packet.sequence for request in requests] == [10, 11, 12]
    requests[2].drop()
    requests[0].let_pass()
    requests[1].replace(Text("one"))
    assert edges.decisions() == [(2, "drop", ""), (0, "pass", ""), (1, "replace", "one")]


@virtual
async def test_what_is_no_payload_decides_nothing():
    interception, edges, _ = make(Interception)
    edges.show("x")
    request = await interception.receive()
    with pytest.raises(UsageError):
        request.replace("x")
    assert edges.decisions() == []


@virtual
async def test_what_is_stale_is_not_asked_about_and_keeps_its_number():
    interception, edges, _ = make(Interception)
    edges.show("old")
    edges.show("kept", flags=FLAG_UNINTERRUPTIBLE)
    interception.interrupt(1)
    edges.show("new", generation=1)
    for _ in range(2):
        (await interception.receive()).drop()
    assert [number for number, _, _ in edges.decisions()] == [1, 2]


@virtual
async def test_decisions_wait_for_room_in_order():
    interception, edges, _ = make(Interception, capacity=2)
    requests = []
    for number in range(5):
        edges.show(str(number))
        requests.append(await interception.receive())
    for request in requests:
        request.let_pass()
    first = edges.decisions()
    assert [number for number, _, _ in first] == [0, 1, 2, 3, 4]


@virtual
async def test_a_decision_that_cannot_cross_is_raised_and_the_next_one_goes(monkeypatch):
    interception, edges, _ = make(Interception)
    send = edges.sender.try_send

    def too_large(packet):
        if isinstance(packet.payload, Text):
            raise EdgeError("too large", edge="gives")
        return send(packet)

    monkeypatch.setattr(edges.sender, "try_send", too_large)
    edges.show("x")
    request = await interception.receive()
    with pytest.raises(EdgeError, match="too large"):
        request.replace(Text("large"))
    request.drop()
    assert edges.decisions() == [(0, "drop", "")]


@virtual
async def test_a_decision_that_waited_and_cannot_cross_is_told_to_the_log(monkeypatch, caplog):
    interception, edges, _ = make(Interception, capacity=1)
    for text in "ab":
        edges.show(text)
        request = await interception.receive()
        request.let_pass() if text == "a" else request.replace(Text("large"))

    def too_large(packet):
        raise EdgeError("too large", edge="gives")

    monkeypatch.setattr(edges.sender, "try_send", too_large)
    edges.sender.try_receive()
    edges.sender.release()
    assert "decision_lost: too large" in caplog.text


@virtual
async def test_a_decision_after_the_end_goes_nowhere():
    interception, edges, _ = make(Interception)
    edges.show("x")
    request = await interception.receive()
    await interception.aclose()
    request.drop()
    assert edges.decisions() == []
