"""What a YAML scalar means: a value that JSON has, by YAML 1.2's core schema. Pure.

A plain scalar is a number, true, false or null only where it is written as YAML 1.2 writes those;
all else is text: `on`, `yes`, `1:30`, `007`, dates. Tags can make nothing but these values.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from yaml.error import Mark

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUES: Final = frozenset({"true", "True", "TRUE"})
_FALSES: Final = frozenset({"false", "False", "FALSE"})
#: A leading zero is octal in YAML 1.1, decimal in 1.2 and wrong in JSON: such a thing stays text.
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_BASES: Final = {"0o": 8, "0x": 16}
#: Longer numbers take Python quadratic time to read, and it refuses them.
_NUMBER_CHARS_MAX: Final = 4_000

TAG: Final = "tag:yaml.org,2002:"
#: What a tag takes of the values there are.
_TAGGED: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
}


class YamlTextError(ValueError):
    """What is wrong with a text, and where: the end of the sentence "the manifest …"."""


def value_of(event: Any) -> Any:
    """What a scalar event means.

    Raises:
        YamlTextError: JSON cannot say it, or its tag is not taken or does not fit.
    """
    if event.tag in {None, "!"}:
        return _plain_value(event) if event.tag is None and is_plain(event) else event.value
    kind = event.tag.removeprefix(TAG)
    if kind == "str":
        return event.value
    if kind not in _TAGGED:
        raise tag_error(event)
    value = _plain_value(event)
    if type(value) not in _TAGGED[kind]:
        raise error_at(event.start_mark, f"{event.value!r} is no {kind}")
    return float(value) if kind == "float" else value


def _plain_value(event: Any) -> Any:
    """What a scalar means without quotes: YAML 1.2's core schema, as far as JSON can say it."""
    text = event.value
    if text in _NULLS:
        return None
    if text in _TRUES:
        return True
    if text in _FALSES:
        return False
    if not text[0].isascii() or text[0] not in "+-.0123456789":
        return text
    if _NOT_FINITE.fullmatch(text):
        raise error_at(event.start_mark, f"{text} is not a JSON value; put a text in quotes")
    return _number(text, event)


def _number(text: str, event: Any) -> Any:
    integer, based = _INTEGER.fullmatch(text), _BASED.fullmatch(text)
    if not (integer or based or _FLOAT.fullmatch(text)):
        return text
    if len(text) > _NUMBER_CHARS_MAX:
        raise error_at(event.start_mark, f"a number has more than {_NUMBER_CHARS_MAX:,} digits")
    if based:
        return int(text[2:], _BASES[text[:2]])
    if integer:
        return int(text)
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise error_at(event.start_mark, f"{text} is larger than any number may be")
    return value


def is_plain(event: Any) -> bool:
    """Whether a scalar stands without quotes."""
    return event.style in {None, ""}


def error_at(mark: Mark, text: str) -> YamlTextError:
    """What is wrong at a place, counted from 1."""
    return YamlTextError(f"line {mark.line + 1}, column {mark.column + 1}: {text}")


def tag_error(event: Any) -> YamlTextError:
    """That an event's tag is not taken."""
    tag = event.tag.replace(TAG, "!!")
    text = f"the tag {tag} is not taken: a manifest has the values JSON has"
    return error_at(event.start_mark, text)
