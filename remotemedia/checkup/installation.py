"""What is installed: packages and their versions, whose modules are found, the settings.

Source: FR-005, FR-010.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.config import CONFIG_VARIABLE, DEFAULT_FILE, Settings, load_settings
from engine.errors import UsageError
from remotemedia.checkup.finding import BROKEN, OK, WARNING, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

_AREA: Final = "installation"
_DISTRIBUTION: Final = "remotemedia"
#: Our top-level packages; users call folders like that, too.
_OURS: Final = ("engine", "operators", "remotemedia")
#: Loading everything takes a second or two, on a cold disk ten.
_LOAD_TIMEOUT_S: Final = 60.0
_REQUIREMENT: Final = re.compile(r"^([\w.-]+)\s*\(?([^;)]*)\)?\s*(;.*)?$")
_BOUND: Final = re.compile(r"(>=|<=|==|!=|<|>)\s*([\d.]+)")
_LOADER: Final = """
import importlib, json, sys
faults = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except BaseException as error:
        faults[name] = "%s: %s" % (type(error).__name__, error)
print("\\n" + json.dumps(faults))
"""


# --- packages ---------------------------------------------------------------------------------


def package_findings() -> Iterator[Finding]:
    """Whether everything we need is there, in a version we know, and can be loaded."""
    try:
        distribution = importlib.metadata.distribution(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            _AREA,
            "packages",
            WARNING,
            "remotemedia is not installed, but found by a path",
            "nobody has checked that what it needs is there",
            "pip install it, or make setup in a checkout",
        )
        return
    bounds = dict(_requirements(distribution.requires or ()))
    versions = {name: _version(name) for name in bounds}
    faults = [*_version_faults(bounds, versions), *_load_faults(versions)]
    yield from faults
    if not faults:
        listed = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield Finding(
            _AREA,
            "packages",
            OK,
            f"remotemedia {distribution.version}; {listed}",
            "all that it needs is there and can be loaded",
            details={_DISTRIBUTION: distribution.version, **versions},
        )


def _requirements(lines: list[str] | tuple[()]) -> Iterator[tuple[str, str]]:
    """The name and the bounds of each package that is needed on this system."""
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match is None:
            continue
        name, bounds, marker = match.groups()
        if marker and ("extra" in marker or sys.platform not in marker):
            continue
        yield name, bounds


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _version_faults(bounds: dict[str, str], versions: dict[str, str | None]) -> Iterator[Finding]:
    for name, version in versions.items():
        advice = f"{sys.executable} -m pip install '{name}{bounds[name]}'"
        if version is None:
            meaning = "remotemedia needs it, and some nodes or all cannot run"
            yield Finding(_AREA, name, BROKEN, "is not installed", meaning, advice)
        elif not within(version, bounds[name]):
            found = f"version {version}; remotemedia is made for {bounds[name]}"
            yield Finding(_AREA, name, WARNING, found, "it may not work with it", advice)


def within(version: str, bounds: str) -> bool:
    """Whether a version is within bounds such as ">=2.0,<3"; only released numbers are compared."""
    number = _numbers(version)
    for sign, text in _BOUND.findall(bounds):
        bound = _numbers(text)
        width = max(len(number), len(bound))
        a, b = (value + (0,) * (width - len(value)) for value in (number, bound))
        kept = {
            ">=": a >= b, "<=": a <= b, "==": a == b, "!=": a != b, "<": a < b, ">": a > b,
        }  # fmt: skip
        if not kept[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _load_faults(versions: dict[str, str | None]) -> Iterator[Finding]:
    """What is installed and cannot be loaded; tried in another process, since it may crash."""
    modules: dict[str, str] = {}
    for module, names in importlib.metadata.packages_distributions().items():
        needed = [name for name in names if versions.get(name)]
        if needed and module.isidentifier() and not module.startswith("_"):
            modules[module] = needed[0]
    command = [sys.executable, "-P", "-c", _LOADER, json.dumps([*modules])]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LOAD_TIMEOUT_S, check=True
        )
        faults = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        yield Finding(
            _AREA,
            "packages",
            BROKEN,
            f"loading {', '.join(modules)} failed: {error}",
            "a library crashes or hangs while it is loaded",
            f"try each: {sys.executable} -c 'import …'",
        )
        return
    for module, fault in faults.items():
        name = modules[module]
        yield Finding(
            _AREA,
            name,
            BROKEN,
            f"{module} cannot be loaded: {fault}",
            "nodes that need it cannot run",
            f"{sys.executable} -m pip install --force-reinstall {name}",
        )


# --- whose modules ----------------------------------------------------------------------------


def ours_finding(settings: Settings) -> Finding:
    """Whether `engine`, `operators` and `remotemedia` are ours, here and for workers.

    Args:
        settings: has `extra_paths`, where workers look first.
    """
    home = Path(__file__).resolve().parent.parent.parent
    folders = [(Path.cwd(), "Python started here")]
    folders += [(Path(path), "node processes") for path in settings.extra_paths]
    for folder, who in folders:
        for place in () if folder.resolve() == home else _namesakes(folder):
            return Finding(
                _AREA,
                "modules",
                WARNING,
                f"{place} has the name of a package of remotemedia",
                f"{who} may find it in place of remotemedia's own",
                f"rename {place}",
                {"path": str(place)},
            )
    found = f"{', '.join(_OURS)} of {home}"
    return Finding(
        _AREA, "modules", OK, found, "nothing here has their names", details={"home": str(home)}
    )


def _namesakes(folder: Path) -> Iterator[Path]:
    """What would be imported from a folder in place of ours."""
    for name in _OURS:
        # A folder without __init__.py comes after every package, wherever that is.
        if (folder / name / "__init__.py").exists():
            yield folder / name
        if (folder / f"{name}.py").exists():
            yield folder / f"{name}.py"


# --- settings ---------------------------------------------------------------------------------


def settings_finding(config: Path | None) -> tuple[Settings, Finding]:
    """Read the settings.

    Args:
        config: see `load_settings`.

    Returns:
        The settings, those by default where the file is wrong; and what was found.
    """
    name = str(config or os.environ.get(CONFIG_VARIABLE) or DEFAULT_FILE)
    heard = _Heard()
    logger = logging.getLogger("engine.config")
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(heard)
    try:
        settings = load_settings(config)
    except UsageError as error:
        meaning = "nothing starts with it; the rest was looked at with the defaults"
        advice = "mend the file; docs/settings.md has all keys"
        return Settings(), Finding("settings", name, BROKEN, error.message, meaning, advice)
    finally:
        logger.removeHandler(heard)
        logger.propagate = propagates
    if heard.lines:
        text = "; ".join(heard.lines)
        return settings, Finding(
            "settings",
            name,
            WARNING,
            text,
            "these keys do not do all that they say",
            "correct or remove them",
        )
    if name == DEFAULT_FILE and not Path(name).is_file():
        return settings, Finding("settings", name, OK, "there is none", "the defaults hold")
    return settings, Finding("settings", name, OK, "valid", "it holds for sessions started here")


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
