"""Workers that live and end as they should, in real processes."""

import errno
import json
import logging
import os
import re
import select
import selectors
import signal
import statistics
import threading
import time
import traceback
from pathlib import Path

import pytest

from engine.errors import SpawnError, UsageError
from engine.interruption import Interrupt
from engine.workers.messages import SpawnReplyEvent
from engine.workers.notices import ExitedNotice, FinishedNotice, ProgressNotice, ReadyNotice
from engine.workers.service import WorkerService
from engine.workers.supervisor import PeerLostEvent, WorkerState
from tests.engine.workers.worker_helpers import (
    PATIENCE_S,
    Owner,
    open_descriptors,
    service_threads,
    start,
    wait_dead,
)

pytestmark = pytest.mark.process


def test_a_worker_is_ready_finishes_and_exits(spawn):
    owner = spawn("finish", start_spec={"answer": 42})
    assert owner.wait_for(FinishedNotice).statistics == {"answer": 42, "fds": 0}
    assert owner.wait_exited() == ["Ready", "Finished", "Exited"]
    assert owner.worker.state is WorkerState.STOPPED
    assert owner.worker.exited
    assert owner.seen[-1].code == 0


def test_an_entry_that_only_returns_has_finished(spawn):
    assert spawn("return_only").wait_exited() == ["Ready", "Finished", "Exited"]


def test_one_that_ends_with_a_ping_unread_has_finished(service, spawn):
    reading, writing = os.pipe()
    owner = spawn("finish_with_a_ping_unread", fds=[reading])
    os.close(reading)
    owner.wait_for(ReadyNotice)
    (record,) = service._workers.values()
    (link,) = service._zygotes.values()

    def ping_and_hear_of_its_exit_first():
        service._feed(record, PeerLostEvent())
        os.write(writing, b"x")
        assert select.select([link.channel], [], [], PATIENCE_S)[0]
        service._on_zygote(link, selectors.EVENT_READ)

    assert service._loop.post(ping_and_hear_of_its_exit_first)
    assert owner.wait_exited() == ["Ready", "Finished", "Exited"]
    os.close(writing)


def test_a_start_spec_may_be_large(spawn):
    owner = spawn("finish", start_spec={"answer": "x" * 3_000_000})
    owner.wait_for(ReadyNotice)
    # The statistics echo it, which no message can hold: an error of the worker's, told as such.
    assert "exceeds" in str(owner.wait_for_failure())
    owner.wait_exited()


def test_descriptors_arrive_in_order(spawn):
    pipes = [os.pipe() for _ in range(3)]
    owner = spawn("say_to_fds", fds=[writing for _, writing in pipes])
    for _, writing in pipes:
        os.close(writing)
    try:
        assert [_read_all(reading) for reading, _ in pipes] == [b"fd 0", b"fd 1", b"fd 2"]
    finally:
        for reading, _ in pipes:
            os.close(reading)
    owner.wait_exited()


def _read_all(fd):
    with open(fd, "rb", closefd=False) as file:
        return file.read()


def test_too_many_descriptors_are_refused_before_anything_starts(service):
    with pytest.raises(UsageError, match="descriptors"):
        start(service, "finish", fds=[0] * 249)


def test_a_worker_is_isolated(spawn, monkeypatch, tmp_path):
    monkeypatch.setenv("ADDED_LATER", "yes")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    limit = 8 << 30
    owners = [
        spawn("report_surroundings", title="a title", memory_limit_bytes=limit) for _ in range(2)
    ]
    facts, others = (owner.wait_for(FinishedNotice).statistics for owner in owners)
    assert facts["environment"] == {"ADDED_LATER": "yes", "SPT_NOENV": None, "HOME": None}
    assert facts["directory"] == str(tmp_path)
    assert facts["title"] == "a title"
    assert facts["threads"] == 2  # the operator's and the lane
    assert facts["stdin"] == "/dev/null"
    # Standard streams, control page and socket: nothing of the zygote's or its siblings'.
    assert facts["fds"] == ["/dev/null", "/memfd", "pipe", "pipe", "socket"]
    assert facts["session"]
    assert facts["core"] == 0
    assert limit < facts["data"] < limit + (1 << 30)  # beyond what came with the fork
    assert facts["switch_interval_s"] == pytest.approx(0.0005)
    assert not facts["ignores_term"]
    assert facts["path"].endswith("workers")
    assert facts["random"] != others["random"]
    assert facts["numpy_random"] != others["numpy_random"]


