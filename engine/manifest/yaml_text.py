"""YAML text to the values JSON has, within bounds, with the line and column of what is wrong.

Pure: no I/O, no clock. Source: FR-001, FR-006, NFR-001; YAML 1.2, core schema.

Values mean what they would mean in JSON, see `yaml_values`; keys are text always (`1: x` has the
key "1"). `<<` merges mappings into one.

The parser's events are built into values here and not by a constructor of the library's: so the
depth is bounded while it grows, an alias costs what it unfolds to, and duplicate keys are seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.manifest.yaml_values import TAG, YamlTextError, error_at, is_plain, tag_error, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml.error import Mark
    from yaml.events import Event

    from engine.manifest.limits import ManifestLimits

_MERGE: Final = "<<"
#: Ends of the library's sentences that say what to do about it.
_ADVICE: Final = {
    "mapping values are not allowed in this context": (
        "; check the indentation, and put a text with ': ' in it in quotes"
    ),
    "could not find expected ':'": "; a key is followed by ': ' on its own line",
    "did not find expected key": "; check the indentation",
    "did not find expected node content": "; a key or a value is missing before it",
    "did not find expected '-' indicator": "; check the indentation",
    "did not find expected ',' or '}'": "; a bracket is not closed, or a comma is missing",
    "did not find expected ',' or ']'": "; a bracket is not closed, or a comma is missing",
    "found unexpected end of stream": "; a quote is not closed",
}
#: What cannot begin a text without quotes.
_MARKERS: Final = "@`%&*!|>"
#: A document's beginning, a directive, or a key with its colon.
_FIRST_LINE: Final = re.compile(
    r"""---(\s|$)|%YAML|\s*("[^"]*"|'[^']*'|[^\s"'{\[][^\n]*?)\s*:(\s|$)"""
)


@dataclass(slots=True)
class _Anchor:
    """Something an alias may stand for.

    Attributes:
        value: what it is.
        values: values inside it, aliases unfolded.
        height: levels inside it, its own included; 0 for a scalar.
    """

    value: Any
    values: int = 0
    height: int = 0


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end has not come yet.

    Attributes:
        value: what it is so far.
        anchor: its name for aliases, or None.
        values_before: values counted when it began.
        lines: of a mapping's keys, the line each stands in.
        key: of a mapping, the key whose value comes next; None: a key comes next.
        merging: whether that key is `<<`.
        merged: of a mapping, what `<<` gave it.
        height: levels inside it so far, its own included.
    """

    value: dict[str, Any] | list[Any]
    anchor: str | None
    values_before: int
    lines: dict[str, int] = field(default_factory=dict)
    key: str | None = None
    merging: bool = False
    merged: list[dict[str, Any]] = field(default_factory=list)
    height: int = 1


def parse_yaml(text: str, limits: ManifestLimits) -> Any:
    """Read a text that is one YAML document.

    What an alias stands for is the same object as its anchor.

    Args:
        text: not larger than the limits allow.
        limits: bounds on depth and values.

    Returns:
        Dicts, lists, texts, numbers, booleans and None; None where the text is empty.

    Raises:
        YamlTextError: it is not YAML, says what JSON cannot say, has a key twice, or unfolds to
            more than the limits allow.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # A byte order mark is no part of the text.
        return _Builder(limits).build(yaml.parse(text.removeprefix("\ufeff"), Loader=loader))
    except yaml.reader.ReaderError as error:
        what = f"the character {_character(error.character)} is not allowed"
        raise YamlTextError(f"is not valid YAML: {what}") from error
    except yaml.MarkedYAMLError as error:
        raise YamlTextError(_syntax_error(error, text)) from error
    except UnicodeEncodeError as error:
        raise YamlTextError(f"is not valid YAML: {error.reason}") from error


def looks_like_yaml(text: str) -> bool:
    """Whether the first line that says anything begins a mapping, or a document."""
    for line in text.removeprefix("\ufeff").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            return _FIRST_LINE.match(line) is not None
    return False


