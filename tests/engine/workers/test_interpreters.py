"""Interpreters other than the server's: real virtual environments, and programs that are none."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import time
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

from engine import missing
from engine.config import Settings
from engine.errors import InitTimeoutError, RemoteMediaError, SpawnError, WorkerCrashedError
from engine.payloads import Text
from engine.pipeline import Pipeline
from engine.registry import Registry, resolve
from engine.version import VERSION
from engine.workers import interpreters, zygote_link
from engine.workers.interpreters import executable_of, refusal, venv_python
from engine.workers.messages import ZygoteReadyEvent
from engine.workers.notices import FinishedNotice, ReadyNotice
from engine.workers.service import WorkerService
from tests.engine.workers.worker_helpers import PATIENCE_S, start, wait_dead

pytestmark = pytest.mark.process

OURS = sysconfig.get_path("purelib")


def make_venv(place, *, runtime=True):
    """A virtual environment; with the runtime, it finds our packages after its own."""
    venv.EnvBuilder(symlinks=True).create(place)
    packages = packages_of(place)
    if runtime:
        (packages / "ours.pth").write_text(f"{OURS}\n")
    return place


def packages_of(place):
    return next((place / "lib").glob("python*/site-packages"))


def python_of(place):
    return str(place / "bin" / "python")


@pytest.fixture(scope="session")
def one(tmp_path_factory):
    """A virtual environment that runs workers and has a module of its own."""
    place = make_venv(tmp_path_factory.mktemp("interpreters") / "one")
    (packages_of(place) / "only_in_this_venv.py").touch()
    return place


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """A virtual environment without anything that workers need."""
    return make_venv(tmp_path_factory.mktemp("interpreters") / "bare", runtime=False)


@pytest.fixture
def fresh(monkeypatch):
    """A service that has started nothing yet, shared by all sessions of the test."""
    made = WorkerService()
    monkeypatch.setattr(WorkerService, "_shared", made)
    yield made
    made.close()


def report(service, interpreter, **settings):
    """What a worker of an interpreter says of itself."""
    spec = {"entry": "interpreter_entries:report", **settings}
    owner = start(service, "", start_spec=spec, interpreter=interpreter)
    facts = owner.wait_for(FinishedNotice).statistics
    owner.wait_exited()
    return facts


def error_of(service, interpreter, **settings):
    """Why no worker of an interpreter starts."""
    owner = start(service, "finish", interpreter=interpreter, **settings)
    error = owner.wait_for_failure()
    assert owner.wait_exited() == ["Failed", "Exited"]
    return error


# --- which program it is ----------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "", "python", "python3", sys.executable])
def test_names_of_the_servers_own_interpreter(name):
    assert executable_of(name) == sys.executable


def test_the_same_interpreter_under_two_names_is_one(tmp_path, monkeypatch, one):
    (tmp_path / "python3").symlink_to(sys.executable)
    (tmp_path / "python").symlink_to("python3")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    assert executable_of(str(tmp_path / "python")) == sys.executable
    # It is a link to the same file as well, and another environment.
    assert executable_of(python_of(one)) == python_of(one)


def test_a_name_is_looked_for_where_programs_are(tmp_path, monkeypatch):
    program = tmp_path / "python3.99"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert executable_of("python3.99") == str(program)
    assert executable_of("python3.98") == "python3.98"


def test_the_interpreter_of_a_virtual_environment(one):
    assert venv_python(str(one)) == python_of(one)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("rm -r .", "there is no such directory"),
        ("rm pyvenv.cfg", "there is no pyvenv.cfg in it"),
        ("rm bin/python", "there is no .*/bin/python"),
        ("rm bin/python; touch bin/python", "bin/python is not executable"),
        ("rm bin/python; mkdir bin/python", "there is no .*/bin/python"),
    ],
)
def test_what_is_no_virtual_environment_is_named_and_why(tmp_path, damage, words):
    place = tmp_path / "venv"
    (place / "bin").mkdir(parents=True)
    (place / "pyvenv.cfg").touch()
    (place / "bin" / "python").symlink_to(sys.executable)
    assert venv_python(str(place))
    if damage == "rm -r .":
        damage = f"rm -r {place}"
    subprocess.run(damage, shell=True, cwd=place, check=True)
    with pytest.raises(SpawnError, match=words) as caught:
        venv_python(str(place))
    assert f"venv_path {place} " in str(caught.value)
    assert f"-m venv {place}" in str(caught.value)


# --- workers of another interpreter -----------------------------------------------------------


def test_a_worker_runs_in_its_virtual_environment(fresh, one):
    facts = report(fresh, python_of(one), **{"import": ["only_in_this_venv"]})
    assert facts["executable"] == python_of(one)
    assert facts["prefix"] == str(one)
    assert facts["only_in_this_venv"].startswith(str(one))
    assert facts["sum"] == 6


def test_extra_paths_come_first_and_the_interpreters_own_follow(fresh, one):
    paths = report(fresh, python_of(one))["path"]
    assert paths[0] == str(Path(__file__).parent)
    own = subprocess.run(
        [python_of(one), "-P", "-c", "import sys; print(*sys.path, sep='\\n')"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert paths[1:] == own.stdout.split("\n")[:-1]


def test_another_interpreter_has_the_servers_engine_and_nothing_that_lies_beside_it(fresh, one):
    import engine

    # The one that is installed there is of another version.
    old = packages_of(one) / "engine"
    old.mkdir()
    (old / "__init__.py").write_text("raise SystemExit('an old engine')\n")
    try:
        facts = report(fresh, python_of(one))
    finally:
        shutil.rmtree(old)
    assert facts["engine"] == engine.__file__
    assert str(Path(engine.__file__).parent.parent) not in facts["path"]


def test_each_interpreter_has_one_zygote(fresh, one):
    parents = [report(fresh, name)["parent"] for name in (None, python_of(one)) * 2]
    assert parents[0] == parents[2] != parents[1] == parents[3]
    assert set(fresh._zygotes) == {sys.executable, python_of(one)}


async def test_a_session_runs_in_the_virtual_environment_of_its_settings(fresh, one):
    settings = Settings(venv_path=str(one), extra_paths=(str(Path(__file__).parents[3]),))
    async with asyncio.timeout(PATIENCE_S):
        (packet,) = await pipeline("Where", settings).arun([Text("")])
    assert packet.payload.text == str(one)


async def test_a_session_whose_virtual_environment_is_gone_does_not_start(fresh, tmp_path):
    with pytest.raises(SpawnError, match="gone is no virtual environment"):
        await pipeline("Where", Settings(venv_path=str(tmp_path / "gone"))).arun([Text("")])


def pipeline(name, settings, module="tests.engine.workers.interpreter_operators"):
    registry = Registry()
    registry.register(resolve(f"{module}:{name}"))
    node = {"id": "a", "node_type": name, "executor": "process"}
    manifest = {"version": "v1", "metadata": {"name": "t"}, "nodes": [node], "connections": []}
    return Pipeline.from_manifest(manifest, registry=registry, settings=settings)


# --- interpreters that cannot run workers -----------------------------------------------------


def test_an_interpreter_without_the_runtime_is_told_how_to_get_it(fresh, bare):
    error = error_of(fresh, python_of(bare))
    assert isinstance(error, SpawnError)
    assert f"the interpreter {python_of(bare)} (Python {sys.version.split()[0]})" in str(error)
    names = ("numpy", "pyarrow", "pydantic", "reactivex", "setproctitle")
    assert f"does not have {', '.join(names)}:" in str(error)
    pinned = " ".join(f"{name}=={version(name)}" for name in names)
    assert f"`{python_of(bare)} -m pip install {pinned}`" in str(error)


def test_only_what_is_missing_is_to_be_installed(fresh, bare):
    pth = packages_of(bare) / "some.pth"
    some = bare / "some"
    some.mkdir()
    (some / "numpy").symlink_to(Path(OURS) / "numpy")
    (some / "numpy.libs").symlink_to(Path(OURS) / "numpy.libs")
    (some / f"numpy-{version('numpy')}.dist-info").symlink_to(
        Path(OURS) / f"numpy-{version('numpy')}.dist-info"
    )
    pth.write_text(f"{some}\n")
    try:
        error = error_of(fresh, python_of(bare))
    finally:
        pth.unlink()
    assert "does not have pyarrow, pydantic, reactivex, setproctitle: " in str(error)
    assert f"(there are numpy {version('numpy')})" in str(error)


def test_a_runtime_that_does_not_load_is_told_with_its_error(fresh, tmp_path):
    place = make_venv(tmp_path / "broken")
    (packages_of(place) / "reactivex.py").write_text("raise ImportError('of another world')\n")
    error = error_of(fresh, python_of(place))
    assert isinstance(error, SpawnError)
    assert "cannot load what workers need: ImportError: of another world" in str(error)
    assert f"reactivex=={version('reactivex')}" in str(error)


def test_a_python_that_is_too_old_says_so(fresh):
    found = sorted(Path.home().glob(".pyenv/versions/3.[6-9]*/bin/python"))
    found += sorted(Path.home().glob(".pyenv/versions/3.10*/bin/python"))
    if not found:
        pytest.skip("there is no old Python on this machine")
    for old in {found[0], found[-1]}:
        error = error_of(fresh, str(old))
        assert isinstance(error, SpawnError)
        assert f"the interpreter {old} is Python 3." in str(error)
        assert "workers need Python 3.11 or newer" in str(error)
        assert f"the server runs {sys.version.split()[0]}" in str(error)


@pytest.mark.parametrize(
    ("versions", "error", "words"),
    [
        ({"python": "3.10.13"}, "", "Python 3.10.13, and workers need Python 3.11"),
        ({}, "", "Python unknown"),
        ({"python": "3.11.0rc1", "engine": VERSION}, "", None),
        ({"python": "4.0.0", "engine": VERSION}, "", None),
        ({"python": "3.12.1", "engine": "99"}, "", f"version 99 .*server runs {VERSION}"),
        ({"python": "3.12.1", "engine": VERSION}, "no", r"3.12.1\) does not have numpy, "),
    ],
)
def test_what_a_zygote_says_of_itself_is_judged(versions, error, words):
    why = refusal("/x/python", ZygoteReadyEvent(1, versions, error))
    if words is None:
        assert why == ""
    else:
        assert "the interpreter /x/python" in why
        assert re.search(words, why)


def test_a_zygote_of_another_version_of_the_engine_is_refused(fresh, monkeypatch):
    monkeypatch.setattr(interpreters, "VERSION", "0.0.1")  # installed anew since the server began
    error = error_of(fresh, None)
    assert isinstance(error, SpawnError)
    assert f"{sys.executable} has loaded version {VERSION} of RemoteMedia" in str(error)
    assert "the server runs 0.0.1" in str(error)
    assert "restart the server" in str(error)


def test_an_interpreter_that_is_not_there_names_the_keys_that_choose_one(fresh):
    error = error_of(fresh, "nixpython")
    assert "cannot start the interpreter nixpython: No such file" in str(error)
    assert "python_executable" in str(error)


def test_warming_an_interpreter_that_cannot_run_says_why(fresh, bare):
    with pytest.raises(SpawnError, match="pip install"):
        fresh.warm(python_of(bare), wait_s=PATIENCE_S)


# --- zygotes that die -------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path, one):
    """Writes a program that passes for an interpreter; without text, it is a good one."""
    path = tmp_path / "pretender"

    def write(text=None):
        good = f'exec {python_of(one)} "$@"'
        path.write_text(f"#!/bin/sh\n{text or good}\n")
        path.chmod(0o755)
        return str(path)

    return write


def test_a_venvs_zygote_that_is_killed_is_replaced_and_harms_no_other(fresh, one, watch_pids):
    mine = start(fresh, "wait_for_shutdown", interpreter=python_of(one))
    other = start(fresh, "wait_for_shutdown")
    for owner in (mine, other):
        owner.wait_for(ReadyNotice)
    zygote_pid = fresh._zygotes[python_of(one)].process.pid
    pidfds = watch_pids([zygote_pid, mine.worker.pid])
    os.kill(zygote_pid, signal.SIGKILL)
    error = mine.wait_for_failure()
    assert isinstance(error, WorkerCrashedError)
    assert f"the zygote of {python_of(one)} (pid {zygote_pid})" in str(error)
    assert "SIGKILL" in str(error)
    assert mine.wait_exited()[-2:] == ["Failed", "Exited"]
    assert not wait_dead(pidfds, PATIENCE_S)
    assert report(fresh, python_of(one))["parent"] != zygote_pid
    other.worker.stop()
    assert other.wait_exited() == ["Ready", "Finished", "Exited"]


def test_one_that_crashes_while_starting_is_named_and_replaced(fresh, program):
    path = program("echo out of order >&2; exit 3")
    error = error_of(fresh, path)
    assert isinstance(error, SpawnError)
    assert f"the zygote of {path} (pid " in str(error)
    assert "ended with exit code 3" in str(error)
    assert "out of order" in str(error)
    program()
    assert report(fresh, path)["sum"] == 6


def test_one_that_hangs_while_starting_is_named_and_replaced(fresh, program, monkeypatch):
    path = program("sleep 1000; true")
    with monkeypatch.context() as patch:
        patch.setattr(zygote_link, "START_TIMEOUT_S", 0.3)
        owners = [start(fresh, "finish", interpreter=path) for _ in range(2)]
        for owner in owners:
            error = owner.wait_for_failure()
            assert isinstance(error, SpawnError)
            assert f"the zygote of {path} (pid " in str(error)
            assert "hung: it could not fork within 0.3 s" in str(error)
            assert owner.wait_exited() == ["Failed", "Exited"]
    assert path not in fresh._zygotes
    program()
    assert report(fresh, path)["sum"] == 6


def test_a_start_that_ends_before_its_zygote_can_fork_names_the_zygote(fresh, program):
    path = program("sleep 1000; true")
    owner = start(fresh, "finish", interpreter=path, init_timeout_s=0.2, cleanup_grace_s=0.1)
    error = owner.wait_for_failure()
    assert isinstance(error, InitTimeoutError)
    assert f"the zygote of {path} (pid " in str(error)
    assert "has not started yet" in str(error)
    assert owner.wait_exited() == ["Failed", "Exited"]
    assert path in fresh._zygotes  # others may have more patience


def test_a_worker_that_is_forked_after_it_was_given_up_is_killed(fresh, one, monkeypatch):
    killed, kill = [], fresh._kill_by_zygote
    monkeypatch.setattr(
        fresh, "_kill_by_zygote", lambda *which: (killed.append(which[1]), kill(*which))
    )
    fresh.warm(python_of(one), wait_s=PATIENCE_S)
    link = fresh._zygotes[python_of(one)]
    os.kill(link.process.pid, signal.SIGSTOP)
    owner = start(fresh, "stubborn", interpreter=python_of(one), cleanup_grace_s=0.1)
    owner.worker.stop()
    assert owner.wait_exited() == ["Exited"]
    os.kill(link.process.pid, signal.SIGCONT)
    # The zygote answers in order.
    assert report(fresh, python_of(one))["parent"] == link.process.pid
    assert len(killed) == 1  # not left to its seeing that nobody is there
    deadline_s = time.monotonic() + PATIENCE_S
    while children_of(link.process.pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_deadline_that_was_slept_through_is_put_off(fresh, one):
    fresh.warm(python_of(one), wait_s=PATIENCE_S)
    link = fresh._zygotes[python_of(one)]
    link.start_deadline_ns -= 10**12
    before_ns = link.start_deadline_ns
    fresh._loop.post(lambda: fresh._on_start_deadline(link))
    assert report(fresh, python_of(one))["parent"] == link.process.pid
    assert link.start_deadline_ns > before_ns
    fresh._loop.post(lambda: fresh._loop.disarm(-link.process.pid))


# --- modules that are missing -----------------------------------------------------------------


@pytest.fixture
def server_only(tmp_path, monkeypatch):
    """Modules that the server finds: an operator's, and a package installed for it alone."""
    packages = tmp_path / "site-packages"
    facts = packages / "fancy_sounds-1.2.dist-info"
    facts.mkdir(parents=True)
    (packages / "fancysound.py").touch()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: fancy-sounds\nVersion: 1.2\n")
    (facts / "RECORD").write_text("fancysound.py,,\n")
    code = tmp_path / "app"
    code.mkdir()
    for name, above, inside in (("Above", "import fancysound", ""), ("Inside", "", "import")):
        (code / f"operator_{name.lower()}.py").write_text(
            textwrap.dedent(f"""
            from engine.operator import Operator
            {above}

            class {name}(Operator):
                node_type = "{name}"

                async def initialize(self, ctx):
                    {f"{inside} fancysound" if inside else "pass"}

                def process(self, packet, ctx):
                    return packet
            """)
        )
    monkeypatch.syspath_prepend(packages)
    monkeypatch.syspath_prepend(code)
    return code


