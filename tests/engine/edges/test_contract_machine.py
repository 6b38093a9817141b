"""Both ends of a real edge against a model: sending, keeping, interrupts, every way to end, death.

Source: FR-007, SC-007, NFR-003.
"""

from __future__ import annotations

import asyncio

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from engine.errors import EdgeClosedError, PeerDiedError
from engine.packet import Group
from engine.payloads import Audio, Text
from engine.testing.edges import LocalPair, SharedMemoryPair
from engine.testing.edges.traffic import SAMPLE_RATE, Traffic, audio, group, number_of, packet

PORTS = ("in", "other")


class PairMachine(RuleBasedStateMachine):
    """What was accepted arrives in order, whole, unaltered, or is known to have been dropped."""

    make_pair: type = LocalPair

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.pair = None

    @initialize(
        capacity=st.sampled_from([1, 2, 3, 7, 70]), ends_after=st.sampled_from([5, 30, 10**6])
    )
    def open(self, capacity, ends_after):
        #: Items from which on somebody may leave; else most runs would be over soon.
        self.ends_after = ends_after
        self.runner.run(self._open(capacity))

    async def _open(self, capacity):
        self.pair = self.make_pair(capacity, PORTS)
        self.traffic = Traffic(self.pair)
        #: Items accepted and neither received nor known to be dropped: number → generation.
        self.pending: dict[int, int] = {}
        self.kept: list[tuple[int, Audio]] = []
        self.numbers = 0
        self.generation = 0
        #: How it ended: "", "finish", "fail", "death" of the producer.
        self.ending = ""
        self.gone = False
        #: Who reads: "open", "closed" or "dead".
        self.reader = "open"
        self.refused_at: int | None = None

    def settle(self):
        self.runner.run(self.pair.settle())
        self.traffic.look()

    # --- the producer -----------------------------------------------------------------------------

    def send(self, make):
        """Offer the item of the next number."""
        traffic = self.traffic
        number, self.numbers = self.numbers, self.numbers + 1
        if self.ending or self.reader == "dead":
            self.pair.sender.try_send(make(number))  # it goes nowhere, now or soon
            return
        calls = traffic.credit_calls
        if not traffic.send(make(number)):
            assert traffic.away > 0, "refused with all credits at home"
            self.refused_at = calls
        elif self.reader == "open":
            self.pending[number] = self.generation
            self.refused_at = None

    SENDS = precondition(lambda self: self.pair and not self.gone)

    @SENDS
    @rule(
        frames=st.sampled_from([1, 100, 20_000, 60_000, 150_000]),
        times=st.integers(1, 3),
        rest=st.booleans(),
    )
    def send_audio(self, frames, times, rest):
        for _ in range(times):
            self.send(lambda n: packet(n, audio(n, frames), generation=self.generation))
        if rest:
            self.settle()

    @SENDS
    @rule()
    def send_text(self):
        self.send(lambda n: packet(n, Text(f"{n}"), generation=self.generation))

    @SENDS
    @rule(frames=st.sampled_from([10, 20_000]))
    def send_group(self, frames):
        def pair(number):
            one = packet(number, audio(number, frames), generation=self.generation)
            other = packet(number, Text(f"{number}"), port="other", generation=self.generation)
            return group(one, other)

        self.send(pair)

    @SENDS
    @rule(frames=st.sampled_from([10, 40_000]), send=st.booleans())
    def reserve(self, frames, send):
        array = self.pair.sender.reserve((frames,), np.float32)
        if array is None:
            array = np.empty(frames, np.float32)
        array[:] = self.numbers
        if send:
            payload = Audio(array, SAMPLE_RATE)
            self.send(lambda n: packet(n, payload, generation=self.generation))

    @SENDS
    @rule()
    def ring(self):
        self.pair.sender.flush()

    @SENDS
    @precondition(lambda self: self.numbers > self.ends_after)
    @rule()
    def finish(self):
        self.pair.sender.finish()
        self.ending = self.ending or "finish"

    @SENDS
    @precondition(lambda self: self.numbers > self.ends_after)
    @rule()
    def fail(self):
        if not self.ending:
            self.traffic.open = False
            self.ending = "fail"
        self.pair.sender.fail(EdgeClosedError("failed"))

    @SENDS
    @precondition(lambda self: self.pair.mortal and self.numbers > self.ends_after)
    @rule()
    def producer_dies(self):
        self.traffic.open = False
        self.settle()  # what had been sent has been sent; what waited dies with it
        if self.ending != "fail" and not self.pair.receiver.ended:
            ended = self.ending == "finish" and not self.pair.sender.statistics().queued
            self.ending = "finish" if ended else "death"
        self.pair.kill_producer()
        self.gone = True

    # --- the consumer -----------------------------------------------------------------------------

    @precondition(lambda self: self.pair and self.reader != "dead")
    @rule(keep=st.booleans(), release=st.booleans(), rest=st.booleans())
    def receive(self, keep, release, rest=False):
        item = self.traffic.take()
        if item is None:
            return
        assert self.reader == "open"
        number = number_of(item)
        expected = next(iter(self.pending))
        assert number == expected
        assert item.origin.generation == self.pending.pop(number)
        members = list(item) if isinstance(item, Group) else [item]
        for member in members:
            if isinstance(member.payload, Text):
                assert member.payload == Text(f"{number}")
            else:
                self.look_at(number, member.payload)
                if keep:
                    self.kept.append((number, member.payload))
        self.traffic.received[-1] = packet(number, Text(""))  # let the views go
        if release:
            self.traffic.release()
        if rest:
            del item, members
            self.settle()

    @staticmethod
    def look_at(number, payload):
        samples = payload.samples
        assert samples[0, 0] == samples[-1, 0] == samples[len(samples) // 2, 0] == number

    @precondition(lambda self: self.pair and self.reader != "dead" and self.traffic.held)
    @rule(data=st.data())
    def end_turns(self, data):
        self.traffic.release(data.draw(st.integers(1, self.traffic.held)))

    @precondition(lambda self: self.pair and self.kept)
    @rule(data=st.data())
    def let_go(self, data):
        self.kept.pop(data.draw(st.integers(0, len(self.kept) - 1)))

    @precondition(lambda self: self.pair and self.reader == "open")
    @rule()
    def interrupt(self):
        self.generation += 1
        reached = self.pair.receiver.statistics().queued
        dropped = self.traffic.discard_older(self.generation)
        assert dropped >= reached  # what has arrived and was not taken in yet goes, too
        for _ in range(dropped):
            assert self.pending.pop(next(iter(self.pending))) < self.generation

    @precondition(
        lambda self: self.pair and self.reader == "open" and self.numbers > self.ends_after
    )
    @rule()
    def close(self):
        self.reader, self.traffic.open = "closed", False
        self.pair.receiver.close()
        self.pair.receiver.close()

    @precondition(
        lambda self: (
            self.pair
            and self.pair.mortal
            and self.reader != "dead"
            and self.numbers > self.ends_after
        )
    )
    @rule()
    def consumer_dies(self):
        # Views die with a process; here they must go first, for their memory is one's own.
        self.kept.clear()
        self.reader, self.traffic.open = "dead", False
        self.pair.kill_consumer()

    @precondition(lambda self: self.pair)
    @rule()
    def rest(self):
        self.settle()

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def what_is_kept_is_not_written_over(self):
        if self.pair is not None:
            for number, payload in self.kept:
                self.look_at(number, payload)

    @invariant()
    def it_ends_as_it_was_ended_and_not_before(self):
        if self.pair is None or self.reader != "open":
            return
        receiver = self.pair.receiver
        if receiver.ended:
            assert self.ending == "finish"
            assert not self.pending
            assert receiver.error is None
        if receiver.error is not None:
            assert self.ending in {"fail", "death"}
            assert isinstance(receiver.error, PeerDiedError) == (self.ending == "death")
            assert not receiver.readable

    def teardown(self):
        try:
            if self.pair is not None:
                self.come_to_an_end()
        finally:
            if self.pair is not None:
                self.pair.dispose()
            self.runner.close()

    def come_to_an_end(self):
        """All turns end: everything arrives or is accounted for, and every credit comes home."""
        traffic = self.traffic
        self.kept.clear()
        if self.reader != "open":
            if self.reader == "closed" and traffic.held:
                traffic.release(traffic.held)
            self.settle()
            assert traffic.away == 0 or self.gone
            return
        for _ in range(self.numbers + 3):
            self.settle()
            while self.pair.receiver.readable:
                self.receive(keep=False, release=True)
            if traffic.held:
                traffic.release(traffic.held)
            if not self.pending:
                break
        self.settle()
        if self.ending == "death":
            assert isinstance(self.pair.receiver.error, PeerDiedError)
        elif self.ending == "fail":
            assert self.pair.receiver.error.message == "failed"
            assert len(self.pending) <= traffic.dropped
        else:
            assert not self.pending
            assert self.pair.receiver.ended == (self.ending == "finish")
        if not self.ending:
            if self.refused_at is not None:
                assert traffic.credit_calls > self.refused_at
            took = traffic.fill()
            self.settle()
            assert took + traffic.fill() == traffic.capacity


class SharedMemoryMachine(PairMachine):
    make_pair = SharedMemoryPair


TestLocalPair = PairMachine.TestCase
TestLocalPair.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestSharedMemoryPair = SharedMemoryMachine.TestCase
TestSharedMemoryPair.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
