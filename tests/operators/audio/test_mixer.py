import asyncio
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import NodeError, UsageError
from engine.payloads import Audio, Json
from engine.testing import StageBench
from operators.audio.chunker import AudioChunker
from operators.audio.mixer import SOFT_KNEE, Mixer
from operators.audio.resample import FastResample
from tests.operators.audio.signals import DTYPES, encoded, noise, sine, sizes

RATE = 8_000


def block(frames, value=0.25, channels=1, rate=RATE):
    return Audio(np.full((frames, channels), value, np.float32), rate)


def bench_of(ports=2, **params):
    mixer = Mixer(inputs=ports, **params)
    return StageBench({"mix": mixer}, inputs=[f"mix.{port}" for port in mixer.inputs])


def feed(bench, port, *payloads, at_ms=0):
    """Blocks one after the other from a media time."""
    time_ns = at_ms * 1_000_000
    for payload in payloads:
        bench.feed(payload, at=f"mix.{port}", timestamp_ns=time_ns)
        if isinstance(payload, Audio):
            time_ns += payload.duration_ns


def mixed(bench):
    """What has come out, laid where its times say; between it NaN."""
    packets = [packet for packet in bench.sink().packets if isinstance(packet.payload, Audio)]
    if not packets:
        return np.empty((0, 1), np.float32)
    starts = [round(packet.timestamp_ns * RATE / 1e9) for packet in packets]
    stop = max(start + packet.payload.frames for start, packet in zip(starts, packets, strict=True))
    laid = np.full((stop, packets[0].payload.channels), np.nan, np.float32)
    for start, packet in zip(starts, packets, strict=True):
        laid[start : start + packet.payload.frames] = packet.payload.samples
    return laid


@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_are_added_with_their_gains(dtype):
    bench = bench_of(gain_db={"in1": -6.0206})
    waves = [noise(400, seed=seed) * 0.4 for seed in (1, 2)]
    for port, wave in zip(("in0", "in1"), waves, strict=True):
        feed(bench, port, Audio(encoded(wave, dtype), RATE))
    bench.finish()
    bench.run()
    assert mixed(bench) == pytest.approx(waves[0] + waves[1] / 2, abs=1e-4)
    assert mixed(bench).dtype == np.float32


@settings(deadline=None, max_examples=30)
@given(cuts=st.tuples(sizes, sizes), first=st.integers(0, 1))
def test_the_mix_does_not_depend_on_packets(cuts, first, split):
    waves = [Audio(noise(3_000, 2, seed=seed) / 2, RATE) for seed in (1, 2)]
    bench = bench_of()
    for port in (first, 1 - first):
        for packet in split(waves[port], cuts[port], start_ns=10**9):
            at = f"mix.in{port}"
            bench.feed(packet.payload, at=at, timestamp_ns=packet.timestamp_ns)
    bench.finish()
    bench.run()
    assert np.array_equal(mixed(bench)[RATE:], waves[0].samples + waves[1].samples)
    assert bench.settled


@pytest.mark.parametrize("after", [np.float32, np.int16, np.int32])
@pytest.mark.parametrize("before", [np.float32, np.int16, np.int32])
def test_an_input_may_change_its_dtype_and_widen(before, after):
    bench = bench_of()
    value = np.full((80, 1), 0.25)
    stereo = np.repeat(value, 2, axis=1)
    feed(bench, "in0", Audio(encoded(value, before), RATE), Audio(encoded(stereo, after), RATE))
    bench.run()  # both are held, and released together
    feed(bench, "in1", block(160))
    bench.finish()
    bench.run()
    assert np.array_equal(mixed(bench), np.full((160, 2), 0.5))


