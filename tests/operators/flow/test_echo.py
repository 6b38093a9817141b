import numpy as np

from engine.payloads import Audio, Json, Text
from operators.flow.echo import Echo


def test_it_says_what_it_was_told_and_counts(drive):
    said = drive(Echo()).run([Json({"a": [1]}), Text("hello"), Json(None)])
    assert [output.value for output in said] == [
        {"input": {"a": [1]}, "counter": 1, "node": "Echo"},
        {"input": "hello", "counter": 2, "node": "Echo"},
        {"input": None, "counter": 3, "node": "Echo"},
    ]


def test_other_payloads_pass_uncounted(drive, make_packet):
    packet = make_packet(Audio(np.zeros(3, np.float32), 8_000))
    echo = drive(Echo())
    assert echo.feed(packet) == [packet]
    assert echo.feed(Json(1))[0].value["counter"] == 1


def test_sessions_and_interrupts_count_anew(drive):
    one, other = drive(Echo()), drive(Echo())
    one.feed(Json(1), Json(2))
    assert other.feed(Json(1))[0].value["counter"] == 1
    one.reset()
    assert one.feed(Json(1))[0].value["counter"] == 1
