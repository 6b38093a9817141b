"""engine.testing.contract: each breach of the contract is found, and said in a sentence."""

import asyncio
import ctypes
import itertools
import os
import re
import threading
from typing import ClassVar

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field

from engine.operator import Operator, Params
from engine.payloads import Audio, Json, Text
from engine.testing import ContractError, Script, breaches_of, check_operator
from tests.engine.stage_helpers import texts


class Upper(Operator):
    """Keeps the contract."""

    accepts = frozenset({"text"})
    emits = frozenset({"text"})
    rate = "one_to_one"

    def process(self, packet, ctx):
        return Text(packet.payload.text.upper()) if isinstance(packet.payload, Text) else packet


class Sum(Operator):
    """Keeps it, with state, params, time and a coroutine."""

    stateful = True

    class Params(Params):
        start: int = Field(..., description="what it begins with")

    async def initialize(self, ctx):
        self.total = self.params.start

    async def process(self, packet, ctx):
        await asyncio.sleep(0.5)
        self.total += packet.payload.value

    def flush(self, ctx):
        return Json(self.total)

    def reset(self, ctx):
        self.total = self.params.start


class Pairs(Operator):
    """Keeps it, and joins."""

    inputs = ("left", "right")
    joins = True
    rate = "one_to_one"

    def process(self, group, ctx):
        return Text("+".join(packet.payload.text for packet in group.values()))


class Forgetless(Operator):
    """Has state, and does not say so."""

    async def initialize(self, ctx):
        self.count = 0

    def process(self, packet, ctx):
        self.count += 1
        return Text(str(self.count))


class HalfForgetful(Forgetless):
    stateful = True

    def reset(self, ctx):
        self.count = min(self.count, 1)


class Unsteady(Operator):
    numbers = itertools.count()

    def process(self, packet, ctx):
        return Text(str(next(self.numbers)))


class Writer(Operator):
    def process(self, packet, ctx):
        packet.payload.samples[0] = 1
        return packet


class SlyWriter(Operator):
    def process(self, packet, ctx):
        samples = packet.payload.samples
        ctypes.memset(samples.ctypes.data, 0, samples.nbytes)
        return packet


class WrongKind(Upper):
    emits = frozenset({"audio"})


class NotOneToOne(Upper):
    def process(self, packet, ctx):
        return [packet, packet]


class Silent(Operator):
    def process(self, packet, ctx):
        return None


class Sink(Operator):
    outputs = ()

    def process(self, packet, ctx):
        return None


class NeedsInput(Operator):
    async def initialize(self, ctx):
        self.last = None

    def process(self, packet, ctx):
        self.last = packet.payload

    def flush(self, ctx):
        return Text(self.last.text)


class NeedsInitialize(Upper):
    async def initialize(self, ctx):
        self.file = "open"

    async def cleanup(self):
        del self.file


class Raises(Operator):
    def process(self, packet, ctx):
        raise ValueError("no")


class NeverReturns(Operator):
    async def process(self, packet, ctx):
        await asyncio.Event().wait()


class Endless(Operator):
    async def process(self, packet, ctx):
        await asyncio.sleep(10_000)


class LeavesThread(Upper):
    go_on = threading.Event()

    async def initialize(self, ctx):
        threading.Thread(target=self.go_on.wait, name="forgotten").start()


class LeavesDescriptor(Upper):
    kept: ClassVar[list[int]] = []

    async def initialize(self, ctx):
        self.kept.extend(os.pipe())


