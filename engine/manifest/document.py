"""From JSON or YAML text, a mapping or a file to one document: a dict within the limits.

Pure but for reading a file that was named. Source: FR-001, FR-006, NFR-001.

    .json          JSON
    .yaml .yml     YAML, or JSON (which begins with a brace)
    other, str     JSON; YAML where the first line has the look of a mapping

A document may be wrapped together with its input: `{"manifest": {…}, "input_data": […]}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from engine.errors import ManifestError, Problem, UsageError
from engine.manifest.limits import DEFAULT_LIMITS, DOCUMENT, ManifestLimits
from engine.manifest.yaml_text import looks_like_yaml, parse_yaml
from engine.manifest.yaml_values import YamlTextError
from engine.wording import quoted

#: What a document can be read from; a `str` is the text itself, never a path.
DocumentSource: TypeAlias = str | bytes | Mapping[str, Any] | Path

_YAML: Final = frozenset({".yaml", ".yml"})
_SUFFIXES: Final = (".json", *sorted(_YAML))
#: Fields that hold remarks; JSON documents repeat them, and nobody reads what is lost.
_REMARKS: Final = ("_", "#", "//", "$comment", "comment")


class Document(NamedTuple):
    """A document that is within the limits; whether it is a manifest is another question.

    Attributes:
        manifest: what should be one.
        input_data: what was wrapped with it to be fed into it, as it was written; None: nothing.
    """

    manifest: dict[str, Any]
    input_data: Any = None


def load_document(source: DocumentSource, limits: ManifestLimits = DEFAULT_LIMITS) -> Document:
    """Read a document, with or without its wrapper.

    Args:
        source: JSON or YAML text, its bytes, a mapping (not to be changed afterwards), or a file's
            path.
        limits: what it may measure.

    Raises:
        ManifestError: it is no JSON or YAML, no object, or larger than it may be.
        UsageError: there is no such file, or it cannot be read.
    """
    document, problems = read_document(source, limits)
    if document is None:
        raise ManifestError(problems)
    return document


def read_document(
    source: DocumentSource, limits: ManifestLimits = DEFAULT_LIMITS
) -> tuple[Document | None, tuple[Problem, ...]]:
    """Read a document, or say what is wrong with it.

    Args:
        source: see `load_document`.
        limits: what it may measure.

    Raises:
        UsageError: there is no such file, or it cannot be read.
    """
    text = _read(source, limits) if isinstance(source, Path) else source
    parsed: Any = text
    shallow = False
    if isinstance(text, str | bytes):
        try:
            parsed = _parse(text, source, limits)
        except (_TextError, YamlTextError) as error:
            return None, (Problem(DOCUMENT, str(error)),)
        # So few opening brackets cannot nest too deep, and the text's own size bounds its values;
        # what YAML can do without brackets was bounded while it was read.
        shallow = _brackets(text) <= limits.depth_max
    return _checked(parsed, limits, shallow=shallow)


def _checked(
    parsed: Any, limits: ManifestLimits, *, shallow: bool
) -> tuple[Document | None, tuple[Problem, ...]]:
    if not isinstance(parsed, Mapping):
        return None, (Problem(DOCUMENT, _no_object(parsed)),)
    problem = None if shallow else limits.problem_of_shape(parsed)
    if problem is not None:
        return None, (problem,)
    document = Document(dict(parsed))
    if "nodes" not in parsed and "manifest" in parsed:
        wrapped = parsed["manifest"]
        if not isinstance(wrapped, Mapping):
            text = f"its `manifest` field must be an object, got {quoted(wrapped)}"
            return None, (Problem(DOCUMENT, text),)
        document = Document(dict(wrapped), parsed.get("input_data", parsed.get("inputData")))
    problems = tuple(limits.problems_of_length(document.manifest))
    return (None, problems) if problems else (document, ())


def _no_object(parsed: Any) -> str:
    text = f"must be an object, got {quoted(parsed)}"
    if isinstance(parsed, list | tuple) and len(parsed) == 1:
        return f"{text} of one item; give the item alone"
    if isinstance(parsed, list | tuple):
        return f"{text}; several manifests are several files"
    return text


# --- files ------------------------------------------------------------------------------------


def _read(path: Path, limits: ManifestLimits) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte more than allowed is enough to know; the rest need not be in memory.
            return file.read(limits.document_bytes_max + 1)
    except FileNotFoundError as error:
        hint = _beside(path) or "check the path"
        raise UsageError(f"there is no manifest {path}; {hint}", path=str(path)) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read the manifest {path}: {reason}", path=str(path)) from error


def _beside(path: Path) -> str:
    """Which file with another suffix lies where one was looked for."""
    for suffix in _SUFFIXES:
        other = path.with_suffix(suffix) if path.name else path
        if other != path and other.is_file():
            return f"did you mean {other}?"
    return ""


# --- text -------------------------------------------------------------------------------------


class _TextError(ValueError):
    """What is wrong with a text: the end of the sentence "the manifest …"."""


def _parse(text: str | bytes, source: DocumentSource, limits: ManifestLimits) -> Any:
    """The values of a text.

    Raises:
        _TextError, YamlTextError: it cannot be read, or is larger than it may be.
    """
    problem = limits.problem_of_size(len(text))
    if problem is not None:
        raise _TextError(problem.message)
    if not text.strip():
        raise _TextError("is empty")
    suffix = source.suffix.lower() if isinstance(source, Path) else None
    if suffix in _YAML and not _opens_brace(text):
        return _parsed_yaml(_decoded(text), limits)
    try:
        return _parsed_json(text, limits)
    except json.JSONDecodeError as error:
        if suffix in _YAML:  # a mapping in YAML's own braces
            return _parsed_yaml(error.doc, limits)
        if suffix != ".json" and looks_like_yaml(error.doc):
            return _parsed_yaml(error.doc, limits)
        raise _TextError(_syntax_error(error, source)) from error


def _parsed_json(text: str | bytes, limits: ManifestLimits) -> Any:
    try:
        return json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_without_repetition
        )
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError as error:
        raise _not_text(error) from error
    except RecursionError as error:
        raise _TextError(limits.problem_of_depth().message) from error
    except _TextError:
        raise
    except ValueError as error:
        raise _TextError(f"is not valid JSON: {error}") from error


def _parsed_yaml(text: str, limits: ManifestLimits) -> Any:
    parsed = parse_yaml(text, limits)
    if parsed is None:
        raise _TextError("is empty")
    return parsed


def _decoded(text: str | bytes) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise _not_text(error) from error


def _not_text(error: UnicodeDecodeError) -> _TextError:
    what = f"is not UTF-8 text: {error.reason} at byte {error.start}"
    return _TextError(f"{what}; a manifest is JSON or YAML")


def _opens_brace(text: str | bytes) -> bool:
    if isinstance(text, str):
        return text.lstrip("\ufeff \t\r\n").startswith("{")
    return text.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def _brackets(text: str | bytes) -> int:
    if isinstance(text, str):
        return text.count("{") + text.count("[")
    return text.count(b"{") + text.count(b"[")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of its fields; one that is there twice with two values means nothing."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: dict[str, Any] = {}
    for key, value in pairs:
        if key in seen and seen[key] != value and not key.startswith(_REMARKS):
            values = f"{quoted(seen[key])} and {quoted(value)}"
            raise _TextError(f"has the field {key!r} twice in one object, with {values}; keep one")
        seen[key] = value
    return found


def _syntax_error(error: json.JSONDecodeError, source: DocumentSource) -> str:
    what = f"is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
    if not isinstance(source, Path):
        start = error.doc.lstrip()[:1]
        if error.pos == 0 and start and start not in "{[":
            return (
                f"{what}; a string is read as JSON or YAML text, a file is named by a pathlib.Path"
            )
        return f"{what}{_advice(error)}"
    if source.suffix.lower() == ".json":
        return f"{what}{_advice(error)}"
    return f"{what}{_advice(error)}; a manifest is a {', '.join(_SUFFIXES[:-1])} or .yml file"


def _advice(error: json.JSONDecodeError) -> str:
    """What to do about it, where that is plain."""
    rest = error.doc[error.pos :]
    before = error.doc[: error.pos].rstrip()
    if error.msg == "Extra data":
        return "; a manifest is one object and nothing behind it"
    if rest.startswith(("//", "/*", "#")):
        return "; JSON has no comments: put them into a field, or write YAML"
    if rest.startswith("'"):
        return "; texts are put in double quotes"
    if rest[:1] in {"}", "]"} and before.endswith(","):
        return "; there is a comma too many before it"
    return "; it looks like YAML: name the file .yaml" if looks_like_yaml(error.doc) else ""