def test_stop_asks_first(spawn):
    owner = spawn("wait_for_shutdown")
    owner.wait_for(ReadyNotice)
    assert owner.worker.state is WorkerState.READY
    assert owner.worker.pid > 0
    owner.worker.stop()
    owner.worker.stop()
    assert owner.wait_for(FinishedNotice).statistics == {"cancelled": True}
    assert owner.wait_exited() == ["Ready", "Finished", "Exited"]
    assert owner.worker.control_page.cancelled  # a copy outlives the worker
    owner.worker.stop()
    owner.worker.interrupt(Interrupt(3, frozenset({"a"})))


def test_stop_before_anything_has_happened(spawn):
    owner = spawn("wait_for_shutdown")
    owner.worker.stop()
    assert owner.wait_exited()[-1] == "Exited"


def test_kill_needs_no_cooperation(spawn):
    owner = spawn("wait_for_shutdown")
    owner.wait_for(ReadyNotice)
    owner.worker.kill()
    assert owner.wait_exited() == ["Ready", "Exited"]
    assert owner.seen[-1].signal == 9


def test_an_interrupt_reaches_busy_code_and_the_lane(spawn):
    owner = spawn("watch_generation")
    owner.wait_for(ReadyNotice)
    owner.worker.interrupt(Interrupt(7, frozenset({"a", "b", "elsewhere"})))
    owner.wait_exited()
    heard = {
        notice.status: notice.message for notice in owner.seen if isinstance(notice, ProgressNotice)
    }
    assert heard == {"lane": "7 ['a', 'b']", "word": "7"}


def test_output_is_kept_and_logged(spawn, caplog):
    caplog.set_level(logging.INFO, "remotemedia.worker")
    owner = spawn("leave")
    owner.wait_exited()
    assert owner.worker.last_lines() == ["leaving without a word"]
    (record,) = [record for record in caplog.records if record.name == "remotemedia.worker"]
    assert record.getMessage() == "leaving without a word"
    assert record.node_ids == ("a", "b")
    assert record.session_id == "session"


def test_a_flood_of_output_neither_blocks_nor_grows(spawn):
    before_kib = _resident_kib()
    owner = spawn("flood", start_spec={"bytes": 50_000_000})
    assert owner.wait_for(FinishedNotice).statistics["written"] >= 50_000_000
    owner.wait_exited()
    lines = owner.worker.last_lines()
    assert len(lines) == 200
    assert lines[-1] == "last line"
    assert len(lines[-2]) == 16 * 1024
    assert _resident_kib() - before_kib < 30_000


def _resident_kib():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s*(\d+)", status)[1])


def test_a_script_is_loaded_as_a_module(spawn, tmp_path):
    script = tmp_path / "user_script"
    script.write_text(
        "GUARDED = True\nVALUE = 0\n"
        "def answer():\n    global VALUE\n    VALUE = 42\n    return VALUE\n"
        "if __name__ == '__main__':\n    GUARDED = False\n"
    )
    owner = spawn("use_main", start_spec={"main_path": str(script)})
    statistics = owner.wait_for(FinishedNotice).statistics
    assert statistics == {"answer": 42, "guard": True, "alias": True}
    owner.wait_exited()


def test_a_script_that_raises_is_named(spawn, tmp_path):
    script = tmp_path / "user_script.py"
    script.write_text("raise ValueError('started something')")
    owner = spawn("use_main", start_spec={"main_path": str(script)})
    error = owner.wait_for_failure()
    assert error.code == "startup"
    assert "user_script.py" in str(error)
    assert "started something" in str(error)
    owner.wait_exited()


def test_an_owner_that_raises_harms_nobody(service, caplog):
    def raising(notice):
        raise ValueError("an owner's mistake")

    owner = Owner()
    owner.notify = raising
    start(service, "finish", owner=owner)
    assert owner.worker.wait_exited(PATIENCE_S)
    assert "worker_notice_not_delivered" in caplog.text
    other = start(service, "finish")
    assert other.wait_exited() == ["Ready", "Finished", "Exited"]


def test_who_hears_of_the_exit_finds_the_descriptors_closed(service, spawn):
    before, left = open_descriptors(), []

    class Looking(Owner):
        def notify(self, notice):
            if isinstance(notice, ExitedNotice):
                left.append(open_descriptors() - before)
            super().notify(notice)

    spawn("finish", owner=Looking()).wait_exited()
    assert left == [set()]


