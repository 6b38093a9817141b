"""The tables of the hop bench."""

from benches.hop_tables import tables
from benches.report import machine, result


def test_subjects_stand_side_by_side_and_what_is_missing_is_said():
    results = [
        result("hop/4096/ping-pong/ours", "p50", "µs", [50.0, 60.0, 70.0], at_most=80),
        result("hop/4096/ping-pong/ours", "p99", "µs", [200.0]),
        result("hop/4096/ping-pong/dora-rs", "p50", "µs", [], why="no environment"),
        result("hop/4096/ping-pong/pyzmq-raw", "p50", "µs", [23.04]),
        result("hop/1048576-in-place/ping-pong/ours", "p50", "µs", [1234.5]),
        result("hop/8/saturated/ours", "throughput", "messages/s", [20_000.0]),
    ]

    text = tables(machine(), results)

    assert "| size | ours | pyzmq-raw |" in text
    assert "| 4 KiB | **60 · 200** | 23 |" in text
    assert "| 1 MiB, in place | **1,234** | – |" in text
    assert "| 8 B | **20,000** |" in text
    assert "| hop/4096/ping-pong/ours | p50 | 60 µs | 50 … 70 | 80 | ok |" in text
    assert "- hop/4096/ping-pong/dora-rs: no environment" in text
