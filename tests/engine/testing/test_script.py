"""engine.testing.script: what a source does, and when."""

import numpy as np
import pytest
from reactivex.notification import OnNext
from reactivex.observable import marbles as reactivex_marbles

from engine.errors import UsageError
from engine.payloads import Audio, Json, Text
from engine.testing import Script, ScriptedError
from engine.testing.script import (
    Call,
    End,
    Fail,
    Interrupt,
    Send,
    SendGroup,
    parse_marbles,
    payload_of,
    value_of,
)


def when(script):
    return [(entry.at_ns / 1e9, type(entry)) for entry in script.entries]


def test_entries_are_sorted_by_time_and_keep_their_order_at_one():
    script = Script().end(2).send(1, Text("c")).send(0.5, Text("a"), Text("b")).interrupt(0.5)
    assert when(script) == [(0.5, Send), (0.5, Send), (0.5, Interrupt), (1, Send), (2, End)]
    assert [entry.payload.text for entry in script.entries[:2]] == ["a", "b"]


def test_each_method_gives_a_longer_script_and_leaves_the_old_one():
    first = Script().send(0, Text("a"))
    first.send(1, Text("b"))
    assert len(first.entries) == 1


def test_an_entry_says_where_it_goes_and_what_it_carries():
    script = Script().send(
        0.1, Text("a"), node="n", port="p", timestamp_ns=7, metadata={"who": "me"}
    )
    assert script.entries == (Send(100_000_000, Text("a"), "n", "p", 7, {"who": "me"}),)
    group = Script().send_group(0, {"a": Text("x"), "b": Text("y")}, node="n").entries[0]
    assert group == SendGroup(0, {"a": Text("x"), "b": Text("y")}, "n")


def test_a_regular_source():
    script = Script().send_every(0.02, [Text(str(number)) for number in range(3)], start_s=1)
    assert [entry.at_ns for entry in script.entries] == [
        1_000_000_000,
        1_020_000_000,
        1_040_000_000,
    ]


def test_two_sources_at_once():
    script = Script.marbles("a-c|", node="left") + Script.marbles("-b|", node="right")
    assert [entry.node for entry in script.entries] == ["left", "right", "left", "right", "left"]


def test_a_script_may_be_played_later():
    assert when(Script.marbles("a-|").shifted(1.5)) == [(1.5, Send), (1.7, End)]


@pytest.mark.parametrize(
    ("script", "ends"),
    [
        (Script(), False),
        (Script.marbles("a-b-"), False),
        (Script.marbles("a-b-|"), True),
        (Script.marbles("a-#"), True),
        (Script().call(1, print), False),
    ],
)
def test_a_script_knows_whether_it_ends(script, ends):
    assert script.ends is ends


def test_what_it_calls_is_an_entry_too():
    assert Script().call(0.5, print).entries == (Call(500_000_000, print),)


def test_nothing_happens_before_the_beginning():
    with pytest.raises(UsageError, match="begins at 0 s; -1 s is before that"):
        Script().send(-1, Text("a"))


# ------------------------------------------------------------------------------- faulty sources

GOOD = Script.marbles("-a-b-c-|")


def test_a_source_that_stalls_goes_on_later_or_never():
    assert when(GOOD.stalled(0.25, 10)) == [(0.1, Send), (10.3, Send), (10.5, Send), (10.7, End)]
    assert when(GOOD.stalled(0.25)) == [(0.1, Send)]
    assert not GOOD.stalled(0.25).ends


def test_a_source_that_ends_early():
    assert when(GOOD.cut(0.3)) == [(0.1, Send), (0.3, End)]


def test_a_source_that_raises():
    error = OSError("the cable is out")
    assert GOOD.fail(0.2, error).entries[1] == Fail(200_000_000, error)
    (failing,) = Script().fail(0.2).entries
    assert isinstance(failing.error, ScriptedError)
    assert str(failing.error) == "scripted at 0.2 s"


# ------------------------------------------------------------------------------- marbles


def test_marbles_have_reactivex_times_and_values():
    line = "-a-bc-(d,7)---e-|"
    ours = [(at_ns, name) for at_ns, name in parse_marbles(line, 0.5) if name != "|"]
    theirs = [
        (round(at_s * 1e9), message.value)
        for at_s, message in reactivex_marbles.parse(line, timespan=0.5)
        if isinstance(message, OnNext)
    ]
    assert ours == theirs
    assert ours[1] == (1_500_000_000, "bc")


def test_times_of_marbles_are_whole_nanoseconds():
    assert [at_ns for at_ns, _ in parse_marbles("---a|", 0.1)] == [300_000_000, 400_000_000]


def test_a_name_stands_for_what_the_table_says_or_for_itself():
    audio = Audio(np.zeros(4, np.float32), 8_000)
    script = Script.marbles(
        "(a,b,c,7,8)|", {"a": audio, "b": "hello", "c": {"x": 1}, "8": Text("8")}
    )
    payloads = [entry.payload for entry in script.entries[:-1]]
    assert payloads == [audio, Text("hello"), Json({"x": 1}), Json(7), Text("8")]


def test_marbles_may_be_for_one_port_and_fail_in_a_way():
    error = OSError("gone")
    script = Script.marbles("a-#", node="n", port="p", error=error)
    assert script.entries == (Send(0, Text("a"), "n", "p"), Fail(200_000_000, error))


def test_spaces_only_align():
    assert Script.marbles(" -a  -b |") == Script.marbles("-a-b|")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("-a|b", "cannot be declared after"),
        ("-a,b|", "Comma is only allowed in group"),
        ("-(a,b|", "its brackets do not match"),
        ("-a)b(|", "its brackets do not match"),
    ],
)
def test_what_is_no_line_of_marbles_is_said(line, what):
    with pytest.raises(UsageError, match=f"is no line of marbles: .*{what}"):
        Script.marbles(line)


def test_names_without_anything_between_them_are_one_and_that_is_said():
    with pytest.raises(UsageError, match=r"'ab' is one name .*: write a-b, or \(a,b\) if"):
        Script.marbles("-ab|", {"a": "x", "b": "y"})
    assert Script.marbles("-ab|", {"ab": "x", "a": "y"}).entries[0].payload == Text("x")
    assert Script.marbles("-ab|").entries[0].payload == Text("ab")


def test_values_and_payloads_stand_for_each_other():
    audio = Audio(np.zeros(4, np.float32), 8_000)
    for value in ("text", 7, {"a": [1]}, None, audio):
        assert value_of(payload_of(value)) is value or value_of(payload_of(value)) == value
