"""Lines cut from what workers print."""

from hypothesis import given
from hypothesis import strategies as st

from engine.workers.output import (
    LINE_BYTES_MAX,
    LINES_MAX,
    LOG_LINES_PER_S_MAX,
    LineCutter,
    LogBudget,
    new_tail,
    to_text,
)

SECOND_NS = 1_000_000_000


@given(st.lists(st.binary(max_size=30)), st.booleans())
def test_lines_do_not_depend_on_how_they_were_read(chunks, ended):
    cutter = LineCutter(new_tail())
    lines = [line for chunk in chunks for line in cutter.feed(chunk)] + cutter.finish()
    text = b"".join(chunks)
    expected = text.split(b"\n")
    assert lines == (expected if expected[-1] else expected[:-1])


@given(st.lists(st.integers(1, 40_000), max_size=8), st.integers(200, 20_000))
def test_long_lines_are_cut_once(lengths, chunk_bytes):
    cutter = LineCutter(new_tail())
    text = b"".join(b"x" * length + b"\n" for length in lengths)
    chunks = [text[start : start + chunk_bytes] for start in range(0, len(text), chunk_bytes)]
    lines = [line for chunk in chunks for line in cutter.feed(chunk)]
    assert [len(line) for line in lines] == [min(length, LINE_BYTES_MAX) for length in lengths]
    assert not cutter.rest


def test_what_has_no_end_is_bounded():
    kept = new_tail()
    cutter = LineCutter(kept)
    for _ in range(100):
        cutter.feed(b"x" * 10_000)
        assert len(cutter.rest) <= LINE_BYTES_MAX
    assert cutter.finish() == []
    assert [len(line) for line in kept] == [LINE_BYTES_MAX]


def test_only_the_last_lines_are_kept():
    kept = new_tail()
    cutter = LineCutter(kept)
    cutter.feed(b"".join(b"%d\n" % number for number in range(1000)) + b"rest")
    assert len(kept) == LINES_MAX
    assert to_text([kept[-1], cutter.rest]) == ["999", "rest"]


def test_bytes_that_are_no_text_are_replaced():
    assert to_text([b"\xff\xfe ok"]) == ["\ufffd\ufffd ok"]


def test_the_log_gets_so_many_lines_a_second():
    budget = LogBudget()
    assert budget.take(LOG_LINES_PER_S_MAX - 1, 0) == (LOG_LINES_PER_S_MAX - 1, 0)
    assert budget.take(5, 1) == (1, 0)
    assert budget.take(7, 2) == (0, 0)
    assert budget.take(3, SECOND_NS) == (3, 11)
    assert budget.take(3, SECOND_NS + 1) == (3, 0)


def test_what_was_suppressed_last_is_told_at_the_end():
    budget = LogBudget()
    budget.take(LOG_LINES_PER_S_MAX + 4, 0)
    assert budget.finish() == 4
    assert budget.finish() == 0
