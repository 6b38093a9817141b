"""Settings: runtime.toml and one environment variable in, a frozen `Settings` out.

Reads one file; everything else is pure. Source: FR-005, FR-010, US3.

    metadata.multiprocess of a manifest  >  runtime.toml  >  defaults;   nothing exceeds the caps
"""

from __future__ import annotations

import functools
import logging
import os
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StrictBool, StrictInt, StrictStr, ValidationError
from pydantic.alias_generators import to_camel

from engine.config_table import Table
from engine.errors import Problem, UsageError
from engine.service_table import ServiceTable
from engine.wording import path_of, quoted, sentence, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

_log = logging.getLogger(__name__)

#: Names the configuration file where no path is given.
CONFIG_VARIABLE = "REMOTEMEDIA_CONFIG"
#: Read from the working directory where nothing names a file.
DEFAULT_FILE = "runtime.toml"

CHANNEL_CAPACITY_MAX = 10_000
INIT_TIMEOUT_S_MAX = 300
CLEANUP_GRACE_S_MAX = 60
HANG_TIMEOUT_S_MAX = 3_600
SHM_SEGMENT_BYTES_MIN = 64 * 1024
SHM_SEGMENT_BYTES_MAX = 4 * 1024**3
PROCESSES_MAX = 10_000

#: Names for the service's configured interpreter that every manifest may use.
OWN_INTERPRETER = frozenset({"python", "python3"})

_MANIFEST_ROOT = "metadata.multiprocess"