@pytest.mark.parametrize("before", [AudioChunker(chunk_size=100), FastResample(target_rate=RATE)])
def test_what_was_packed_anew_is_mixed_without_gaps(before):
    rate = 24_000 if isinstance(before, FastResample) else RATE
    step = rate // 50
    asyncio.run(before.initialize(None))
    links, inputs = [("before", "mix.in0")], ["before", "mix.in1"]
    bench = StageBench({"before": before, "mix": Mixer()}, links=links, inputs=inputs)
    for number in range(50):
        wave = sine(-6, rate=rate, frames=rate, frequency=440)[number * step :][:step]
        at_ns = number * 20_000_000
        bench.feed(Audio(wave.copy(), rate), at="before", timestamp_ns=at_ns)
        bench.feed(block(160, 0.0), at="mix.in1", timestamp_ns=at_ns)
    bench.finish()
    bench.run()
    wanted = sine(-6, rate=RATE, frames=RATE, frequency=440)
    assert mixed(bench)[100:-100] == pytest.approx(wanted[100:-100], abs=0.01)


def test_inputs_are_aligned_by_media_time():
    bench = bench_of()
    feed(bench, "in0", block(800))
    feed(bench, "in1", block(400, 0.5), at_ms=25)
    bench.finish()
    bench.run()
    expected = [0.25] * 200 + [0.75] * 400 + [0.25] * 200
    assert mixed(bench)[:, 0].tolist() == expected


def test_an_input_that_has_ended_holds_nobody_up():
    bench = bench_of()
    feed(bench, "in0", *[block(80)] * 4)
    feed(bench, "in1", block(80))
    bench.run()
    assert len(mixed(bench)) == 80
    bench.finish("mix.in1")
    bench.run()
    assert len(mixed(bench)) == 320  # at once, without a clock
    feed(bench, "in0", block(80), at_ms=40)
    bench.run()
    assert len(mixed(bench)) == 400


def test_an_input_that_ends_without_a_packet_holds_nobody_up():
    bench = bench_of()
    bench.finish("mix.in1")
    feed(bench, "in0", block(80))
    bench.run()
    assert len(mixed(bench)) == 80


def test_a_silent_input_is_waited_for_only_so_long():
    bench = bench_of(wait_max_ms=300)
    feed(bench, "in0", block(80))
    bench.advance(0.2)
    assert len(mixed(bench)) == 0
    bench.advance(0.5)
    assert len(mixed(bench)) == 80
    feed(bench, "in0", block(80), at_ms=10)
    bench.run()
    assert len(mixed(bench)) == 160  # it is not waited for again
    feed(bench, "in1", block(80, 0.5), at_ms=20)  # until it sends
    bench.run()
    assert len(mixed(bench)) == 160
    feed(bench, "in0", block(80), at_ms=20)
    bench.run()
    assert mixed(bench)[160:, 0].tolist() == [0.75] * 80


def test_who_is_ahead_waits_for_the_others():
    bench = bench_of(skew_max_ms=50)
    feed(bench, "in0", *[block(80)] * 30)
    bench.run()
    taken = bench.feeders["mix.in0"].edge.statistics()
    assert taken.queued == 25  # five of 10 ms are 50 ms ahead, the others wait in the edge
    feed(bench, "in1", *[block(80)] * 30)
    bench.run()
    assert len(mixed(bench)) == 2_400
    assert mixed(bench)[:, 0].tolist() == [0.5] * 2_400


def test_what_comes_too_late_is_mixed_in_later(caplog):
    bench = bench_of(wait_max_ms=100)
    feed(bench, "in0", block(800))
    bench.advance(0.3)
    assert len(mixed(bench)) == 800
    with caplog.at_level(logging.WARNING):
        feed(bench, "in1", block(80, 0.5), at_ms=50)
        feed(bench, "in0", block(800), at_ms=100)
        bench.advance(0.3)
    warnings = [record for record in caplog.records if record.message == "audio_input_late"]
    assert [record.port for record in warnings] == ["in1"]
    assert mixed(bench)[800:, 0].tolist() == [0.75] * 80 + [0.25] * 720


