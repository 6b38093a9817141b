"""Which interpreter runs a worker, and why one cannot.

Looks at files and installed versions; starts nothing. Source: FR-004, US3.

    own names, and the server's own     the server's interpreter; imports from where it does
    anything else                       has its own modules, and the server's copy of the engine
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.errors import SpawnError
from engine.missing import install_command
from engine.version import VERSION

if TYPE_CHECKING:
    from engine.workers.messages import ZygoteReadyEvent

#: Names of the server's own interpreter.
OWN_NAMES: Final = frozenset({None, "", "python", "python3"})
#: The oldest Python that workers run on.
PYTHON_MIN: Final = (3, 11)
#: What a zygote cannot do without, besides the engine.
RUNTIME: Final = ("numpy", "pyarrow", "pydantic", "reactivex", "setproctitle")


def executable_of(interpreter: str | None) -> str:
    """The program an interpreter's name stands for: absolute where it is found by PATH."""
    if interpreter is None or interpreter in OWN_NAMES:
        return sys.executable
    executable = shutil.which(interpreter) or interpreter
    return sys.executable if _is_own(executable) else executable


def venv_python(venv_path: str) -> str:
    """The interpreter of a virtual environment.

    Args:
        venv_path: its directory.

    Raises:
        SpawnError: there is none, or the directory is no virtual environment.
    """
    directory = Path(venv_path)
    python = directory / "bin" / "python"
    if not directory.is_dir():
        why = "there is no such directory"
    elif not (directory / "pyvenv.cfg").is_file():
        why = "there is no pyvenv.cfg in it; name an interpreter by python.executable"
    elif not python.is_file():
        why = f"there is no {python}"
    elif not os.access(python, os.X_OK):
        why = f"{python} is not executable"
    else:
        return str(python)
    raise SpawnError(
        f"venv_path {venv_path} is no virtual environment that workers can run in: {why}, or make"
        f" one by `{sys.executable} -m venv {venv_path}`",
        venv_path=venv_path,
    )


def _is_own(executable: str) -> bool:
    """Whether it is the server's interpreter under another of its names.

    The file alone does not tell: each virtual environment has a link to the same one.
    """
    return _place(executable) == _place(sys.executable)


def _place(executable: str) -> tuple[str, str]:
    return os.path.realpath(Path(executable).parent), os.path.realpath(executable)


# --- what a zygote says of itself -------------------------------------------------------------


def loaded_versions() -> dict[str, str | None]:
    """What a zygote that has loaded everything runs on."""
    versions: dict[str, str | None] = {"python": python_version(), "engine": VERSION}
    for name in RUNTIME:
        versions[name] = str(getattr(sys.modules[name], "__version__", ""))
    return versions


def installed_versions() -> dict[str, str | None]:
    """The same, where something could not be loaded; None: it is not there."""
    versions: dict[str, str | None] = {"python": python_version(), "engine": VERSION}
    for name in RUNTIME:
        versions[name] = None
        if importlib.util.find_spec(name) is not None:
            versions[name] = _installed(name)
    return versions


def python_version() -> str:
    """This Python's version: "3.11.7"."""
    return sys.version.split()[0]


def _installed(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # 20 ms, for errors alone

    try:
        return version(name)
    except PackageNotFoundError:  # copied there by hand
        return ""


# --- what the server makes of it --------------------------------------------------------------


def refusal(executable: str, event: ZygoteReadyEvent) -> str:
    """Why an interpreter cannot run workers; "" if it can.

    Args:
        executable: the interpreter.
        event: what its zygote said.
    """
    python = event.versions.get("python") or "unknown"
    if _release(python) < PYTHON_MIN:
        needed = ".".join(map(str, PYTHON_MIN))
        return (
            f"the interpreter {executable} is Python {python}, and workers need Python {needed} or"
            f" newer; the server runs {python_version()}"
        )
    loaded = event.versions.get("engine")
    if loaded != VERSION:
        return (
            f"the interpreter {executable} has loaded version {loaded} of RemoteMedia, and the"
            f" server runs {VERSION}: another one was installed meanwhile; restart the server"
        )
    if not event.error:
        return ""
    missing = [name for name in RUNTIME if event.versions.get(name) is None]
    requirements = [_requirement(name) for name in missing or RUNTIME]
    what = f"does not have {', '.join(missing)}" if missing else "cannot load what workers need"
    there = ", ".join(f"{name} {event.versions[name]}" for name in RUNTIME if name not in missing)
    return (
        f"the interpreter {executable} (Python {python}) {what}: {event.error}; install what the"
        f" server runs on by `{install_command(executable, requirements)}`"
        + (f" (there are {there})" if there else "")
    )


def _requirement(name: str) -> str:
    """A package in the version that is installed here."""
    version = _installed(name)
    return f"{name}=={version}" if version else name


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
