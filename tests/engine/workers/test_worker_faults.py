"""Workers, zygotes and servers that end as they should not, in real processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import (
    InitTimeoutError,
    NodeError,
    RemoteMediaError,
    UsageError,
    WorkerCrashedError,
)
from engine.workers import strays
from engine.workers.notices import ProgressNotice, ReadyNotice
from engine.workers.supervisor import WorkerState
from tests.engine.workers.worker_helpers import PATIENCE_S, start, wait_dead

pytestmark = [pytest.mark.process, pytest.mark.fault]

ROOT = Path(__file__).parents[3]


def test_an_exception_arrives_with_its_traceback(spawn):
    owner = spawn("raise_error")
    error = owner.wait_for_failure()
    assert isinstance(error, NodeError)
    assert "no such voice" in str(error)
    assert error.context["node_ids"] == ["a", "b"]
    assert error.context["session_id"] == "session"
    assert "worker_entries.py" in error.remote_traceback
    assert 'LookupError("no such voice")' in error.remote_traceback
    assert owner.wait_exited() == ["Ready", "Failed", "Exited"]
    assert owner.worker.state is WorkerState.FAILED
    assert owner.seen[-1].code == 1


def test_an_error_of_ours_arrives_as_it_is(spawn):
    error = spawn("raise_node_error").wait_for_failure()
    assert isinstance(error, NodeError)
    assert error.node_id == "second"
    assert "KeyError" in error.remote_traceback


def test_a_start_that_fails_without_naming_its_node_is_given_the_workers(spawn):
    error = spawn("raise_usage_error").wait_for_failure()
    assert isinstance(error, UsageError)
    assert error.context["node_id"] == "a"
    assert str(error).startswith("node 'a, b': there is no such class")


def test_an_enormous_error_is_cut_to_what_a_message_holds(spawn):
    owner = spawn("raise_enormous")
    assert isinstance(owner.wait_for_failure(), RemoteMediaError)
    assert owner.wait_exited() == ["Failed", "Exited"]


def test_leaving_without_a_word_is_a_crash(spawn):
    owner = spawn("leave")
    error = owner.wait_for_failure()
    assert isinstance(error, WorkerCrashedError)
    assert "Process crashed with exit code 3" in str(error)
    assert "'a', 'b'" in str(error)
    assert error.context["exit_code"] == 3
    assert error.context["last_lines"] == ["leaving without a word"]
    assert owner.wait_exited() == ["Ready", "Failed", "Exited"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_a_signal_is_named(spawn, number):
    owner = spawn("kill_self", start_spec={"signal": number})
    error = owner.wait_for_failure()
    assert f"killed by signal {number} ({number.name})" in str(error)
    assert error.context["signal"] == number
    assert owner.wait_exited() == ["Ready", "Failed", "Exited"]


def test_a_segmentation_fault_shows_where(spawn):
    owner = spawn("segfault")
    error = owner.wait_for_failure()
    assert "SIGSEGV" in str(error)
    assert any("in segfault" in line for line in error.context["last_lines"])
    owner.wait_exited()


def test_initializing_too_long_names_the_step(spawn):
    owner = spawn("block_initialize", init_timeout_s=0.4, cleanup_grace_s=0.2)
    error = owner.wait_for_failure()
    assert isinstance(error, InitTimeoutError)
    assert "loading_model" in str(error)
    assert "40% weights, 2 of 5" in str(error)
    assert error.context["last_lines"][0] == "still loading"
    names = owner.wait_exited()
    assert names == ["Progress", "Progress", "Failed", "Exited"]


def test_the_ladder_ends_a_stubborn_worker_within_its_grace(spawn):
    owner = spawn("stubborn", cleanup_grace_s=0.5)
    owner.wait_for(ReadyNotice)
    owner.worker.stop()
    assert owner.wait_exited() == ["Ready", "Exited"]
    assert owner.seen[-1].signal == signal.SIGKILL
    assert owner.worker.state is WorkerState.STOPPED


def test_a_stopped_worker_fell_silent(spawn):
    owner = spawn("stop_self", hang_timeout_s=0.6, cleanup_grace_s=0.3)
    error = owner.wait_for_failure()
    assert isinstance(error, WorkerCrashedError)
    assert "fell silent" in str(error)
    assert owner.wait_exited()[-2:] == ["Failed", "Exited"]


def test_silence_while_a_c_call_keeps_the_interpreter_lock(spawn):
    owner = spawn("stubborn", hang_timeout_s=0.6, cleanup_grace_s=0.3)
    assert "fell silent" in str(owner.wait_for_failure())
    owner.wait_exited()


def test_a_turn_that_takes_too_long_names_its_node(spawn):
    owner = spawn("long_turn", turn_timeouts_ms=(200, 200), cleanup_grace_s=0.2)
    error = owner.wait_for_failure()
    assert "process_timeout_ms" in str(error)
    assert error.node_id == "b"
    owner.wait_exited()
    # What SIGTERM found it doing.
    assert any("in long_turn" in line for line in owner.worker.last_lines())


def test_a_worker_that_closes_its_control_socket_is_ended(spawn):
    owner = spawn("close_control", cleanup_grace_s=0.3)
    error = owner.wait_for_failure()
    assert "control socket" in str(error) or "exit code 3" in str(error)
    owner.wait_exited()


def test_a_damaged_message_ends_the_worker(spawn):
    owner = spawn("send_nonsense", cleanup_grace_s=0.3)
    assert "nonsense" in str(owner.wait_for_failure())
    owner.wait_exited()


def test_memory_is_limited(spawn):
    owner = spawn("allocate", memory_limit_bytes=1 << 30, start_spec={"bytes": 2 << 30})
    assert "MemoryError" in str(owner.wait_for_failure())
    owner.wait_exited()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_daemonized_descendants_end_with_their_worker(spawn, watch_pids, how):
    owner = spawn("leave_daemons")
    pidfds = watch_pids(json.loads(owner.wait_for(ProgressNotice).message))
    getattr(owner.worker, how)()
    owner.wait_exited()
    assert not wait_dead(pidfds, PATIENCE_S)


def test_a_lost_zygote_fails_its_workers_and_is_replaced(own_service, watch_pids):
    owners = [start(own_service, "wait_for_shutdown"), start(own_service, "leave_daemons")]
    pids = json.loads(owners[1].wait_for(ProgressNotice).message)
    for owner in owners:
        owner.wait_for(ReadyNotice)
    zygote_pid = next(iter(own_service._zygotes.values())).process.pid
    pidfds = watch_pids([*pids, *(owner.worker.pid for owner in owners)])
    os.kill(zygote_pid, signal.SIGKILL)
    for owner in owners:
        error = owner.wait_for_failure()
        assert f"the zygote of {sys.executable} (pid {zygote_pid})" in str(error)
        assert "SIGKILL" in str(error)
        assert owner.wait_exited()[-2:] == ["Failed", "Exited"]
    assert not wait_dead(pidfds, PATIENCE_S)
    assert start(own_service, "finish").wait_exited() == ["Ready", "Finished", "Exited"]


def test_a_zygote_that_cannot_start_says_why(monkeypatch, own_service):
    own_service._loop.post(lambda: own_service._lose_zygote(*own_service._zygotes.values(), 1.0))
    monkeypatch.setattr("engine.workers.zygote_link._BOOT", "raise SystemExit('out of order')")
    owner = start(own_service, "finish")
    error = owner.wait_for_failure()
    assert error.code == "spawn"
    assert "out of order" in str(error)
    assert owner.wait_exited() == ["Failed", "Exited"]


def test_a_frozen_zygote_does_not_save_its_workers(own_service, watch_pids):
    owner = start(own_service, "stubborn", cleanup_grace_s=0.3)
    owner.wait_for(ReadyNotice)
    zygote_pid = next(iter(own_service._zygotes.values())).process.pid
    pidfds = watch_pids([owner.worker.pid])
    os.kill(zygote_pid, signal.SIGSTOP)
    owner.worker.stop()
    assert not wait_dead(pidfds, PATIENCE_S)
    assert owner.wait_exited() == ["Ready", "Exited"]


SERVER = """
import json, os, signal, sys
from engine.workers.service import WorkerService
from tests.engine.workers.worker_helpers import start
from engine.workers.notices import ProgressNotice, ReadyNotice

