"""engine.testing.recording: what came out, and how a difference is shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.packet import Origin, Packet, Source
from engine.payloads import Audio, Json, Text
from engine.testing import Event, Recording, Script
from engine.testing.script import Send

AUDIO = Audio(np.zeros(8, np.float32), 8_000)


def recording(*timed, end_s=None, error=None, failed_s=None):
    events = tuple(
        Event(
            round(at_s * 1e9),
            Packet(payload, Source(*where), "", 0, Origin("s", 0, 0, 0)),
            str(Source(*where)),
        )
        for at_s, payload, *where in ((*each, "a", "out")[:4] for each in timed)
    )
    end_ns = None if end_s is None else round(end_s * 1e9)
    failed_ns = None if failed_s is None else round(failed_s * 1e9)
    return Recording(events, (), end_ns, error, failed_ns)


def test_what_came_out_can_be_asked_for_in_several_ways():
    got = recording((0.1, Text("x")), (0.25, Json(7)), end_s=1)
    assert got.timed == [(0.1, Text("x")), (0.25, Json(7))]
    assert got.values == ["x", 7]
    assert got.payloads == [Text("x"), Json(7)]
    assert got.times_s == [0.1, 0.25]
    assert [packet.payload for packet in got.packets] == got.payloads
    assert got.ended_s == 1
    assert recording().ended_s is None


def test_one_nodes_outputs_are_a_recording():
    got = recording(
        (0.1, Text("x"), "a", "out"), (0.2, Text("y"), "b", "out"), (0.3, Text("z"), "b", "side")
    )
    assert got.of("a").values == ["x"]
    assert got.of("b").values == ["y", "z"]
    assert got.of("b.side").values == ["z"]
    assert got.of("c").values == []


# ------------------------------------------------------------------------------- marbles


def test_it_is_drawn_as_marbles():
    got = recording((0.1, Text("x")), (0.4, Text("y")), (0.4, Json(7)), end_s=1.2)
    assert got.marbles() == "-x--(y,7)---|"


def test_what_is_not_short_gets_a_name():
    got = recording((0, AUDIO), (0.2, Text("a long sentence")), (0.4, AUDIO), (0.6, Text("a-b")))
    assert got.marbles({"s": AUDIO}) == "s-?1s-?2"


def test_an_error_is_a_marble_too():
    assert recording((0.1, Text("x")), error=OSError(), failed_s=0.3).marbles() == "-x-#"


@given(st.dictionaries(st.integers(0, 40), st.sampled_from("abcd"), max_size=8))
def test_what_is_drawn_reads_back_as_what_it_was(marbles):
    timed = [(at / 5, Text(name)) for at, name in sorted(marbles.items())]
    again = Script.marbles(recording(*timed).marbles()).entries
    assert [(entry.at_ns, entry.payload) for entry in again if isinstance(entry, Send)] == [
        (round(at_s * 1e9), payload) for at_s, payload in timed
    ]


# ------------------------------------------------------------------------------- expectations


def test_what_was_expected_passes_in_each_form():
    got = recording((0.1, Text("x")), (0.4, AUDIO), end_s=0.6)
    got.expect("-x--s-|", {"s": AUDIO})
    got.expect("- y --s-|", {"s": AUDIO, "y": Text("x")})
    got.expect([(0.1, "x"), (0.4, AUDIO)])
    recording((1, Json(7)), end_s=2).expect("-7|", timespan_s=1)
    recording((1, Json({"a": 1})), end_s=2).expect("-a|", {"a": {"a": 1}}, timespan_s=1)


def test_a_failure_shows_both_lines_and_what_differs():
    got = recording((0.1, Text("x")), (0.5, Text("y")), (0.6, AUDIO), end_s=0.8)
    with pytest.raises(AssertionError) as caught:
        got.expect("-x-y--(s,z)--|", {"s": AUDIO})
    assert str(caught.value) == (
        "what came out is not what was expected (a character is 0.1 s):\n"
        "  expected  -x-y--(s,z)--|\n"
        "  got       -x---ys-|\n"
        "  at 0.3 s: expected 'y', got nothing\n"
        "  at 0.5 s: expected nothing, got Text(text='y', language='', channel='tts')\n"
        "  at 0.6 s: expected 'z', got nothing\n"
        "  at 0.8 s: expected nothing, got the end\n"
        "  at 1.3 s: expected the end, got nothing"
    )


def test_a_failure_says_what_a_made_up_name_stands_for():
    with pytest.raises(AssertionError) as caught:
        recording((0.1, Text("a long sentence"))).expect("-a")
    assert "  got       -?1\n  ?1 is Text(text='a long sentence'," in str(caught.value)
    assert "at 0.1 s: expected 'a', got Text(text='a long sentence'" in str(caught.value)


@pytest.mark.parametrize(
    ("got", "expected", "what"),
    [
        (recording((0.1, Text("x")), end_s=0.2), "-x-", "at 0.2 s: expected nothing, got the end"),
        (recording((0.1, Text("x"))), "-x|", "at 0.2 s: expected the end, got nothing"),
        (recording((0.1, Text("7"))), "-7", "expected 7, got Text"),
        (recording((0.1, Text("x"))), [(0.2, "x")], "at 0.2 s: expected 'x', got nothing"),
        (recording((0.1, AUDIO)), [(0.1, "x")], "at 0.1 s: expected 'x', got Audio"),
        (
            recording(error=OSError("gone"), failed_s=0.2),
            "--|",
            r"expected the end, got an error: OSError\('gone'\)",
        ),
        (recording((0, Text("b")), (0, Text("a"))), "(a,b)", "at 0 s: expected 'a', got Text"),
    ],
)
def test_each_difference_is_found(got, expected, what):
    with pytest.raises(AssertionError, match=what):
        got.expect(expected)


def test_an_expected_error_passes():
    recording((0.1, Text("x")), error=OSError("gone"), failed_s=0.3).expect("-x-#")


def test_a_list_says_nothing_of_the_end():
    recording((0.1, Text("x")), end_s=5).expect([(0.1, "x")])
    recording((0.1, Text("x"))).expect([(0.1, Text("x"))])


def test_only_the_first_differences_are_shown():
    got = recording(*[(at / 10, Text("x")) for at in range(100)])
    with pytest.raises(AssertionError) as caught:
        got.expect("|")
    assert str(caught.value).count("\n  at ") == 10
