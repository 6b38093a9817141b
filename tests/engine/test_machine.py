"""What the machine is taken to give, read from made-up /proc and /sys."""

from __future__ import annotations

import os
import resource

import pytest

from engine.machine import Room, descriptor_room, memory_bytes_max, memory_room, process_room

KIB = 1024


@pytest.fixture
def write(tmp_path):
    """Writes a file under the made-up root."""

    def write_one(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    write_one("proc/meminfo", "MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:  600 kB\n")
    return write_one


def test_without_a_control_group_it_is_the_machines_memory(write, tmp_path):
    assert memory_room(tmp_path) == Room(1000 * KIB, 400 * KIB)
    assert memory_bytes_max(tmp_path) == 1000 * KIB


def test_the_tighter_of_the_groups_around_us_counts(write, tmp_path):
    write("proc/self/cgroup", "0::/outer/inner\n")
    write("sys/fs/cgroup/outer/inner/memory.max", "max\n")
    write("sys/fs/cgroup/outer/memory.max", str(300 * KIB))
    write("sys/fs/cgroup/outer/memory.current", str(100 * KIB))
    assert memory_room(tmp_path) == Room(300 * KIB, 100 * KIB)
    assert memory_bytes_max(tmp_path) == 300 * KIB


def test_in_a_container_the_root_of_the_mount_is_our_group(write, tmp_path):
    write("proc/self/cgroup", "0::/made/by/the/host\n")
    write("sys/fs/cgroup/memory.max", str(200 * KIB))
    write("sys/fs/cgroup/memory.current", str(50 * KIB))
    assert memory_room(tmp_path) == Room(200 * KIB, 50 * KIB)


def test_groups_of_the_first_version(write, tmp_path):
    write("proc/self/cgroup", "8:pids:/\n4:memory,other:/group\n1:cpu:/\n")
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    write("sys/fs/cgroup/memory/group/memory.limit_in_bytes", str(500 * KIB))
    write("sys/fs/cgroup/memory/group/memory.usage_in_bytes", str(400 * KIB))
    write("sys/fs/cgroup/pids/pids.max", "64\n")
    write("sys/fs/cgroup/pids/pids.current", "60\n")
    assert memory_room(tmp_path) == Room(500 * KIB, 400 * KIB)
    assert process_room(tmp_path) == Room(64, 60)


def test_the_least_limit_need_not_be_the_tightest(write, tmp_path):
    write("proc/self/cgroup", "0::/\n")
    write("sys/fs/cgroup/memory.max", str(900 * KIB))
    write("sys/fs/cgroup/memory.current", "0")
    assert memory_room(tmp_path) == Room(1000 * KIB, 400 * KIB)
    assert memory_bytes_max(tmp_path) == 900 * KIB


def test_what_cannot_be_read_is_unknown(tmp_path):
    assert memory_bytes_max(tmp_path) is None
    assert memory_room(tmp_path).free is None
    assert process_room(tmp_path) == Room(None, 0)


def test_room_is_never_negative():
    assert Room(3, 5).free == 0
    assert Room(None, 5).free is None


def test_open_files_count_and_those_above_a_lowered_limit_do_not():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = descriptor_room()
    assert before.limit == soft
    fd = os.open(os.devnull, os.O_RDONLY)
    high = os.dup2(fd, 900)
    try:
        assert descriptor_room().used == before.used + 2
        resource.setrlimit(resource.RLIMIT_NOFILE, (900, hard))
        assert descriptor_room() == Room(900, before.used + 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(high)
        os.close(fd)
