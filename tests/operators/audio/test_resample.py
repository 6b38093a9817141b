import logging

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.payloads import Audio, Text
from engine.testing import StageBench
from operators.audio.resample import FastResample

RATES = [8_000, 16_000, 22_050, 24_000, 44_100, 48_000]
RECIPES = {"Low": "LQ", "Medium": "MQ", "High": "HQ"}


def noise(frames: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (frames, channels)).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 3_000), min_size=1, max_size=8),
    rates=st.tuples(st.sampled_from(RATES), st.sampled_from(RATES)),
    quality=st.sampled_from(sorted(RECIPES)),
    frames=st.integers(1, 20_000),
)
def test_the_stream_is_one_signal_whatever_the_packets(
    drive, split, joined, sizes, rates, quality, frames
):
    source, target = rates
    samples = noise(frames)
    resampler = drive(FastResample(target_rate=target, quality=quality))
    outputs = resampler.run(split(Audio(samples.copy(), source), sizes))
    expected = (
        samples
        if source == target
        else soxr.resample(samples, source, target, quality=RECIPES[quality])
    )
    assert np.array_equal(joined([Audio(samples[:0].copy(), target), *outputs]), expected)
    assert abs(len(expected) - round(frames * target / source)) <= 1
    assert all(output.sample_rate == target and output.frames for output in outputs)


def timed(resampler, *stretches):
    """(media time in ns, samples) of what comes out of stretches (media time in ms, packets)."""
    bench = StageBench({"node": resampler.operator}, capacity=1_000)
    for at_ms, packets in stretches:
        time_ns = at_ms * 1_000_000
        for packet in packets:
            bench.feed(packet, timestamp_ns=time_ns)
            time_ns += packet.duration_ns
    bench.finish()
    bench.run()
    return [(packet.timestamp_ns, packet.payload.samples) for packet in bench.sink().packets]


def blocks(samples, rate, size):
    return [Audio(samples[at : at + size].copy(), rate) for at in range(0, len(samples), size)]


@pytest.mark.parametrize("size", [37, 960, 20_000])
@pytest.mark.parametrize("quality", sorted(RECIPES))
def test_what_the_filter_holds_keeps_its_media_time(drive, quality, size):
    outputs = timed(
        drive(FastResample(quality=quality)), (500, blocks(noise(20_000), 48_000, size))
    )
    time_ns = 500_000_000
    for at_ns, samples in outputs:
        assert at_ns == pytest.approx(time_ns, abs=100)
        time_ns += len(samples) * 62_500


def test_a_jump_of_media_time_is_kept_to_the_sample(drive):
    parts = (noise(9_600), noise(4_800))
    outputs = timed(
        drive(FastResample()),
        *((1_000 * n, blocks(part, 48_000, 960)) for n, part in enumerate(parts)),
    )
    late = [(at_ns, samples) for at_ns, samples in outputs if at_ns >= 10**9]
    assert late[0][0] == 10**9
    assert sum(len(samples) for _, samples in outputs) == 4_800
    assert sum(len(samples) for _, samples in late) == 1_600
    early = outputs[: -len(late)]
    assert early[-1][0] + len(early[-1][1]) * 62_500 == pytest.approx(200_000_000, abs=100)


def test_audio_that_is_right_already_passes_unchanged(drive, make_packet):
    packet = make_packet(Audio(np.zeros(160, np.int16), 16_000))
    resampler = drive(FastResample())
    assert resampler.feed(packet) == [packet]
    assert resampler.flush() == []


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
@pytest.mark.parametrize("channels", [1, 2])
def test_integers_become_floats_of_the_same_sound(drive, joined, dtype, channels):
    samples = noise(4_800, 2)
    scaled = (samples * -float(np.iinfo(dtype).min)).astype(dtype)
    results = [
        joined(drive(FastResample(channels=channels)).run([Audio(given_samples, 48_000)]))
        for given_samples in (samples, scaled)
    ]
    assert results[1].dtype == np.float32
    assert results[0].shape == results[1].shape == (1_600, channels)
    assert np.allclose(*results, atol=1e-4)


def test_several_channels_become_one_by_their_mean(drive, joined):
    left = noise(4_800)
    both = np.concatenate((left, 3 * left), axis=1)
    mono = joined(drive(FastResample()).run([Audio(2 * left, 48_000)]))
    assert np.allclose(joined(drive(FastResample()).run([Audio(both, 48_000)])), mono, atol=1e-6)
    same_rate = drive(FastResample()).run([Audio(both.copy(), 16_000)])
    assert np.allclose(joined(same_rate), 2 * left, atol=1e-6)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_one_channel_becomes_several_by_repetition(drive, joined, rate):
    result = joined(drive(FastResample(channels=2)).run([Audio(noise(4_800), rate)]))
    assert result.shape[1] == 2
    assert np.array_equal(result[:, 0], result[:, 1])


def test_channels_without_a_rule_are_refused(drive):
    with pytest.raises(ValueError, match="cannot make 2 channels of 3: set channels to 1 or to 3"):
        drive(FastResample(channels=2)).feed(Audio(noise(10, 3), 48_000))


def test_a_change_of_rate_lets_the_tail_out_first(drive, joined):
    first, second = Audio(noise(4_801), 48_000), Audio(noise(2_205), 22_050)
    resampler = drive(FastResample())
    early = resampler.feed(first)
    outputs = [*early, *resampler.feed(second), *resampler.flush()]
    expected = [
        soxr.resample(audio.samples, audio.sample_rate, 16_000, quality="MQ")
        for audio in (first, second)
    ]
    assert np.array_equal(joined(outputs), np.concatenate(expected))
    assert sum(output.frames for output in early) < len(expected[0])


def test_a_rate_other_than_declared_is_resampled_after_one_warning(drive, joined, caplog):
    resampler = drive(FastResample(source_rate=44_100))
    with caplog.at_level(logging.WARNING):
        outputs = resampler.run([Audio(noise(4_800), 48_000), Audio(noise(4_800), 48_000)])
    assert len(joined(outputs)) == 3_200
    (record,) = caplog.records
    assert record.message == "resample_source_rate_differs"
    assert (record.declared_hz, record.packet_hz) == (44_100, 48_000)


def test_reset_forgets_what_the_filter_holds(drive, joined):
    resampler = drive(FastResample())
    resampler.feed(Audio(np.ones(4_800, np.float32), 48_000))
    resampler.reset()
    assert not joined(resampler.run([Audio(np.zeros(4_800, np.float32), 48_000)])).any()


def test_a_stream_may_go_on_after_its_flush(drive, joined):
    resampler = drive(FastResample())
    audio = Audio(noise(4_800), 48_000)
    assert np.array_equal(joined(resampler.run([audio])), joined(resampler.run([audio])))


def test_other_payloads_pass_through(drive, make_packet):
    packet = make_packet(Text("x"))
    assert drive(FastResample()).feed(packet) == [packet]


@pytest.mark.parametrize(
    "params", [{"target_rate": 0}, {"quality": "Best"}, {"channels": 0}, {"source_rate": -1}]
)
def test_wrong_params_are_refused(params):
    with pytest.raises(UsageError, match=next(iter(params))):
        FastResample(**params)
