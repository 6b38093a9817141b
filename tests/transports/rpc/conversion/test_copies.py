"""Large data is copied once in each direction: told by whose memory an array is, and by counting.

protobuf's own memory is its own: what is counted is what Python allocates for a conversion.
"""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

from engine.packet import Origin, Packet, Source
from engine.payloads import Audio, Binary, Tensor, Video
from protos.remotemedia.v1 import common_pb2 as wire
from transports.rpc.conversion.buffers import InputRules, fill, receive

SIZE = 8_000_000
RULES = InputRules()
PAYLOADS = {
    "audio": lambda: Audio(np.ones(SIZE // 4, np.float32), 48_000),
    "video": lambda: Video(np.ones(SIZE, np.uint8), "gray8", 2_000, SIZE // 2_000),
    "tensor": lambda: Tensor(np.ones(SIZE // 4, np.float32)),
    "numpy": lambda: Tensor(np.ones(SIZE // 8)),
    "binary": lambda: Binary(bytes(SIZE)),
}


def packet_of(payload):
    return Packet(payload, Source("n"), "", 0, Origin("s", 0, 0, 0))


def buffer_of(payload):
    buffer = wire.DataBuffer()
    fill(buffer, packet_of(payload))
    return buffer


def allocated(function):
    """The most that a call held at a time, in bytes, and what it returned."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = function()
        return tracemalloc.get_traced_memory()[1] - before, result
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", PAYLOADS)
def test_receiving_copies_once(kind):
    buffer = buffer_of(PAYLOADS[kind]())
    peak, received = allocated(lambda: receive(buffer, RULES))
    assert received.kind == kind
    assert SIZE <= peak < SIZE * 1.1


def test_integer_audio_is_copied_once_more_to_become_float32():
    samples = np.ones(SIZE // 4, np.int16)
    buffer = wire.DataBuffer(
        audio=wire.AudioBuffer(samples=samples.tobytes(), sample_rate=1, format=2)
    )
    peak, _ = allocated(lambda: receive(buffer, RULES))
    assert peak < samples.nbytes + 2 * samples.nbytes + SIZE * 0.1  # as it came, and as float32


@pytest.mark.parametrize("kind", PAYLOADS)
def test_sending_copies_at_most_once(kind):
    packet = packet_of(PAYLOADS[kind]())
    peak, _ = allocated(lambda: fill(wire.DataBuffer(), packet))
    assert peak < SIZE * 1.1


@pytest.mark.parametrize("kind", ["audio", "video", "tensor", "binary"])
def test_sending_on_what_was_received_copies_nothing(kind):
    received = receive(buffer_of(PAYLOADS[kind]()), RULES)
    packet = packet_of(received.payload)
    peak, _ = allocated(lambda: fill(wire.DataBuffer(), packet))
    assert peak < SIZE * 0.1


@pytest.mark.parametrize("kind", ["audio", "video", "tensor", "numpy"])
def test_what_was_received_is_a_read_only_view_of_the_bytes_of_the_message(kind):
    payload = receive(buffer_of(PAYLOADS[kind]()), RULES).payload
    array = {Audio: "samples", Video: "pixels", Tensor: "array"}[type(payload)]
    owner = getattr(payload, array)
    assert not owner.flags.writeable
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert type(owner) is bytes