class LosesParams(Upper):
    class Params(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        names: list[str] | set[str] = Field(default_factory=set)


class NoJson(Upper):
    class Params(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        array: np.ndarray


class Functional(Upper):
    portable = False

    class Params(Params):
        function: object


class NoSlots(Upper):
    concurrency = 0


AUDIO = [Audio(np.full(8, number, np.float32), 8_000) for number in range(3)]


def make_local():
    class Local(Upper):
        pass

    return Local


@pytest.mark.parametrize(
    ("operator", "inputs"),
    [
        (Upper, texts(5)),
        (Upper, [Json(1), *texts(2)]),
        (Sum(start=3), [Json(number) for number in range(6)]),
        (Pairs, [{"left": Text("a"), "right": Text("b")}, {"left": Text("c"), "right": Text("d")}]),
        (Upper, Script.marbles("-a--(b,c)-|")),
        (Upper, Script().send(1, Text("x"))),
        (Sink, texts(1)),
        (Functional(function=print), texts(1)),
    ],
)
def test_who_keeps_the_contract_passes(operator, inputs):
    check_operator(operator, inputs)


@pytest.mark.parametrize(
    ("operator", "inputs", "breach"),
    [
        (Forgetless, texts(4), r"knows what came before: output 0 is Text\(text='3'"),
        (Forgetless, texts(4), r"forget it in reset\(ctx\), and declare stateful = True$"),
        (HalfForgetful, texts(4), r"text='1'.*forget it in reset\(ctx\)$"),
        (Unsteady, texts(2), "the same inputs gave something else the second time: output 0 is"),
        (
            Writer,
            AUDIO,
            "^node 'node' failed in process .*: ValueError: assignment destination is read-only",
        ),
        (WrongKind, texts(1), r"^text came out, and it declares emits = \{audio\}$"),
        (NotOneToOne, texts(2), "^it declares rate one_to_one, and 4 packets came out of 2$"),
        (Silent, texts(2), "^nothing came out of these inputs, so they prove nothing"),
        (NeedsInput, texts(2), "^of a stream without a packet: node 'node' failed in flush"),
        (NeedsInitialize, texts(2), "^cleanup raised AttributeError.* after a failed start, too$"),
        (Raises, texts(2), r"^node 'node' failed in process \(packet 0\): ValueError: no$"),
        (NeverReturns, texts(2), "^it has not ended 60 s after its inputs had$"),
        (Endless, texts(2), "^it has not ended 60 s after its inputs had$"),
        (NoSlots, texts(1), "^concurrency is 0, and a call needs at least 1$"),
        (Sum, [Json(1)], "^a class is checked with its default params, and it has not all: "),
        (make_local(), texts(1), r"^no process can import it: .*move it to the top level"),
        (LosesParams(names={"a", "b"}), texts(1), "^its params come back from JSON as "),
        (NoJson(array=np.zeros(2)), texts(1), "^its params do not survive JSON"),
    ],
)
def test_each_breach_is_said(operator, inputs, breach):
    with pytest.raises(ContractError) as caught:
        check_operator(operator, inputs)
    assert any(re.search(breach, each) for each in caught.value.breaches), str(caught.value)


def test_a_breach_that_hides_from_the_guard_is_found_all_the_same():
    inputs = [Audio(np.full(8, number, np.float32), 8_000) for number in (1, 2, 3)]
    found = breaches_of(SlyWriter, inputs)
    assert any("changed its inputs" in each for each in found)


def test_what_is_left_behind_cleanup_is_found():
    try:
        assert "behind cleanup it leaves thread forgotten" in breaches_of(LeavesThread, texts(2))
        assert breaches_of(LeavesDescriptor, texts(2)) == [
            "behind cleanup it leaves descriptors: pipe:"
        ]
    finally:
        LeavesThread.go_on.set()
        for fd in LeavesDescriptor.kept:
            os.close(fd)
        LeavesDescriptor.kept.clear()
        for thread in threading.enumerate():
            if thread.name == "forgotten":
                thread.join()


def test_who_says_nothing_may_be_said_to():
    check_operator(Silent, texts(2), silent=True)


def test_what_is_meant_to_outlast_an_interrupt_may():
    check_operator(HalfForgetful, texts(4), outlasts_interrupts=True)
    assert breaches_of(Unsteady, texts(2), outlasts_interrupts=True)


def test_all_breaches_are_said_at_once():
    class Wrong(Upper):
        concurrency = 0

    with pytest.raises(ContractError) as caught:
        check_operator(Wrong, texts(1))
    text = str(caught.value)
    assert text.startswith("Wrong does not keep the contract of an operator:\n  - no process can")
    assert len(caught.value.breaches) == 2


def test_the_instance_that_is_given_is_never_run():
    operator = Sum(start=3)
    check_operator(operator, [Json(1)])
    assert not hasattr(operator, "total")
