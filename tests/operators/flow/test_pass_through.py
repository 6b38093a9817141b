import numpy as np
import pytest

from engine.payloads import Audio, Binary, Json, Text
from operators.flow.pass_through import PassThrough


@pytest.mark.parametrize(
    "payload",
    [Audio(np.zeros(3, np.float32), 8_000), Text("x"), Json({"a": 1}), Binary(b"x")],
    ids=repr,
)
def test_the_packet_itself_leaves(drive, make_packet, payload):
    packet = make_packet(payload)
    assert drive(PassThrough()).feed(packet) == [packet]