class _Builder:
    """Makes values of the events of one text."""

    def __init__(self, limits: ManifestLimits) -> None:
        self._limits = limits
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchor] = {}
        self._values = 0
        self._documents = 0
        self._root: Any = None

    def build(self, events: Iterator[Event]) -> Any:
        """Take all events.

        Raises:
            YamlTextError: see `parse_yaml`.
        """
        handlers = {
            "DocumentStartEvent": self._begin_document,
            "MappingStartEvent": self._begin_mapping,
            "SequenceStartEvent": self._begin_sequence,
            "MappingEndEvent": self._end,
            "SequenceEndEvent": self._end,
            "ScalarEvent": self._scalar,
            "AliasEvent": self._alias,
        }
        for event in events:
            handler = handlers.get(type(event).__name__)
            if handler is not None:
                handler(event)
        return self._root

    def _begin_document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            text = "a second document begins; a manifest is one document, keep each in a file"
            raise error_at(event.start_mark, f"{text} of its own")

    def _begin_mapping(self, event: Any) -> None:
        self._begin({}, event, "map")

    def _begin_sequence(self, event: Any) -> None:
        self._begin([], event, "seq")

    def _begin(self, value: dict[str, Any] | list[Any], event: Any, tag: str) -> None:
        if event.tag not in {None, "!", TAG + tag}:
            raise tag_error(event)
        self._expect_value(event)
        if len(self._open) >= self._limits.depth_max:
            raise YamlTextError(self._limits.problem_of_depth().message)
        self._open.append(_Open(value, event.anchor, self._values))

    def _end(self, event: Any) -> None:
        ended = self._open.pop()
        for defaults in ended.merged:
            assert isinstance(ended.value, dict)
            ended.value.update(
                (key, value) for key, value in defaults.items() if key not in ended.value
            )
        made = _Anchor(ended.value, self._values - ended.values_before, ended.height)
        if ended.anchor is not None:
            self._anchors[ended.anchor] = made
        self._add(made, event)

    def _scalar(self, event: Any) -> None:
        if self._awaits_key:
            self._take_key(event)
            return
        made = _Anchor(value_of(event))
        if event.anchor is not None:
            self._anchors[event.anchor] = made
        self._add(made, event)

    def _alias(self, event: Any) -> None:
        self._expect_value(event)
        made = self._anchors.get(event.anchor)
        if made is None:
            # The parser knows of no anchors; what is still open would contain itself.
            inside = any(part.anchor == event.anchor for part in self._open)
            what = "stands inside what it names" if inside else "names nothing that comes before it"
            raise error_at(event.start_mark, f"the alias *{event.anchor} {what}")
        if len(self._open) + made.height > self._limits.depth_max:
            raise YamlTextError(self._limits.problem_of_depth().message)
        self._values += made.values
        self._add(made, event)

    # --- what belongs where -------------------------------------------------------------------

    @property
    def _awaits_key(self) -> bool:
        if not self._open:
            return False
        part = self._open[-1]
        return isinstance(part.value, dict) and part.key is None

    def _expect_value(self, event: Any) -> None:
        if self._awaits_key:
            raise error_at(event.start_mark, "a key must be a text; this is none")

    def _take_key(self, event: Any) -> None:
        part = self._open[-1]
        assert isinstance(part.value, dict)
        if event.tag not in {None, "!"} and event.tag != f"{TAG}str":
            raise tag_error(event)
        key = event.value
        if not key and is_plain(event):
            raise error_at(event.start_mark, "a key is missing before the colon")
        if key in part.lines:
            text = f"the key {key!r} is there twice; it stands in line {part.lines[key]} already"
            raise error_at(event.start_mark, text)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchor(key)
        part.lines[key] = event.start_mark.line + 1
        part.key = key
        part.merging = key == _MERGE and is_plain(event)

    def _add(self, made: _Anchor, event: Any) -> None:
        if not self._open:
            self._root = made.value
            return
        self._values += 1
        if self._values > self._limits.values_max:
            maximum = f"{self._limits.values_max:,}"
            raise YamlTextError(f"unfolds to more than {maximum} values, the most it may have")
        part = self._open[-1]
        part.height = max(part.height, made.height + 1)
        if isinstance(part.value, list):
            part.value.append(made.value)
            return
        assert part.key is not None
        if part.merging:
            part.merged += _mappings(made.value, event)
        else:
            part.value[part.key] = made.value
        part.key = None


def _mappings(value: Any, event: Any) -> list[dict[str, Any]]:
    """What a `<<` merges: a mapping, or a list of them, the first counting most."""
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in found):
        raise error_at(event.start_mark, "<< takes a mapping, or a list of mappings")
    return found


# --- sentences --------------------------------------------------------------------------------


def _character(character: object) -> str:
    code = character if isinstance(character, int) else ord(str(character)[:1] or "\0")
    return f"U+{code:04X}"


def _syntax_error(error: Any, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "it cannot be read"
    if mark is None:
        return f"is not valid YAML: {problem}"
    where = f"line {mark.line + 1}, column {mark.column + 1}"
    found = _character_at(text, mark)
    if found == "\t":
        return f"is not valid YAML: {where}: a tab cannot indent YAML; indent with spaces"
    if found and found in _MARKERS and "cannot start any token" in problem:
        return f"is not valid YAML: {where}: put a text that begins with {found} in quotes"
    began = error.context_mark
    inside = (
        f" (inside what began in line {began.line + 1})"
        if began is not None and began.line != mark.line
        else ""
    )
    return f"is not valid YAML: {where}: {problem}{_ADVICE.get(problem, '')}{inside}"


def _character_at(text: str, mark: Mark) -> str:
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    return line[mark.column : mark.column + 1]
