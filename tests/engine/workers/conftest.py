"""A worker service for the tests, and a check that nothing is left of their workers."""

import os
from contextlib import ExitStack

import pytest

from engine.workers.service import WorkerService
from tests.engine.workers.worker_helpers import (
    PATIENCE_S,
    open_descriptors,
    start,
    target_of,
)


@pytest.fixture
def watch_pids():
    """Opens pidfds, so that a number stands for one process only."""
    with ExitStack() as stack:

        def watch(pids):
            pidfds = {pid: os.pidfd_open(pid) for pid in pids}
            for pidfd in pidfds.values():
                stack.callback(os.close, pidfd)
            return pidfds

        yield watch


@pytest.fixture(scope="session")
def shared_service():
    service = WorkerService()
    yield service
    service.close()


@pytest.fixture
def service(shared_service):
    """A warm service, common to the tests; nothing of a test's workers may be left in it."""
    shared_service.warm(wait_s=PATIENCE_S)
    before = open_descriptors()
    yield shared_service
    assert not shared_service._workers
    left = {fd: target_of(fd) for fd in open_descriptors() - before}
    assert not left, f"descriptors left: {left}"


@pytest.fixture
def own_service():
    """A service of the test's own, to do harm to."""
    before = open_descriptors()
    service = WorkerService()
    service.warm(wait_s=PATIENCE_S)
    yield service
    service.close()
    assert not service._loop._thread.is_alive()
    assert not open_descriptors() - before


@pytest.fixture
def spawn(service):
    """Starts workers; what a test leaves running is killed."""
    owners = []

    def spawn_one(entry, **settings):
        owners.append(start(service, entry, **settings))
        return owners[-1]

    yield spawn_one
    for owner in owners:
        owner.worker.kill()
    for owner in owners:
        assert owner.worker.wait_exited(PATIENCE_S)