#: Settings with a cap of their own, which is the setting of the same name with _max.
_CAPPED = (
    "channel_capacity",
    "init_timeout_s",
    "cleanup_grace_s",
    "shm_segment_bytes",
    "hang_timeout_s",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force for a service, or, after `for_session`, for one session.

    Bounds are those of runtime.toml. A value above its cap (channel_capacity above
    channel_capacity_max) is lowered to it.

    Attributes:
        enabled: whether nodes may run in processes of their own; if not, they run local.
        max_processes_per_session: process nodes one session may have; None: up to the global cap.
        channel_capacity: credits of an edge, in packets.
        init_timeout_s: time all of a node's start may take.
        cleanup_grace_s: time the end of a session may take before it is forced.
        enable_backpressure: whether a full edge stops its producer.
        shm_segment_bytes: size of the arena of one producing stage.
        checksums: whether payloads are checked against a CRC-32 where they cross processes.
        python_executable: interpreter of worker processes.
        venv_path: virtual environment of worker processes, absolute, or None; counts before
            python_executable.
        extra_paths: absolute directories workers find modules in before their own.
        allowed: other interpreters and virtual environments that manifests may name.
        hang_timeout_s: silence after which a worker is taken for hung.
        max_processes_total: cap on the processes of all sessions together.
        max_session_memory_mb: cap on the memory of one session in MiB, or None.
        max_sessions: cap on the sessions at one time, or None.
        edge_bytes_max: bytes of payload that may wait on an edge within the session's process, and
            one packet more; None: packets alone are counted, and no bytes.
        channel_capacity_max: cap on channel_capacity, also on what a manifest asks for.
        init_timeout_s_max: the same for init_timeout_s.
        cleanup_grace_s_max: the same for cleanup_grace_s.
        shm_segment_bytes_max: the same for shm_segment_bytes.
        hang_timeout_s_max: the same for hang_timeout_s.

    Raises:
        UsageError: a value is of the wrong type or out of range.
    """

    enabled: bool = True
    max_processes_per_session: int | None = 10
    channel_capacity: int = 100
    init_timeout_s: float = 30.0
    cleanup_grace_s: float = 5.0
    enable_backpressure: bool = True
    shm_segment_bytes: int = 256 * 1024**2
    checksums: bool = False
    python_executable: str = "python"
    venv_path: str | None = None
    extra_paths: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    hang_timeout_s: float = 30.0
    max_processes_total: int = 100
    max_session_memory_mb: int | None = None
    max_sessions: int | None = None
    edge_bytes_max: int | None = None
    channel_capacity_max: int = CHANNEL_CAPACITY_MAX
    init_timeout_s_max: float = INIT_TIMEOUT_S_MAX
    cleanup_grace_s_max: float = CLEANUP_GRACE_S_MAX
    shm_segment_bytes_max: int = SHM_SEGMENT_BYTES_MAX
    hang_timeout_s_max: float = HANG_TIMEOUT_S_MAX

    def __post_init__(self) -> None:
        # Defaults are right, and the tables that check the others are made of them.
        given = {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) is not field.default
        }
        if given:
            for name, value in _checked(given).items():
                object.__setattr__(self, name, value)
        for name in _CAPPED:
            cap = getattr(self, f"{name}_max")
            if getattr(self, name) > cap:
                object.__setattr__(self, name, cap)

    @property
    def process_limit(self) -> int:
        """Process nodes one session may have, the global cap included."""
        if self.max_processes_per_session is None:
            return self.max_processes_total
        return min(self.max_processes_per_session, self.max_processes_total)

    def for_session(self, overrides: Mapping[str, Any]) -> tuple[Settings, tuple[Problem, ...]]:
        """Apply what a manifest's metadata.multiprocess asks for.

        Args:
            overrides: wire spellings, snake_case or camelCase; may have a `python` object.

        Returns:
            The settings of the session, and what is wrong (errors: a wrong type, a value below its
            range, an interpreter that is not allowed) or odd (warnings: an unknown key, a value
            above a cap, which is lowered to it, a key only the service may set, which is ignored).
        """
        if not overrides:
            return self, ()
        return _SessionOverrides(self).apply(dict(overrides))


_DEFAULTS = Settings()


_Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
_Count = Annotated[StrictInt, Field(ge=1)]
_Text = Annotated[StrictStr, Field(min_length=1)]
_Capacity = Annotated[_Count, Field(le=CHANNEL_CAPACITY_MAX)]
_InitTimeout = Annotated[_Seconds, Field(le=INIT_TIMEOUT_S_MAX)]
_CleanupGrace = Annotated[_Seconds, Field(le=CLEANUP_GRACE_S_MAX)]
_SegmentBytes = Annotated[StrictInt, Field(ge=SHM_SEGMENT_BYTES_MIN, le=SHM_SEGMENT_BYTES_MAX)]
_HangTimeout = Annotated[_Seconds, Field(le=HANG_TIMEOUT_S_MAX)]


class PythonTable(Table):
    """The interpreter of worker processes."""

    executable: _Text = _DEFAULTS.python_executable
    """Interpreter; "python" is the one the service runs on. A path is relative to the file."""
    venv_path: _Text | None = None
    """Virtual environment, counts before executable; relative to the file."""
    extra_paths: tuple[_Text, ...] = ()
    """Directories to find modules in; relative to the file."""
    allowed: tuple[_Text, ...] = ()
    """Other interpreters and virtual environments that manifests may name; relative to the file."""


class MultiprocessTable(Table):
    """How nodes run in processes of their own."""

    enabled: StrictBool = _DEFAULTS.enabled
    """Whether they may; false: they run on the server's loop."""
    max_processes_per_session: Annotated[_Count, Field(le=PROCESSES_MAX)] | None = 10
    """Process nodes one session may have; null: up to max_processes_total."""
    channel_capacity: _Capacity = _DEFAULTS.channel_capacity
    """Packets an edge may hold."""
    init_timeout_secs: _InitTimeout = _DEFAULTS.init_timeout_s
    """Time the start of a node may take."""
    cleanup_grace_period_secs: _CleanupGrace = _DEFAULTS.cleanup_grace_s
    """Time the end of a session may take before it is forced."""
    enable_backpressure: StrictBool = _DEFAULTS.enable_backpressure
    """Whether a full edge stops its producer."""
    checksums: StrictBool = _DEFAULTS.checksums
    """Whether payloads are checked against a CRC-32 where they cross processes."""
    shm_segment_size: _SegmentBytes = _DEFAULTS.shm_segment_bytes
    """Bytes of shared memory for the output of one process node."""
    hang_timeout_secs: _HangTimeout = _DEFAULTS.hang_timeout_s
    """Silence after which a process is taken for hung."""
    python_executable: _Text = _DEFAULTS.python_executable
    """The same as python.executable."""
    venv_path: _Text | None = None
    """The same as python.venv_path."""
    extra_paths: tuple[_Text, ...] = ()
    """The same as python.extra_paths."""
    allowed: tuple[_Text, ...] = ()
    """The same as python.allowed."""
    max_processes_total: Annotated[_Count, Field(le=PROCESSES_MAX)] = _DEFAULTS.max_processes_total
    """Processes of all sessions together; no manifest raises it."""
    max_session_memory_mb: _Count | None = None
    """Memory of one session; no manifest raises it."""
    max_sessions: _Count | None = None
    """Sessions at one time; no manifest raises it."""
    edge_bytes_max: _Count | None = None
    """Bytes that may wait on an edge within one process; no manifest raises it."""
    channel_capacity_max: _Capacity = _DEFAULTS.channel_capacity_max
    """Cap on channel_capacity; no manifest raises it."""
    init_timeout_secs_max: _InitTimeout = _DEFAULTS.init_timeout_s_max
    """Cap on init_timeout_secs; no manifest raises it."""
    cleanup_grace_period_secs_max: _CleanupGrace = _DEFAULTS.cleanup_grace_s_max
    """Cap on cleanup_grace_period_secs; no manifest raises it."""
    shm_segment_size_max: _SegmentBytes = _DEFAULTS.shm_segment_bytes_max
    """Cap on shm_segment_size; no manifest raises it."""
    hang_timeout_secs_max: _HangTimeout = _DEFAULTS.hang_timeout_s_max
    """Cap on hang_timeout_secs; no manifest raises it."""
    python: PythonTable | None = None
    """The interpreter of worker processes."""


class RuntimeFile(MultiprocessTable):
    """runtime.toml: the keys stand at top level, or in [multiprocess] and [multiprocess.python]."""

    multiprocess: MultiprocessTable | None = None
    """The nested form; what it says counts before the same key at top level."""
    service: ServiceTable | None = None
    """What `remotemedia serve` does; nothing else reads it."""


#: Wire spelling → name in Settings, where the two differ. The one place where they are renamed.
_RENAMED = {
    "init_timeout_secs": "init_timeout_s",
    "cleanup_grace_period_secs": "cleanup_grace_s",
    "shm_segment_size": "shm_segment_bytes",
    "hang_timeout_secs": "hang_timeout_s",
    "init_timeout_secs_max": "init_timeout_s_max",
    "cleanup_grace_period_secs_max": "cleanup_grace_s_max",
    "shm_segment_size_max": "shm_segment_bytes_max",
    "hang_timeout_secs_max": "hang_timeout_s_max",
    "executable": "python_executable",
}
#: Name in Settings → wire spelling in [multiprocess], where the two differ.
_WIRE_NAMES = {
    name: wire for wire, name in _RENAMED.items() if wire in MultiprocessTable.model_fields
}
#: Keys of a manifest that only the service's own file may set, by name in Settings.
_SERVICE_ONLY = frozenset(
    {
        "extra_paths",
        "allowed",
        "max_processes_total",
        "max_session_memory_mb",
        "max_sessions",
        "edge_bytes_max",
        *(f"{name}_max" for name in _CAPPED),
    }
)
_SUBTABLES = ("python", "multiprocess", "service")


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as Settings has them, each of its type.

    Args:
        values: by name in Settings.

    Raises:
        UsageError: a value is of the wrong type or out of range.
    """
    wire = {_WIRE_NAMES.get(name, name): value for name, value in values.items()}
    try:
        table = MultiprocessTable.model_validate(wire)
    except ValidationError as error:
        faults: list[str] = []
        for item in error.errors(include_url=False):
            key, *rest = item["loc"]
            name = _RENAMED.get(str(key), str(key))
            faults.append(f"{path_of((name, *rest))} {_verdict(item)}")
        raise UsageError(f"Settings: {'; '.join(faults)}") from error
    return {name: getattr(table, _WIRE_NAMES.get(name, name)) for name in values}


def load_settings(
    path: str | Path | None = None, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Read the service's settings.

    Args:
        path: the file; None: the one REMOTEMEDIA_CONFIG names, else ./runtime.toml if there is one,
            else the defaults. Relative paths in it count from its directory.
        environ: the environment.

    Raises:
        UsageError: a named file is missing or unreadable, it is not valid TOML, or a value is of
            the wrong type or out of range.
    """
    found = _find(path, environ)
    return _DEFAULTS if found is None else _parse(_read(found), found)


def load_service(
    path: str | Path | None = None, environ: Mapping[str, str] = os.environ
) -> ServiceTable:
    """Read what a service's [service] table says; paths in it become absolute.

    Args:
        path: see `load_settings`, which also tells of keys that nobody knows.
        environ: the environment.

    Raises:
        UsageError: see `load_settings`.
    """
    found = _find(path, environ)
    table = None if found is None else _validated(_read(found), found).service
    if found is None or table is None:
        return ServiceTable()
    base = found.absolute().parent
    paths = {
        name: _absolute(base, value)
        for name in ("tls_cert", "tls_key", "client_ca")
        if (value := getattr(table, name)) is not None
    }
    files = tuple(_absolute(base, item) for item in table.allowed_files)
    return table.model_copy(update={**paths, "allowed_files": files})


def _find(path: str | Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is not None:
        return Path(path)
    named = environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    default = Path(DEFAULT_FILE)
    return default if default.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no configuration file {path}; name another one, by --config or"
            f" {CONFIG_VARIABLE}",
            path=str(path),
        ) from error
    except OSError as error:
        raise UsageError(
            f"cannot read the configuration file {path}: {error.strerror}", path=str(path)
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error.reason}", path=str(path)) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        *before, last = text.split("\n")
        end = f"(at line {len(before) + 1}, column {len(last) + 1}, the end)"
        said = str(error).replace("(at end of document)", end)
        raise UsageError(f"{path} is not valid TOML: {said}", path=str(path)) from error


def _validated(raw: dict[str, Any], path: Path) -> RuntimeFile:
    try:
        return RuntimeFile.model_validate(raw)
    except ValidationError as error:
        faults = "; ".join(
            f"{path_of(item['loc'])} {_verdict(item)}" for item in error.errors(include_url=False)
        )
        raise UsageError(f"{path}: {faults}", path=str(path)) from error


def _parse(raw: dict[str, Any], path: Path) -> Settings:
    table = _validated(raw, path)
    for key, hint in _unknown_in(table):
        _log.warning("%s: unknown key %r is ignored%s", path, key, hint, extra={"key": key})
    written: dict[str, _Setting] = {}
    for setting in _settings_in(table, raw):
        if setting.name in written:
            other = f"is ignored: {setting.path} is set too, and counts before it"
            _warn_of(path, written[setting.name], other)
        written[setting.name] = setting
    values = {name: setting.value for name, setting in written.items()}
    base = path.absolute().parent
    if values.get("venv_path") is not None:
        values["venv_path"] = _absolute(base, values["venv_path"])
    values["extra_paths"] = tuple(_absolute(base, item) for item in values.get("extra_paths", ()))
    if "python_executable" in values:
        values["python_executable"] = _located(base, values["python_executable"])
    values["allowed"] = tuple(_located(base, item) for item in values.get("allowed", ()))
    settings = replace(_DEFAULTS, **values)
    for name in _CAPPED:
        if name in written and values[name] > getattr(settings, name):
            cap = f"{_WIRE_NAMES.get(name, name)}_max and is lowered to {getattr(settings, name)}"
            _warn_of(path, written[name], f"is {values[name]}, above {cap}")
    for folder in settings.extra_paths:
        if not Path(folder).exists():
            _warn_of(path, written["extra_paths"], f"has {folder}, which is not there")
    return settings


def _warn_of(path: Path, setting: _Setting, what: str) -> None:
    _log.warning("%s: %s %s", path, setting.path, what, extra={"key": setting.path})


def _absolute(base: Path, path: str) -> str:
    return os.path.normpath(base / Path(path).expanduser())


def _located(base: Path, program: str) -> str:
    """A program's absolute path; a mere name, which PATH finds, stays as it is."""
    return _absolute(base, program) if "/" in program else program


def _verdict(error: ErrorDetails) -> str:
    """What a wrong value should be, and what it is."""
    expected = _expected(_wire_name(str(error["loc"][-1])))
    return f"must be {expected}, got {quoted(error['input'])}" if expected else sentence(error)


@functools.cache
def _wire_name(written: str) -> str:
    """The snake_case spelling of a key in either spelling."""
    for model in (MultiprocessTable, PythonTable, ServiceTable):
        for name in model.model_fields:
            if written in {name, to_camel(name)}:
                return name
    return written


@functools.cache
def _expected(name: str) -> str:
    """What a value may be, in words, taken from the model itself; "" where there are no words."""
    properties = {
        **ServiceTable.model_json_schema()["properties"],
        **PythonTable.model_json_schema()["properties"],
        **MultiprocessTable.model_json_schema()["properties"],
    }
    schema = properties.get(name, {})
    schema = next((part for part in schema.get("anyOf", ()) if "$ref" not in part), schema)
    nouns = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "string": "a string that is not empty",
        "array": "a list of strings",
    }
    noun = nouns.get(schema.get("type"), "")
    low, above, high = (schema.get(k) for k in ("minimum", "exclusiveMinimum", "maximum"))
    lower = f"from {low}" if low is not None else f"above {above}" if above is not None else ""
    upper = f"to {high}" if lower.startswith("from") else f"and at most {high}"
    return " ".join(part for part in (noun, lower, upper if high is not None else "") if part)


