"""The history of the demonstration: of what was interrupted it holds what was heard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.interruption import Played
from remotemedia.demo.history import History, Line, heard_text

MS = 1_000_000


def played(text, played_ms, of_ms, *, sequence=0, **metadata):
    return Played(sequence, played_ms * MS, of_ms * MS, {"text": text, **metadata})


def lines(*parts):
    history = History()
    history.heard(parts)
    return history.lines


@pytest.mark.parametrize(
    ("played_ms", "words"),
    [(0, ""), (99, ""), (100, "The"), (250, "The light"), (499, "The light is now"), (500, None)],
)
def test_words_are_heard_in_proportion(played_ms, words):
    text = "The light is now on."
    assert heard_text(played(text, played_ms, 500)) == (text if words is None else words)


def test_a_text_that_has_not_been_made_to_its_end_is_measured_by_its_whole_length():
    assert heard_text(played("one two three four", 100, 100, text_ms="400")) == "one"
    assert heard_text(played("one two three four", 400, 400, text_ms="400")) == "one two three four"


@pytest.mark.parametrize("text_ms", ["", "soon", "-3", "1.5"])
def test_a_length_that_is_none_is_not_counted(text_ms):
    assert heard_text(played("one two", 50, 100, text_ms=text_ms)) == "one"


def test_what_has_no_text_has_no_words():
    assert heard_text(Played(0, 5, 10)) == ""
    assert heard_text(played("one", 0, 0)) == ""


def test_the_parts_of_a_reply_are_one_line_that_says_that_it_was_cut():
    parts = [played("Yes,", 400, 400), played("it is on.", 200, 300), played("Bye.", 0, 100)]
    assert lines(*parts) == [Line("reply", "Yes, it is", cut=True)]
    assert str(lines(*parts)[0]) == "Yes, it is …"


def test_a_reply_that_was_heard_to_its_end_is_not_cut():
    parts = [played("Yes,", 400, 400, text_ms="400"), played("it is.", 300, 300)]
    assert lines(*parts) == [Line("reply", "Yes, it is.", cut=False)]
    assert str(lines(*parts)[0]) == "Yes, it is."


def test_a_reply_whose_sound_had_set_in_counts_even_if_no_word_was_heard():
    assert lines(played("Yes it is.", 20, 900)) == [Line("reply", "", cut=True)]
    assert str(lines(played("Yes it is.", 20, 900))[0]) == "…"


def test_a_reply_that_had_to_wait_was_never_said():
    parts = [played("One.", 100, 100), played("Two.", 0, 100, sequence=1)]
    assert lines(*parts) == [Line("reply", "One.")]


def test_lines_stay_in_order():
    history = History()
    history.said("turn on the light")
    history.heard([played("The light is on.", 100, 400)])
    history.said("stop")
    history.heard([])
    assert history.lines == [
        Line("user", "turn on the light"),
        Line("reply", "The", cut=True),
        Line("user", "stop"),
    ]


@given(
    st.lists(st.from_regex(r"[a-z]{1,5}", fullmatch=True), min_size=1, max_size=12),
    st.integers(1, 10**10),
    st.integers(0, 10**10),
)
def test_what_was_heard_is_a_beginning_and_grows_with_what_was_played(words, of_ns, extra_ns):
    heard = heard_text(Played(0, of_ns, of_ns + extra_ns, {"text": " ".join(words)})).split()
    assert heard == words[: len(heard)]
    share = of_ns / (of_ns + extra_ns)
    assert len(heard) == pytest.approx(len(words) * share - 0.5, abs=0.501)
