"""The memory of a session's workers: when it is too much, who is blamed, and that it is killed."""

import os
import signal

import pytest

from engine.errors import ResourceLimitError
from engine.workers import memory
from engine.workers.memory import Overrun, find_overrun
from engine.workers.messages import ReadyEvent, SpawnReplyEvent
from engine.workers.notices import FailedNotice
from engine.workers.supervisor import (
    MemoryEvent,
    NotifyCommand,
    SendSignalCommand,
    StopRequestEvent,
    Supervisor,
    WorkerLimits,
)

MIB = 1 << 20


@pytest.fixture
def use(monkeypatch):
    """Says what processes use: pid → resident, proportional; notes whose pages were walked."""

    def set_use(**sizes):
        by_pid = {int(name[1:]): pair for name, pair in sizes.items()}
        walked = []

        def proportional(pid):
            walked.append(pid)
            return by_pid[pid][1]

        monkeypatch.setattr(memory, "resident_bytes", lambda pid: by_pid[pid][0])
        monkeypatch.setattr(memory, "proportional_bytes", proportional)
        return walked

    return set_use


def test_what_is_resident_within_the_limit_needs_no_second_look(use):
    walked = use(p11=(60, 50), p12=(40, 30))
    assert find_overrun({1: 11, 2: 12}, 100) is None
    assert walked == []


def test_what_is_shared_counts_once(use):
    walked = use(p11=(90, 60), p12=(90, 40))
    assert find_overrun({1: 11, 2: 12}, 100) is None
    assert walked == [11, 12]


def test_one_byte_too_much_is_too_much_and_the_largest_is_named(use):
    use(p11=(90, 40), p12=(90, 61))
    assert find_overrun({1: 11, 2: 12}, 100) == Overrun(2, 61, 101)


def test_a_process_has_memory_of_its_own_and_one_that_is_gone_has_none():
    own = os.getpid()
    assert 0 < memory.proportional_bytes(own) <= memory.resident_bytes(own) + MIB
    assert memory.resident_bytes(1 << 30) == memory.proportional_bytes(1 << 30) == 0


def test_a_kernel_without_proportional_sets_is_made_do_with(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "statm").write_text("900 50 20 1 0 30 0\n")
    assert memory.proportional_bytes(7) == 30 * memory.mmap.PAGESIZE


def ready_supervisor():
    supervisor = Supervisor(WorkerLimits(("a", "b"), 10**10, 10**10, 10**9), 0)
    supervisor.feed(SpawnReplyEvent(1, 4711), 0)
    supervisor.feed(ReadyEvent(), 0)
    return supervisor


def test_the_worker_that_uses_most_fails_by_name_and_is_killed_at_once():
    commands = ready_supervisor().feed(MemoryEvent(70 * MIB, 100 * MIB + 1, 100 * MIB), 5)
    notify, kill = commands
    assert kill == SendSignalCommand(signal.SIGKILL)
    assert isinstance(notify, NotifyCommand)
    assert isinstance(notify.notice, FailedNotice)
    error = notify.notice.error
    assert isinstance(error, ResourceLimitError)
    assert error.message.startswith("nodes 'a', 'b': the session's processes use 101 MiB")
    assert "70 MiB" in error.message
    assert "raise max_session_memory_mb" in error.message
    assert (error.context["limit"], error.context["requested"]) == (100, 101)
    assert error.context["node_id"] == "a"


def test_a_worker_that_is_ending_anyway_is_left_to_its_end():
    supervisor = ready_supervisor()
    supervisor.feed(StopRequestEvent(), 1)
    assert supervisor.feed(MemoryEvent(70 * MIB, 101 * MIB, 100 * MIB), 5) == []
