"""`remotemedia doctor`: what it looks at, what it says, and whom it takes for a stray."""

import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from engine.config import Settings
from engine.machine import Room
from engine.workers.strays import find_strays
from remotemedia.checkup import installation, machine
from remotemedia.checkup.installation import within
from remotemedia.checkup.workers import strays_finding
from tests.remotemedia.cli_helpers import PATIENCE_S

pytestmark = pytest.mark.process


def examine(place, *arguments):
    """The findings by name, and the exit code."""
    result = place.run("doctor", "--json", *arguments)
    answer = json.loads(result.stdout)
    assert answer["ok"] == (result.returncode == 0), result.stderr
    return {finding["name"]: finding for finding in answer["findings"]}, result.returncode


def test_this_machine_is_found_to_work(place):
    findings, code = examine(place)
    assert code == 0
    assert findings.keys() >= {
        "system",
        "shared memory",
        "sockets",
        "pidfd",
        "subreaper",
        "/proc",
        "open files",
        "processes",
        "data",
        "memory",
        "clock",
        "packages",
        "modules",
        "runtime.toml",
        "interpreter python",
        "session",
        "strays",
    }
    assert all(finding["verdict"] != "broken" for finding in findings.values())
    assert all(finding["meaning"] for finding in findings.values())
    assert all(finding["advice"] or finding["verdict"] == "ok" for finding in findings.values())
    assert findings["session"]["verdict"] == "ok"
    assert findings["session"]["details"]["start_ms"] > 0
    assert findings["session"]["details"]["round_trip_us"] > 0
    assert "numpy" in findings["packages"]["details"]
    assert findings["runtime.toml"]["found"] == "there is none"
    place.wait_left_gone()


def test_it_is_shown_as_a_table(place):
    result = place.run("doctor")
    assert result.returncode == 0
    assert "session" in result.stdout
    assert "a packet there and back takes" in result.stdout
    assert result.stdout.rstrip().endswith("0 broken")
    place.wait_left_gone()


# --------------------------------------------------------------------------------------- settings


def test_a_broken_file_is_said_where_and_the_rest_is_looked_at(place):
    place.write("runtime.toml", "enabled = true\nchannel_capacity = = 3\n")
    findings, code = examine(place)
    assert code == 1
    assert findings["runtime.toml"]["verdict"] == "broken"
    assert "line 2, column 20" in findings["runtime.toml"]["found"]
    assert findings["runtime.toml"]["advice"]
    assert findings["session"]["verdict"] == "ok"
    assert "1 broken" in place.run("doctor").stdout
    place.wait_left_gone()


def test_a_file_that_is_not_there_is_broken(place):
    findings, code = examine(place, "--config", "other.toml")
    assert code == 1
    assert "there is no configuration file other.toml" in findings["other.toml"]["found"]
    place.wait_left_gone()


def test_interpreters_that_do_not_start_are_broken_and_unknown_keys_odd(place):
    place.write(
        "runtime.toml", 'max_session = 3\nallowed = ["/nowhere/python"]\nvenv_path = "no-venv"\n'
    )
    findings, code = examine(place)
    assert code == 1
    assert findings["runtime.toml"]["verdict"] == "warning"
    assert "'max_session' is ignored" in findings["runtime.toml"]["found"]
    broken = {name for name, finding in findings.items() if finding["verdict"] == "broken"}
    assert "interpreter /nowhere/python" in broken
    assert any("no-venv" in name for name in broken)
    place.wait_left_gone()


def test_without_processes_none_is_started(place):
    place.write("runtime.toml", "enabled = false\n")
    findings, code = examine(place)
    assert code == 0
    assert findings["session"]["verdict"] == "warning"
    assert "interpreter python" not in findings


# ----------------------------------------------------------------------------------- installation


@pytest.mark.parametrize("name", ["engine", "operators.py"])
def test_a_package_with_the_name_of_one_of_ours_is_odd(place, name):
    path = place.folder / name
    module = path if name.endswith(".py") else path / "__init__.py"
    module.parent.mkdir(exist_ok=True)
    module.touch()
    place.write("runtime.toml", "enabled = false\n")
    findings, code = examine(place)
    assert code == 0
    assert findings["modules"]["verdict"] == "warning"
    assert findings["modules"]["details"]["path"] == str(path)
    assert findings["modules"]["advice"] == f"rename {path}"


def test_folders_that_workers_look_in_first_are_looked_at_too(tmp_path):
    (tmp_path / "remotemedia").mkdir()
    settings = Settings(extra_paths=(str(tmp_path),))
    assert installation.ours_finding(settings).verdict == "ok"  # a mere folder takes no place
    (tmp_path / "remotemedia" / "__init__.py").touch()
    finding = installation.ours_finding(settings)
    assert finding.verdict == "warning"
    assert "node processes" in finding.meaning