@dataclass(frozen=True, slots=True)
class _Setting:
    """One key that was set: its name in Settings, its value, its path as it was written."""

    name: str
    value: Any
    path: str


def _settings_in(table: Table, raw: Mapping[str, Any], path: str = "") -> Iterator[_Setting]:
    """What was set, in the order in which later ones count before earlier ones.

    Args:
        table: the validated table.
        raw: what it was made of.
        path: where it stands.
    """
    for name in type(table).model_fields:
        if name not in table.model_fields_set:
            continue
        written = name if name in raw else to_camel(name)
        value = getattr(table, name)
        where = path_of((written,), path)
        if isinstance(value, ServiceTable):
            continue
        if isinstance(value, Table):
            yield from _settings_in(value, raw[written], where)
        elif name not in _SUBTABLES:
            yield _Setting(_RENAMED.get(name, name), value, where)


def _unknown_in(table: Table, path: str = "") -> Iterator[tuple[str, str]]:
    """The keys nobody knows: the path of each, and which one was probably meant."""
    fields = type(table).model_fields
    for key in table.model_extra or ():
        yield path_of((key,), path), suggestion(key, fields, "keys")
    for name in fields:
        value = getattr(table, name)
        if isinstance(value, Table):
            yield from _unknown_in(value, path_of((name,), path))


