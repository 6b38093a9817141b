"""engine.reactive.collect: lists of packets as one output."""

import numpy as np
import pytest
from reactivex import operators as ops

from engine.payloads import Audio, Binary, Json, Text
from engine.reactive.collect import collect
from engine.reactive.function import rx
from engine.testing import StageBench


def bench_of(*operators):
    return StageBench({"n": rx(*operators)})


def test_texts_and_values_become_a_list():
    bench = bench_of(ops.buffer_with_count(3), collect())
    bench.feed(Text("a"), Json({"b": 1}), Text("c"))
    bench.run()
    assert bench.sink().payloads == [Json(["a", {"b": 1}, "c"])]


def test_audio_is_laid_end_to_end():
    bench = bench_of(ops.buffer_with_count(2), collect())
    blocks = [np.full((frames, 2), frames, np.float32) for frames in (3, 2)]
    bench.feed(*(Audio(block, 16_000) for block in blocks))
    bench.run()
    assert bench.sink().payloads == [Audio(np.concatenate(blocks), 16_000)]


def test_a_function_makes_the_payload():
    bench = bench_of(
        ops.pairwise(), collect(lambda pair: Text("".join(p.payload.text for p in pair)))
    )
    bench.feed(*map(Text, "abc"))
    bench.run()
    assert bench.values == ["ab", "bc"]


def test_an_output_has_the_first_ones_time_and_descends_from_the_last():
    bench = bench_of(ops.buffer_with_count(3), collect())
    bench.feed(*map(Text, "abcdef"))
    bench.run()
    packets = bench.sink().packets
    assert [packet.sequence for packet in packets] == [2, 5]
    assert [packet.timestamp_ns for packet in packets] == [0, 3_000_000]


def test_empty_spans_give_nothing():
    bench = bench_of(ops.buffer_with_time(1.0), collect())
    bench.advance(5)
    bench.feed(Text("a"))
    bench.advance(5)
    assert bench.values == [["a"]]


@pytest.mark.parametrize(
    ("payloads", "sentence"),
    [
        ([Text("a"), Binary(b"b")], "collect cannot join Binary, Text; give it a function"),
        (
            [Audio(np.zeros(1, np.float32), 8_000), Audio(np.zeros(1, np.int16), 8_000)],
            "collect cannot join audio of 8000 Hz × 1 float32 and 8000 Hz × 1 int16; resample",
        ),
    ],
)
def test_what_does_not_fit_together_is_told(payloads, sentence):
    bench = bench_of(ops.buffer_with_count(2), collect())
    bench.feed(*payloads)
    bench.run()
    assert bench.stage.error.node_id == "n"
    assert sentence in bench.stage.error.message


def test_it_takes_packets_only():
    bench = StageBench({"n": rx(ops.buffer_with_count(1), collect(), values=True)})
    bench.feed(Text("a"))
    bench.run()
    assert "collect takes lists of packets, not of str" in bench.stage.error.message