def test_a_zygote_that_takes_no_spawn_fails_each_of_many(own_service, monkeypatch):
    depths = set()

    def refuse(_link, _data, fds):
        depths.add(len(traceback.extract_stack()))
        for fd in fds:
            os.close(fd)
        raise OSError(errno.ETOOMANYREFS, "too many references")

    monkeypatch.setattr(own_service, "_send_zygote", refuse)
    held = threading.Event()
    own_service._loop.post(lambda: held.wait(PATIENCE_S))
    (link,) = own_service._zygotes.values()
    link.unanswered.update(range(-8, 0))  # so that all of them wait for each other
    owners = [start(own_service, "finish") for _ in range(5)]
    own_service._loop.post(lambda: own_service._answered(link, SpawnReplyEvent(-1, 0)))
    held.set()
    for owner in owners:
        assert "too many references" in str(owner.wait_for_failure())
        owner.wait_exited()
    assert len(depths) == 1  # or hundreds would exhaust the stack


def test_spawns_leave_no_descriptors(service):
    before = open_descriptors()
    for _ in range(50):
        start(service, "finish").wait_exited()
    assert open_descriptors() == before


def test_several_threads_spawn_at_once(service):
    owners = []

    def one():
        owners.append(start(service, "finish"))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for owner in owners:
        assert owner.wait_exited() == ["Ready", "Finished", "Exited"]


def test_latency_from_spawn_to_ready(service, record_property):
    took_ms = []
    for _ in range(50):
        began_s = time.perf_counter()
        owner = start(service, "finish")
        owner.wait_for(ReadyNotice)
        took_ms.append((time.perf_counter() - began_s) * 1000)
        owner.wait_exited()
    record_property("spawn_to_ready_ms_p50", statistics.median(took_ms))


def test_unknown_interpreters_and_entries_are_reported(spawn):
    owner = spawn("finish", interpreter="/nowhere/python")
    assert "/nowhere/python" in str(owner.wait_for_failure())
    assert owner.wait_exited() == ["Failed", "Exited"]
    owner = spawn("no_such_entry")
    assert "no_such_entry" in str(owner.wait_for_failure())
    assert owner.wait_exited() == ["Failed", "Exited"]


def test_the_shared_service_is_made_again_after_its_close():
    threads = len(service_threads())
    first = WorkerService.shared()
    assert WorkerService.shared() is first
    assert len(service_threads()) == threads  # nothing runs before it is needed
    first.close()
    first.close()
    with pytest.raises(SpawnError, match="closed"):
        start(first, "finish")
    second = WorkerService.shared()
    assert second is not first
    second.close()


def test_closing_kills_what_runs(own_service, watch_pids):
    owners = [start(own_service, "stubborn") for _ in range(3)]
    for owner in owners:
        owner.wait_for(ReadyNotice)
    zygote = next(iter(own_service._zygotes.values()))
    pidfds = watch_pids([zygote.process.pid, *(owner.worker.pid for owner in owners)])
    began_s = time.monotonic()
    own_service.close()
    assert not wait_dead(pidfds, 0.0)
    assert time.monotonic() - began_s < PATIENCE_S
    for owner in owners:
        assert owner.wait_exited() == ["Ready", "Exited"]


def test_a_forked_process_gets_a_service_of_its_own(own_service, monkeypatch):
    monkeypatch.setattr(WorkerService, "_shared", own_service)
    owner = start(own_service, "wait_for_shutdown")
    owner.wait_for(ReadyNotice)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            fresh = WorkerService.shared()
            child = start(fresh, "finish")
            seen = child.wait_exited()
            own_service.close()
            fresh.close()
            os.write(writing, json.dumps([fresh is own_service, seen]).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    assert json.loads(_read_all(reading)) == [False, ["Ready", "Finished", "Exited"]]
    os.close(reading)
    os.waitpid(pid, 0)
    # The fork has closed copies only.
    owner.worker.stop()
    assert owner.wait_exited() == ["Ready", "Finished", "Exited"]


def test_many_spawns_wait_for_their_zygote(own_service):
    """Descriptors under way are limited, and a cold zygote takes none out."""
    own_service._loop.post(lambda: own_service._lose_zygote(*own_service._zygotes.values()))
    owners = [start(own_service, "finish") for _ in range(40)]
    for owner in owners:
        assert owner.wait_exited() == ["Ready", "Finished", "Exited"]


def test_one_that_waits_for_its_zygote_may_be_stopped(own_service, watch_pids):
    zygote = next(iter(own_service._zygotes.values()))
    watch_pids([zygote.process.pid])
    os.kill(zygote.process.pid, signal.SIGSTOP)
    owners = [start(own_service, "stubborn", cleanup_grace_s=0.1) for _ in range(12)]
    for owner in owners:
        owner.worker.stop()
    os.kill(zygote.process.pid, signal.SIGCONT)
    for owner in owners:
        assert owner.wait_exited()[-1] == "Exited"
