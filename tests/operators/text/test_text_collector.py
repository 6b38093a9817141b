import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.payloads import Audio, Json, Text
from engine.testing import StageBench
from operators.text.text_collector import END_MARKS, TextCollector

#: Text as it comes, dense with everything that matters.
streams = st.lists(
    st.one_of(
        st.sampled_from([*END_MARKS, ". ", "! ", "…?", "\n", " ", "<|", "text_end|>", "a", "Dr. "]),
        st.text(alphabet="ab .!?;\n<|_>", max_size=8),
        st.text(max_size=6),
    ),
    max_size=20,
)


def collected(drive, texts, **params):
    return [output.text for output in drive(TextCollector(**params)).run(map(Text, texts))]


def test_sentences_come_whole(drive):
    tokens = ["Hel", "lo", " there", ".", " How are", " you", "? Fine; ", "thanks\nBye"]
    assert collected(drive, tokens) == [
        "Hello there.",
        " How are you?",
        " Fine;",
        " thanks\n",
        "Bye",
    ]


class Counted(str):
    """A string that counts how much of it, and of its parts, is copied."""

    __slots__ = ()
    copied = 0

    def __getitem__(self, key):
        part = Counted(super().__getitem__(key))
        Counted.copied += len(part)
        return part


@pytest.mark.parametrize("end", [". ", END_MARKS[0], " "], ids=["sentence", "mark", "blank"])
def test_a_long_text_is_not_copied_for_each_sentence(end):
    collector = TextCollector(max_sentence_length=100)
    collector._held = text = Counted(f"word{end}" * 5_000)
    Counted.copied = 0
    assert len(list(collector._collect())) > 200
    assert 0 < Counted.copied < 4 * len(text)


def test_a_sentence_leaves_as_soon_as_it_ends(drive):
    collector = drive(TextCollector())
    assert collector.feed(Text("Hello")) == []
    assert collector.feed(Text(" there.")) == [Text("Hello there.")]
    assert collector.flush() == []


@settings(deadline=None)
@given(streams)
@example(["<|text", "_end|>", ".", "<|audio_end|>a"])
def test_no_character_is_lost_or_moved(drive, texts):
    assert "".join(collected(drive, texts)) == "".join(texts)


@settings(deadline=None)
@given(
    texts=streams, length=st.integers(0, 12), pattern=st.sampled_from(["[.!?]", "a", r"(?<=\.) "])
)
def test_sentences_do_not_depend_on_packets(drive, texts, length, pattern):
    params = {"split_pattern": pattern, "min_sentence_length": length}
    whole = "".join(texts)
    assert collected(drive, texts, **params) == collected(drive, [whole], **params)
    assert collected(drive, list(whole), **params) == collected(drive, [whole], **params)


@settings(deadline=None)
@given(texts=streams, length=st.integers(1, 30))
def test_what_is_held_is_bounded(drive, texts, length):
    collector = drive(TextCollector(max_sentence_length=length))
    for text in texts:
        collector.feed(Text(text))
        assert len(collector.operator._held) <= max(length, len(END_MARKS[1]))


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, ["Oh.", " No.", " Yes!"]),
        (3, ["Oh.", " No.", " Yes!"]),
        (4, ["Oh. No.", " Yes!"]),
        (8, ["Oh. No. Yes!"]),
    ],
)
def test_short_sentences_go_on(drive, length, expected):
    assert collected(drive, ["Oh. No. Yes!"], min_sentence_length=length) == expected


def test_points_that_come_later_belong_to_what_follows(drive):
    assert collected(drive, ["Well", ".", ".", ".", " Yes."]) == ["Well.", ".. Yes."]


@pytest.mark.parametrize("mark", END_MARKS)
@pytest.mark.parametrize("join", [True, False])
def test_an_end_mark_ends_the_sentence_and_follows_it(drive, mark, join):
    texts = ["Hello. How", mark, "Next"]
    texts = ["".join(texts)] if join else texts
    assert collected(drive, texts) == ["Hello.", " How", mark, "Next"]


def test_an_end_mark_may_be_spread(drive):
    collector = drive(TextCollector(split_pattern="[|_]"))
    assert [output.text for output in collector.feed(*map(Text, ["Bye<|te", "xt_e", "nd|>"]))] == [
        "Bye",
        "<|text_end|>",
    ]


def test_partial_sentences_may_be_unwanted(drive):
    texts = ["Hello. How", "<|text_end|>", "What? Ne"]
    assert collected(drive, texts, yield_partial_on_end=False) == [
        "Hello.",
        "<|text_end|>",
        "What?",
    ]


def test_a_pattern_may_be_any_regular_expression(drive):
    assert collected(drive, ["one, two,, three"], split_pattern=r",+\s*") == [
        "one, ",
        "two,, ",
        "three",
    ]


def test_very_long_sentences_are_cut_behind_a_blank(drive):
    assert collected(drive, ["aaa bbb ccc ddd"], max_sentence_length=10) == ["aaa bbb ", "ccc ddd"]
    assert collected(drive, ["a" * 25], max_sentence_length=10) == ["a" * 10, "a" * 10, "a" * 5]


def test_another_channel_or_language_ends_the_sentence(drive):
    texts = [Text("Hel", "en", "tts"), Text("lo", "en", "ui"), Text("Hallo", "de", "ui")]
    assert drive(TextCollector()).run(texts) == texts


def test_language_channel_and_metadata_stay():
    bench = StageBench({"collect": TextCollector()})
    bench.feed(Text("Hal", "de", "ui"), metadata={"turn": "1"})
    bench.feed(Text("lo.", "de", "ui"), metadata={"turn": "2"})
    bench.finish()
    bench.run()
    assert bench.sink().payloads == [Text("Hallo.", "de", "ui")]
    assert bench.sink().packets[0].metadata == {"turn": "2"}
    assert bench.sink().lineage == [(1, 0)]


def test_other_payloads_pass_at_once(drive, make_packet):
    packets = [make_packet(Json(1)), make_packet(Audio(np.zeros(3, np.float32), 8_000))]
    collector = drive(TextCollector())
    assert collector.feed(Text("Hello"), *packets) == packets
    assert collector.flush() == [Text("Hello")]


def test_reset_forgets_the_sentence_under_way(drive):
    collector = drive(TextCollector())
    collector.feed(Text("Stale"))
    collector.reset()
    assert collector.run([Text("Fresh.")]) == [Text("Fresh.")]


@pytest.mark.parametrize(
    "params", [{"split_pattern": "[.!"}, {"split_pattern": ""}, {"min_sentence_length": -1}]
)
def test_wrong_params_are_refused(params):
    with pytest.raises(UsageError, match=re.escape(next(iter(params)))):
        TextCollector(**params)
