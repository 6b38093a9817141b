"""Histograms of hops: what is read off them is beside the truth by an eighth at most."""

from __future__ import annotations

import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.edges.hop_times import BUCKETS, HopRecorder, HopTimes
from engine.edges.local import LocalEdge
from engine.interruption import older_than
from tests.engine.edges.conftest import audio, packet


def test_nothing_measured_is_zeros():
    assert HopRecorder().times() == HopTimes(0, 0.0, 0.0, 0.0)


@given(st.integers(1_024, 10**12))
def test_one_time_is_read_back_within_an_eighth(hop_ns):
    recorder = HopRecorder()
    recorder.record(hop_ns)
    times = recorder.times()
    assert times.measured == 1
    assert times.p50_us == times.p99_us == pytest.approx(hop_ns / 1e3, rel=0.126)
    assert hop_ns / 1e3 <= times.max_us <= hop_ns / 1e3 * 1.26


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_of_many(seed):
    rnd = random.Random(seed)
    hops = [int(rnd.lognormvariate(11, 1.5)) for _ in range(5_000)]
    recorder = HopRecorder(array("Q", bytes(8 * BUCKETS)))
    for hop_ns in hops:
        recorder.record(hop_ns)
    hops.sort()
    times = recorder.times()
    assert times.measured == 5_000
    assert times.p50_us == pytest.approx(hops[2_499] / 1e3, rel=0.15)
    assert times.p99_us == pytest.approx(hops[4_949] / 1e3, rel=0.15)


@pytest.mark.parametrize("hop_ns", [-(10**9), -1, 0, 1, 255, 2**62])
def test_what_can_hardly_be_is_counted_at_the_ends(hop_ns):
    recorder = HopRecorder()
    recorder.record(hop_ns)
    assert recorder.times().measured == 1


def test_a_local_edge_times_one_in_sixteen_by_its_clock():
    now = [0]
    edge = LocalEdge("e", 64, lambda: now[0])
    for number in range(64):
        assert edge.try_send(packet(audio(number), number))
    now[0] = 5_000_000
    while edge.try_receive() is not None:
        edge.release()
    hops = edge.statistics().hops
    assert hops.measured == 1, "one at a time is timed"
    for number in range(64):
        edge.try_send(packet(audio(number), number))
        now[0] += 5_000_000
        edge.try_receive()
        edge.release()
    hops = edge.statistics().hops
    assert hops.measured == 1 + 4
    assert hops.p50_us == pytest.approx(5_000, rel=0.126)


def test_a_timed_packet_that_is_dropped_is_forgotten():
    edge = LocalEdge("e", 4, lambda: 0)
    edge.try_send(packet(audio(0)))
    edge.discard(older_than(1))
    assert edge.statistics().hops.measured == 0
    assert edge._timed is None