service = WorkerService.shared()
owners = [start(service, name) for name in ("wait_for_shutdown", "stubborn", "leave_daemons")]
pids = json.loads(owners[2].wait_for(ProgressNotice).message)
for owner in owners:
    owner.wait_for(ReadyNotice)
    pids.append(owner.worker.pid)
pids.append(next(iter(service._zygotes.values())).process.pid)
print(json.dumps(pids), flush=True)
if sys.argv[1] == "fork":
    fork = os.fork()  # holds copies of the server's descriptors
    if fork == 0:
        signal.pause()
if sys.argv[1] == "exit":
    sys.stdin.readline()
    sys.exit(0)
signal.pause()
"""


def _run_server(mode):
    return subprocess.Popen(
        [sys.executable, "-c", SERVER, mode],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.parametrize("mode", ["kill", "fork"])
def test_nothing_is_left_of_a_server_that_was_killed(watch_pids, mode):
    with _run_server(mode) as server:
        pidfds = watch_pids(json.loads(server.stdout.readline()))
        server.kill()
        assert not wait_dead(pidfds, PATIENCE_S)
        strays.kill_group(server.pid)


def test_nothing_is_left_of_a_server_that_exits(watch_pids):
    with _run_server("exit") as server:
        pidfds = watch_pids(json.loads(server.stdout.readline()))
        server.stdin.write(b"\n")
        server.stdin.flush()
        assert server.wait(PATIENCE_S) == 0
        assert not wait_dead(pidfds, 0.0)
