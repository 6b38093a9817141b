"""What every test that spawns is held to: it leaves no process, descriptor, thread or file."""

from __future__ import annotations

import gc

import pytest

from engine.testing.leaks import Footprint, what_is_left
from engine.workers.service import WorkerService

#: Longer than the start of a zygote takes on a busy machine.
PATIENCE_S = 20.0
#: Fixtures whose owners look after what is left themselves.
OWN_CHECKS = {"service", "own_service", "no_leaks"}


def pytest_collection_finish():
    """Leave what is there by now, thousands of tests, out of the collections of garbage."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    """Let the interpreter's end collect it: libraries complain of what they still find then."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_is_left(request):
    """Compares the process before and after each test marked `process`."""
    if request.node.get_closest_marker("process") is None or OWN_CHECKS & {*request.fixturenames}:
        yield
        return
    # The service's own thread, zygote and descriptors stay until the process ends.
    WorkerService.shared().warm(wait_s=PATIENCE_S)
    before = Footprint.take()
    yield
    left = what_is_left(before)
    assert not left, f"the test left {left}"