class _SessionOverrides:
    """One application of a manifest's overrides to the service's settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._problems: list[Problem] = []
        #: By path, what was asked for where it is above what any service takes.
        self._excessive: dict[str, Any] = {}
        self._caps: dict[str, float] = {
            "max_processes_per_session": settings.max_processes_total,
            **{name: getattr(settings, f"{name}_max") for name in _CAPPED},
        }

    def apply(self, raw: dict[str, Any]) -> tuple[Settings, tuple[Problem, ...]]:
        """The session's settings, and what is wrong or odd about the overrides."""
        table, repaired = self._validate(raw)
        for path, hint in _unknown_in(table, _MANIFEST_ROOT):
            self._warn(path, f"is no known key and is ignored{hint}")
        values = {
            setting.name: self._capped(setting)
            for setting in _settings_in(table, repaired, _MANIFEST_ROOT)
            if self._permits(setting)
        }
        if "python_executable" in values:
            values.setdefault("venv_path")  # the service's does not outlive the manifest's choice
        return replace(self._settings, **values), tuple(self._problems)

    def _validate(self, raw: dict[str, Any]) -> tuple[MultiprocessTable, dict[str, Any]]:
        try:
            return MultiprocessTable.model_validate(raw), raw
        except ValidationError as error:
            errors = error.errors(include_url=False)
        for item in errors:
            path = path_of(item["loc"], _MANIFEST_ROOT)
            if item["type"] == "less_than_equal":
                self._excessive[path] = item["input"]
            else:
                self._problems.append(Problem(path, _verdict(item)))
        for item in errors:
            raw = _repaired(raw, item["loc"], item.get("ctx", {}).get("le"))
        return MultiprocessTable.model_validate(raw), raw

    def _permits(self, setting: _Setting) -> bool:
        """Whether a manifest may set this to this value; notes why not."""
        name, value = setting.name, setting.value
        if name in _SERVICE_ONLY:
            if value != getattr(self._settings, name):
                self._warn(setting.path, "is ignored: only the service's configuration may set it")
            return False
        if name == "enabled" and value and not self._settings.enabled:
            self._warn(setting.path, "is ignored: the service has it disabled")
            return False
        if name == "python_executable":
            return self._permits_interpreter(setting)
        if name == "venv_path":
            return self._permits_venv(setting)
        return True

    def _permits_interpreter(self, setting: _Setting) -> bool:
        if setting.value in OWN_INTERPRETER or setting.value == self._settings.python_executable:
            return False
        return self._permits_listed(setting, "interpreter", ["python"])

    def _permits_venv(self, setting: _Setting) -> bool:
        if setting.value in {None, self._settings.venv_path}:
            return False
        return self._permits_listed(setting, "virtual environment", [])

    def _permits_listed(self, setting: _Setting, what: str, others: list[str]) -> bool:
        """Whether `allowed` has just this text.

        Never what the text leads to: a link or a `..` of the client's may lead to an interpreter
        that is allowed and bring along what is not, and the interpreters of most virtual
        environments are links to one and the same file.
        """
        if setting.value in self._settings.allowed:
            return True
        choices = ", ".join([*others, *self._settings.allowed]) or "none"
        self._problems.append(
            Problem(
                setting.path,
                f"the service does not allow the {what} {quoted(setting.value)}; it allows"
                f" {choices}",
            )
        )
        return False

    def _capped(self, setting: _Setting) -> Any:
        value = setting.value
        asked = self._excessive.get(setting.path, value)
        limit = self._caps.get(setting.name)
        if limit is not None and value is not None and value > limit:
            value = limit
        if asked != value:
            self._warn(
                setting.path,
                f"{quoted(asked)} is above the service's limit and is lowered to {quoted(value)}",
            )
        return value

    def _warn(self, path: str, message: str) -> None:
        self._problems.append(Problem(path, message, severity="warning"))


def _repaired(
    table: Mapping[str, Any], location: Sequence[int | str], value: Any
) -> dict[str, Any]:
    """A copy of a table without what stands at a location, or with a value (not None) there."""
    key = str(location[0])
    copy = dict(table)
    child = copy.get(key)
    if len(location) > 1 and isinstance(child, dict):
        copy[key] = _repaired(child, location[1:], value)
    elif value is not None:
        copy[key] = value
    else:
        copy.pop(key, None)
    return copy
