"""What servers that are gone have left, read from a made-up /proc."""

import os
from pathlib import Path

import pytest

from engine.workers.strays import MARKER, find_strays, new_marker

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "uptime").write_text("1000.00 3000.00\n")
    return tmp_path


def add(proc, pid, *, marker=None, started_s=500, state="S", title="remotemedia x", space=None):
    folder = proc / str(pid)
    (folder / "ns").mkdir(parents=True)
    (folder / "ns" / "pid").symlink_to(space or Path("/proc/self/ns/pid").readlink())
    environment = f"HOME=/\0{MARKER}={marker}\0" if marker else "HOME=/\0"
    (folder / "environ").write_text(environment)
    fields = [state, *["0"] * 18, str(started_s * TICKS), *["0"] * 30]
    (folder / "stat").write_text(f"{pid} (a (strange) name) {' '.join(fields)}\n")
    (folder / "cmdline").write_text(f"{title}\0\0")


def test_what_a_gone_server_left_is_found_oldest_first(proc):
    add(proc, 20, marker="7-abc", started_s=600, state="T", title="remotemedia a")
    add(proc, 21, marker="7-abc", started_s=550)
    add(proc, 22)
    older, newer = find_strays(proc)
    assert (older.pid, newer.pid) == (21, 20)
    assert newer.server_pid == 7
    assert newer.age_s == 400
    assert newer.state == "T"
    assert newer.title == "remotemedia a"
    assert newer.started_ticks == 600 * TICKS


def test_what_belongs_to_a_living_server_is_none(proc):
    add(proc, 7, started_s=100)
    add(proc, 20, marker="7-abc")
    assert find_strays(proc) == []


def test_a_server_that_nobody_has_reaped_is_gone(proc):
    add(proc, 7, started_s=100, state="Z")
    add(proc, 20, marker="7-abc")
    assert [stray.pid for stray in find_strays(proc)] == [20]


def test_a_number_that_was_given_again_is_no_server(proc):
    add(proc, 7, started_s=501)
    add(proc, 20, marker="7-abc", started_s=500)
    assert [stray.pid for stray in find_strays(proc)] == [20]


def test_what_is_in_another_container_is_left_alone(proc):
    add(proc, 20, marker="7-abc", space="pid:[1]")
    assert find_strays(proc) == []


def test_a_worker_may_be_the_server_of_its_own_workers(proc):
    add(proc, 20, marker="7-abc", started_s=400)
    add(proc, 30, marker="20-def", started_s=500)
    assert [stray.pid for stray in find_strays(proc)] == [20]


@pytest.mark.parametrize("marker", ["abc", "x-abc", "-abc"])
def test_a_marker_without_a_server_says_nothing(proc, marker):
    add(proc, 20, marker=marker)
    assert find_strays(proc) == []


def test_a_marker_says_whose_it_is_and_is_new_each_time():
    first, second = new_marker(), new_marker()
    assert first != second
    assert first.startswith(f"{os.getpid()}-")