@pytest.mark.parametrize(
    ("version", "bounds", "fits"),
    [
        ("2.0", ">=2.0,<3", True),
        ("2", ">=2.0.0", True),
        ("1.26.4", ">=2.0,<3", False),
        ("3.0.1", "<3,>=2.0", False),
        ("3.0rc1", ">=2.0,<3", False),
        ("5.0.4", ">=5.0.4,<6", True),
        ("1.2", "", True),
        ("1.2", "!=1.2", False),
        ("1.2", "==1.2.0", True),
        ("1.2", ">1.2", False),
        ("1.2", "<=1.2", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version, bounds, fits):
    assert within(version, bounds) == fits


def test_what_is_missing_or_too_old_is_said_with_the_command_that_installs_it(monkeypatch):
    versions = {"numpy": "1.26.4", "pyarrow": None}
    monkeypatch.setattr(
        installation, "_version", lambda name: versions.get(name, "999" if name == "x" else "7.1")
    )
    monkeypatch.setattr(installation, "_load_faults", lambda _: iter(()))
    found = {finding.name: finding for finding in installation.package_findings()}
    assert found["pyarrow"].verdict == "broken"
    assert "pip install 'pyarrow>=17'" in found["pyarrow"].advice
    assert found["numpy"].verdict == "warning"
    assert "1.26.4" in found["numpy"].found


def test_what_cannot_be_loaded_is_named(monkeypatch):
    monkeypatch.setattr(
        installation.importlib.metadata,
        "packages_distributions",
        lambda: {"json": ["good"], "no_such_module": ["bad"], "other": ["unneeded"]},
    )
    (fault,) = installation._load_faults({"good": "1", "bad": "1"})
    assert (fault.name, fault.verdict) == ("bad", "broken")
    assert "ModuleNotFoundError" in fault.found


# ---------------------------------------------------------------------------------------- machine


def test_few_open_files_are_odd(monkeypatch):
    for limit, verdict in ((1023, "warning"), (1024, "ok"), (None, "ok")):
        monkeypatch.setattr(machine.machine, "descriptor_room", lambda limit=limit: Room(limit, 10))
        assert machine._descriptors().verdict == verdict


def test_memory_that_a_segment_does_not_fit_into_is_broken(monkeypatch):
    settings = Settings(shm_segment_bytes=1 << 30)
    for total, free, verdict in (
        ((1 << 30) - 1, 1 << 30, "broken"),
        (1 << 30, 1 << 30, "ok"),
        (1 << 30, (512 << 20) - 1, "warning"),
        (None, None, "warning"),
    ):
        room = Room(free, 0)
        monkeypatch.setattr(machine.machine, "memory_bytes_max", lambda total=total: total)
        monkeypatch.setattr(machine.machine, "memory_room", lambda room=room: room)
        assert machine._memory(settings).verdict == verdict


def test_a_group_with_little_room_for_processes_is_odd(monkeypatch):
    monkeypatch.setattr(
        machine.resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    for free, verdict in ((39, "warning"), (40, "ok")):
        monkeypatch.setattr(machine.machine, "process_room", lambda free=free: Room(free, 0))
        assert machine._threads(Settings(max_processes_total=10)).verdict == verdict


def test_a_proc_that_shows_less_is_odd_and_one_that_shows_nothing_broken(tmp_path):
    assert machine._proc(tmp_path).verdict == "broken"
    for name in ("self/stat", "self/statm", "self/environ"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert machine._proc(tmp_path).verdict == "warning"


def test_children_with_another_clock_are_broken(monkeypatch):
    assert machine._clock().verdict in {"ok", "warning"}  # a slow clock is odd, but works
    monkeypatch.setattr(machine, "_time_namespace", lambda name: name)
    assert machine._clock().verdict == "broken"


# ----------------------------------------------------------------------------------------- strays

SERVER = """
import sys
from engine.workers.service import WorkerService
service = WorkerService.shared()
service.warm(wait_s=30)
(link,) = service._zygotes.values()
print(link.process.pid, flush=True)
sys.stdin.read()
"""


class Server:
    """A process with a zygote."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.zygote = int(self.process.stdout.readline())

    def close(self):
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)
        with suppress(ProcessLookupError):
            os.kill(self.zygote, signal.SIGKILL)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def test_what_a_killed_server_left_is_found_with_the_command_that_ends_it(server, place):
    # A zygote that is stopped cannot see that its server has ended, and so stays.
    os.kill(server.zygote, signal.SIGSTOP)
    server.process.kill()
    server.process.communicate(timeout=PATIENCE_S)
    place.write("runtime.toml", "enabled = false\n")
    findings, code = examine(place)
    assert code == 0
    finding = findings["strays"]
    assert finding["verdict"] == "warning"
    (stray,) = (s for s in finding["details"]["strays"] if s["pid"] == server.zygote)
    assert stray["server_pid"] == server.process.pid
    assert stray["state"] == "T"
    assert stray["age_s"] >= 0
    assert (
        f"{server.zygote} (remotemedia: zygote [{server.process.pid}], stopped)" in finding["found"]
    )
    command = finding["advice"].split()
    assert command[:2] == ["kill", "-9"]
    assert str(server.zygote) in command[2:]
    assert str(server.zygote) in place.run("doctor").stdout
    subprocess.run(["kill", "-9", str(server.zygote)], check=True)


def test_what_a_living_server_has_is_no_stray(server):
    os.kill(server.zygote, signal.SIGSTOP)  # also where it looks dead
    assert server.zygote not in {stray.pid for stray in find_strays()}
    os.kill(server.zygote, signal.SIGCONT)


def test_what_ends_by_itself_meanwhile_is_no_stray(monkeypatch):
    looks = [[stray(1, 5), stray(2, 5)], [stray(2, 6)]]
    monkeypatch.setattr("engine.workers.strays.find_strays", lambda: looks.pop(0))
    monkeypatch.setattr("remotemedia.checkup.workers._SECOND_LOOK_S", 0)
    assert strays_finding().verdict == "ok"  # the second 2 is another process
    assert looks == []


def stray(pid, started_ticks):
    from engine.workers.strays import Stray

    return Stray(pid, started_ticks, 1.0, "S", "x", 1)
