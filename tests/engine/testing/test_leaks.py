"""engine.testing.leaks: what was left behind is found, and what is in order is not."""

import asyncio
import os
import subprocess
import sys
import threading
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from engine.config import Settings
from engine.payloads import Text
from engine.pipeline import Pipeline
from engine.testing import Footprint, no_leaks, what_is_left
from engine.testing.leaks import processes_under, workers_under
from engine.workers.service import WorkerService
from tests.integration.graph_operators import Pass

SLEEPER = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def sleeper():
    with subprocess.Popen(SLEEPER, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def waiting_thread():
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name="left-over")

    def start():
        thread.start()
        return thread

    yield start
    go_on.set()
    thread.join()


def test_what_is_in_order_passes():
    with no_leaks(), Path(os.devnull).open() as file:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        asyncio.run(asyncio.sleep(0))
        subprocess.run([sys.executable, "-c", ""], check=True)
        assert file.readable()


def test_a_thread_is_found(waiting_thread):
    found = pytest.raises(AssertionError, match="was left behind:\n  - thread left-over")
    with found, no_leaks(within_s=0):
        waiting_thread()


def test_a_second_thread_of_one_name_is_found(waiting_thread):
    before = Footprint.take()
    waiting_thread()
    assert what_is_left(before, 0) == ["thread left-over"]


def test_a_descriptor_is_found():
    before = Footprint.take()
    left, right = os.pipe()
    assert what_is_left(before, 0) == ["descriptors: pipe:"]
    os.close(left)
    os.close(right)
    assert what_is_left(before, 0) == []


def test_a_process_is_found():
    found = pytest.raises(AssertionError, match=r"- process \d+: .*sys\.stdin\.read")
    with found, no_leaks(within_s=0):
        process = subprocess.Popen(SLEEPER, stdin=subprocess.PIPE)
    process.stdin.close()
    process.wait()


def test_a_process_that_is_no_worker_is_not_taken_for_one(sleeper):
    assert sleeper.pid in processes_under(os.getpid())
    assert sleeper.pid not in workers_under(os.getpid())
    assert processes_under(sleeper.pid) == {}


def test_shared_memory_is_found():
    before = Footprint.take()
    segment = shared_memory.SharedMemory(f"remotemedia-test-{os.getpid()}", create=True, size=8)
    try:
        left = what_is_left(before, 0)
    finally:
        segment.close()
        segment.unlink()
    assert f"/dev/shm/{segment.name}" in left


def test_a_task_is_found_on_whichever_loop():
    async def never():
        await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    found = pytest.raises(AssertionError, match=r"- task lost: .*never")
    with found, no_leaks(within_s=0):
        task = loop.create_task(never(), name="lost")
        loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()


def test_what_was_there_before_is_no_leak(sleeper, waiting_thread):
    waiting_thread()
    with no_leaks():
        pass


def test_what_is_ending_is_waited_for(monkeypatch):
    go_on = threading.Event()
    thread = threading.Thread(target=lambda: go_on.wait(60), name="slow")
    before = Footprint.take()
    thread.start()
    original = Footprint.more_than
    looks = []

    def more_than(footprint, earlier):
        looks.append(original(footprint, earlier))
        go_on.set()
        return looks[-1]

    monkeypatch.setattr(Footprint, "more_than", more_than)
    assert what_is_left(before, 60) == []
    assert looks[0] == ["thread slow"]


@pytest.fixture
def own_service():
    """Nothing of ours runs before the test, nor after it."""
    WorkerService.shared().close()
    yield
    WorkerService.shared().close()


@pytest.mark.process
def test_the_service_that_a_session_starts_is_no_leak_and_ends_with_the_block(own_service):
    with no_leaks():
        pipeline = Pipeline("p", settings=Settings()) | Pass().on("process")
        assert [packet.payload for packet in pipeline.run([Text("x")])] == [Text("x")]
        assert not WorkerService.shared().closed
    assert "remotemedia-workers" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.process
def test_a_worker_that_is_left_is_found(own_service):
    kept = []

    async def start():
        session = (Pipeline("p", settings=Settings()) | Pass().on("process")).session()
        await session.start()
        kept.append(session)

    loop = asyncio.new_event_loop()
    found = pytest.raises(AssertionError, match=r"- process \d+: remotemedia pass --session")
    with found, no_leaks(within_s=0):
        loop.run_until_complete(start())
    loop.run_until_complete(kept.pop().aclose())
    loop.close()
