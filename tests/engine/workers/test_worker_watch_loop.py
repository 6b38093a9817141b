"""The thread that waits for descriptors, calls and deadlines."""

import os
import queue
import threading
import time

import pytest

from engine.workers.watch_loop import WatchLoop
from tests.engine.workers.worker_helpers import open_descriptors

PATIENCE_S = 10.0


class Recorder:
    def __init__(self):
        self.seen = queue.SimpleQueue()
        self.loop = WatchLoop("watch-loop-test", self.on_deadline, lambda: self.seen.put("end"))

    def on_deadline(self, key):
        self.seen.put(key)

    def next(self):
        return self.seen.get(timeout=PATIENCE_S)

    def on_thread(self, call):
        done = threading.Event()
        self.loop.post(lambda: (call(), done.set()))
        assert done.wait(PATIENCE_S)


@pytest.fixture
def recorder():
    before = open_descriptors()
    recorder = Recorder()
    assert recorder.loop.start()
    assert recorder.loop.start()
    yield recorder
    recorder.loop.end(PATIENCE_S)
    assert open_descriptors() == before


def test_calls_run_in_order_whatever_they_raise(recorder, caplog):
    def broken():
        raise LookupError("one worker's trouble")

    recorder.loop.post(lambda: recorder.seen.put(1))
    recorder.loop.post(broken)
    recorder.loop.post(lambda: recorder.seen.put(2))
    assert [recorder.next(), recorder.next()] == [1, 2]
    assert "one worker's trouble" in caplog.text


def test_a_readable_descriptor_is_reported(recorder):
    reading, writing = os.pipe()

    def read(_mask):
        recorder.seen.put(os.read(reading, 100))
        recorder.loop.unregister(reading)
        recorder.loop.unregister(reading)

    recorder.loop.post(lambda: recorder.loop.register(reading, read))
    os.write(writing, b"hello")
    assert recorder.next() == b"hello"
    recorder.on_thread(lambda: recorder.loop.watch_writes(reading, wanted=True))  # not registered
    os.close(reading)
    os.close(writing)


def test_deadlines_come_in_their_order(recorder):
    now_ns = time.monotonic_ns()

    def arm():
        recorder.loop.arm(1, now_ns + 30_000_000)
        recorder.loop.arm(2, now_ns + 20_000_000)
        recorder.loop.arm(1, now_ns + 10_000_000)  # earlier counts
        recorder.loop.arm(3, now_ns + 5_000_000)
        recorder.loop.arm(4, None)
        recorder.loop.disarm(3)
        recorder.loop.disarm(3)

    recorder.loop.post(arm)
    assert [recorder.next(), recorder.next()] == [1, 2]
    assert recorder.seen.empty()


def test_a_deadline_that_moves_away_keeps_its_entry(recorder):
    def arm():
        for later_ns in range(1000):
            recorder.loop.arm(1, time.monotonic_ns() + 10**12 + later_ns)
        assert len(recorder.loop._deadlines) == 1

    recorder.on_thread(arm)


def test_the_end_is_told_and_nothing_is_taken_after_it(recorder):
    recorder.loop.post(lambda: recorder.seen.put("call"))
    recorder.loop.end(PATIENCE_S)
    assert [recorder.next(), recorder.next()] == ["call", "end"]
    assert not recorder.loop.post(lambda: None)
    assert not recorder.loop.start()
    recorder.loop.end(PATIENCE_S)


def test_it_may_end_itself(recorder):
    recorder.loop.post(lambda: recorder.loop.end(PATIENCE_S))
    assert recorder.next() == "end"


def test_one_that_never_started_leaves_nothing():
    before = open_descriptors()
    recorder = Recorder()
    recorder.loop.end(PATIENCE_S)
    recorder.loop.end(PATIENCE_S)
    assert open_descriptors() == before
