"""Payloads whose bits change on the way are refused, where checksums are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from engine.config import Settings
from engine.edges.descriptor import checksum_of
from engine.payloads import Audio, Json, Text
from engine.pipeline import Pipeline
from operators.flow.pass_through import PassThrough
from tests.engine.edges.conftest import Arena, packet

PAYLOADS = {
    "copied audio": lambda: Audio(np.arange(100, dtype=np.float32), 16_000),
    "leased audio": lambda: Audio(np.arange(100_000, dtype=np.float32), 16_000),
    "text": lambda: Text("good morning" * 10),
    "json": lambda: Json({"a": [1, 2, 3]}),
}


@pytest.fixture
def arenas():
    made = []

    def make(**options):
        made.append(Arena(**options))
        return made[-1]

    yield make
    for arena in made:
        arena.close()


def test_a_checksum_is_never_nothing():
    assert checksum_of((b"abc",)) == checksum_of((b"a", b"bc"))
    assert checksum_of(()) != 0


@pytest.mark.parametrize("kind", PAYLOADS)
async def test_what_did_not_change_arrives(arenas, kind):
    link = arenas(checksums=True).link()
    link.sender.try_send(packet(PAYLOADS[kind]()))
    await link.settle()
    assert link.take().payload == PAYLOADS[kind]()


@pytest.mark.parametrize("kind", PAYLOADS)
async def test_a_bit_that_changed_is_an_error(arenas, kind):
    arena = arenas(checksums=True)
    link = arena.link()
    link.sender.try_send(packet(PAYLOADS[kind]()))
    await link.settle()
    member = link.receiver._queue[0].members[0][0]
    arena.memory[member.start + member.size_bytes // 2] ^= 1
    assert link.receiver.try_receive() is None
    assert "edge 'edge 0'" in str(link.receiver.error)
    assert "the checksum does not match" in str(link.receiver.error)


async def test_without_checksums_samples_are_taken_as_they_are(arenas):
    arena = arenas()
    link = arena.link()
    link.sender.try_send(packet(PAYLOADS["copied audio"]()))
    await link.settle()
    member = link.receiver._queue[0].members[0][0]
    arena.memory[member.start + member.head_bytes] ^= 1
    assert link.take().payload != PAYLOADS["copied audio"]()


async def test_an_array_in_the_arena_has_one_too(arenas):
    arena = arenas(checksums=True)
    link = arena.link()
    array = link.sender.reserve((1000, 1), np.float32)
    array[:] = 3
    link.sender.try_send(packet(Audio(array, 16_000)))
    await link.settle()
    member = link.receiver._queue[0].members[0][0]
    assert member.checksum
    assert link.take().payload.samples.sum() == 3000


@pytest.mark.process
def test_a_session_may_ask_for_them():
    settings = Settings(checksums=True)
    pipeline = Pipeline("x", settings=settings) | PassThrough().on("process")
    given = [make() for make in PAYLOADS.values()]
    assert [p.payload for p in pipeline.run(given)] == given
