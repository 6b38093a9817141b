from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.payloads import Audio
from operators.audio.windows import Tally, Windows
from tests.operators.audio.signals import noise, sizes


class Whole(Tally):
    """Keeps all it is told, for the tests."""

    def __init__(self, *window: int) -> None:
        super().__init__(*window)
        self.parts: list[Any] = []

    def add(self, samples):
        super().add(samples)
        self.parts.append(samples)

    @property
    def samples(self):
        return np.concatenate(self.parts)


def windows_of(window_ms):
    return Windows(window_ms, Whole)


def cut(windows, packets):
    found = []
    for packet in packets:
        found += windows.feed(packet.payload, packet.timestamp_ns)
    found += windows.flush()
    return [
        (window.samples.tolist(), window.sample_rate, window.begin, window.timestamp_ns)
        for window in found
    ]


@settings(deadline=None)
@given(sizes=sizes, rate=st.sampled_from([8_000, 11_025, 44_100]), window_ms=st.integers(1, 40))
def test_windows_do_not_depend_on_packets(split, sizes, rate, window_ms):
    whole = Audio(noise(2_000, 2), rate)
    expected = cut(windows_of(window_ms), split(whole, [2_000], start_ns=3_000_000_123))
    assert cut(windows_of(window_ms), split(whole, sizes, start_ns=3_000_000_123)) == expected
    assert sum(len(samples) for samples, *_ in expected) == 2_000
    assert [begin for _, _, begin, _ in expected] == [
        number * rate * window_ms // 1000 for number in range(len(expected))
    ]


def test_without_a_length_each_packet_is_a_window(split):
    packets = list(split(Audio(noise(100), 8_000), [30]))
    windows = windows_of(None)
    lengths = [
        len(window.samples)
        for packet in packets
        for window in windows.feed(packet.payload, packet.timestamp_ns)
    ]
    assert lengths == [30, 30, 30, 10]
    assert windows.flush() == []


def test_a_rate_lower_than_a_window_makes_longer_windows():
    windows = windows_of(1)
    found = windows.feed(Audio(noise(5), 500), 0)
    assert [len(window.samples) for window in found] == [1] * 5  # 2 ms each


def test_empty_packets_are_no_windows():
    assert windows_of(None).feed(Audio(noise(0), 8_000), 0) == []
    assert windows_of(10).feed(Audio(noise(0), 8_000), 0) == []


@pytest.mark.parametrize(
    "other",
    [Audio(noise(80), 16_000), Audio(noise(80, 2), 8_000), Audio(noise(80, dtype=np.int16), 8_000)],
)
def test_another_format_ends_a_window(other):
    windows = windows_of(10)
    assert windows.feed(Audio(noise(50), 8_000), 0) == []
    found = windows.feed(other, 6_250_000)
    assert len(found[0].samples) == 50
    rest = windows.flush()
    assert sum(len(window.samples) for window in [*found[1:], *rest]) == 80


def test_a_tally_sums_up_what_it_is_told():
    windows = Windows(20, Tally)
    samples = noise(160, 2, dtype=np.int16)
    assert windows.feed(Audio(samples[:100].copy(), 8_000), 5_000_000) == []
    (tally,) = windows.feed(Audio(samples[100:].copy(), 8_000), 17_500_000)
    scaled = samples / 32_768
    assert tally.powers == pytest.approx((scaled**2).mean(axis=0))
    assert tally.peaks.tolist() == np.abs(scaled).max(axis=0).tolist()
    assert tally.times == {"timestamp_ms": 5, "duration_ms": 20.0}


def test_reset_forgets(split):
    windows = windows_of(10)
    windows.feed(Audio(noise(50), 8_000), 0)
    windows.reset()
    assert windows.flush() == []
    assert windows.received == 0