@pytest.mark.parametrize("name", ["Above", "Inside"])
async def test_a_package_that_is_missing_there_is_named_with_its_command(
    fresh, one, server_only, name
):
    settings = Settings(venv_path=str(one), extra_paths=(str(server_only),))
    error = await start_error(name, settings)
    assert "node 'a'" in str(error)
    assert error.context["node_id"] == "a"
    assert "No module named 'fancysound'" in str(error)
    assert f"`{python_of(one)} -m pip install fancy-sounds`" in str(error)


async def test_a_module_of_the_users_own_is_named_with_its_directory(fresh, one, server_only):
    error = await start_error("Inside", Settings(venv_path=str(one)))
    assert "node 'a'" in str(error)
    assert f"{python_of(one)} does not find 'operator_inside'" in str(error)
    assert f"the server finds in {server_only}: add that directory to extra_paths" in str(error)
    assert "pip" not in str(error)


async def start_error(name, settings):
    made = pipeline(name, settings, f"operator_{name.lower()}")
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(RemoteMediaError) as caught:
            await made.arun([Text("")])
    return caught.value


@pytest.mark.parametrize("how", ["main_path", "main_module"])
def test_a_package_that_the_users_program_needs_is_named(fresh, one, server_only, how):
    program = packages_of(one) / "program_of_a_user.py"
    program.write_text("import fancysound\n")
    spec = {how: str(program) if how == "main_path" else program.stem}
    owner = start(fresh, "finish", interpreter=python_of(one), start_spec=spec, node_ids=("a",))
    error = owner.wait_for_failure()
    assert "node 'a'" in str(error)
    assert "No module named 'fancysound'" in str(error)
    assert f"`{python_of(one)} -m pip install fancy-sounds`" in str(error)
    owner.wait_exited()


def test_where_the_server_finds_modules_is_known_in_other_interpreters_only():
    assert missing._server_paths == ()