def test_where_all_pause_nothing_comes_out_and_time_goes_on():
    bench = bench_of()
    for port in ("in0", "in1"):
        feed(bench, port, block(80))
        feed(bench, port, block(80), at_ms=3_600_000)
    bench.finish()
    bench.run()
    assert [packet.timestamp_ns for packet in bench.sink().packets] == [0, 3_600_000_000_000]


def test_mono_is_laid_on_all_channels():
    bench = bench_of(3)
    feed(bench, "in0", block(80, 0.25, channels=2))
    feed(bench, "in1", block(80, 0.5))
    bench.finish()
    bench.run()
    assert mixed(bench).tolist() == [[0.75, 0.75]] * 80


@pytest.mark.parametrize(
    ("clip", "expected"), [("hard", 1.0), ("none", 1.8), ("soft", pytest.approx(0.9999, abs=2e-4))]
)
def test_what_is_beyond_full_scale(clip, expected):
    bench = bench_of(clip=clip)
    for port in ("in0", "in1"):
        feed(bench, port, Audio(np.array([[0.9], [-0.9], [SOFT_KNEE / 2]], np.float32), RATE))
    bench.finish()
    bench.run()
    loud, low, soft = mixed(bench)[:, 0].tolist()
    assert loud == pytest.approx(1.8) if clip == "none" else loud == expected
    assert low == -loud
    assert soft == SOFT_KNEE


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (block(80, rate=16_000), r"'in1' is at 16000 Hz.*at 8000: put a FastResampleNode"),
        (block(80, channels=3), r"'in1' has 3 channels, the mix has 2: it can take 1 or 2"),
    ],
)
def test_what_does_not_go_together_is_an_error(second, words):
    bench = bench_of()
    feed(bench, "in0", block(80, channels=2))
    feed(bench, "in1", second)
    bench.run()
    assert isinstance(bench.stage.error, NodeError)
    with pytest.raises(NodeError, match=words):
        raise bench.stage.error


def test_others_pass_at_once_and_empty_packets_do_no_harm():
    bench = bench_of()
    feed(bench, "in0", block(80), Json(1), block(0))
    bench.run()
    assert bench.values == [1]
    feed(bench, "in1", block(0), block(80))
    bench.run()
    assert len(mixed(bench)) == 80


def test_an_interrupt_forgets_what_is_held():
    bench = bench_of()
    feed(bench, "in0", block(80))
    bench.run()
    bench.feed(block(80, 0.5), at="mix.in1", timestamp_ns=10**9, generation=1)
    bench.feed(block(80, 0.25), at="mix.in0", timestamp_ns=10**9, generation=1)
    bench.finish()
    bench.run()
    assert [packet.timestamp_ns for packet in bench.sink().packets] == [10**9]
    assert bench.sink().payloads[0].samples[:, 0].tolist() == [0.75] * 80
    assert bench.settled


def test_an_interrupt_remembers_which_inputs_have_ended():
    bench = bench_of()
    bench.finish("mix.in1")
    bench.run()
    bench.feed(block(80), at="mix.in0", generation=1)
    bench.run()
    assert len(mixed(bench)) == 80


def test_ports_may_have_names():
    mixer = Mixer(names=["voice", "music"], gain_db={"music": -20})
    assert mixer.inputs == ("voice", "music")
    bench = StageBench({"mix": mixer}, inputs=["mix.voice", "mix.music"])
    feed(bench, "voice", block(80))
    feed(bench, "music", block(80, 0.5))
    bench.finish()
    bench.run()
    assert mixed(bench)[:, 0] == pytest.approx(np.full(80, 0.3))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"gain_db": {"in5": 1}}, "names in5, but the input ports are in0, in1"),
        ({"inputs": 0}, "inputs"),
        ({"names": ["a", "a"]}, "occurs twice"),
        ({"clip": "maybe"}, "clip"),
        ({"skew_max_ms": 0}, "skew_max_ms"),
    ],
)
def test_wrong_params_are_refused(params, words):
    with pytest.raises(UsageError, match=words):
        Mixer(**params)
