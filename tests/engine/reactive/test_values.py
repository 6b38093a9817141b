"""engine.reactive.values: packets as plain values, and back."""

import numpy as np
import pytest
import reactivex

from engine.operator import Emission
from engine.packet import Origin, Packet, Source
from engine.payloads import Audio, Binary, Json, Text
from engine.reactive.values import not_an_item, output_of, value_of


def packet(payload):
    return Packet(payload, Source("a"), "in", 0, Origin("session", 0, 0, 0))


@pytest.mark.parametrize(
    ("payload", "value"),
    [(Text("a"), "a"), (Json([1]), [1]), (Json(None), None), (Binary(b"x"), Binary(b"x"))],
)
def test_a_packet_is_the_value_it_carries(payload, value):
    assert value_of(packet(payload)) == value


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("a", Text("a")),
        (3, Json(3)),
        (0.5, Json(0.5)),
        (True, Json(True)),
        (None, Json(None)),
        ({"a": 1}, Json({"a": 1})),
        ([1, "a"], Json([1, "a"])),
        ((1, 2), Json([1, 2])),
        (np.float64(0.5), Json(0.5)),
    ],
)
def test_a_value_becomes_a_payload(value, output):
    assert output_of(value) == output


@pytest.mark.parametrize(
    "output",
    [Audio(np.zeros(1, np.float32), 8_000), packet(Text("a")), Emission("out", Text("a"))],
    ids=["payload", "packet", "emission"],
)
def test_what_is_an_output_stays_itself(output):
    assert output_of(output) is output


@pytest.mark.parametrize("value", [[Text("a")], [packet(Text("a"))], {1, 2}, object()])
def test_what_is_no_value_is_left_to_the_adapter(value):
    assert output_of(value) is value


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([1], "put collect() or a mapper"),
        ((1, 2), "a tuple is not a payload"),
        (reactivex.never(), "put merge_all, concat_all, switch_latest or flat_map"),
        (reactivex.notification.OnCompleted(), "put dematerialize behind it"),
        ("a", "str is not a payload: return Text"),
    ],
)
def test_what_is_no_output_is_told_with_what_to_do(value, sentence):
    assert sentence in not_an_item(value)
