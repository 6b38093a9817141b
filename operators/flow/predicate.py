"""A small language for questions about a packet: written in JSON, compiled once, asked often.

Pure: no I/O, no clock, no eval. Source: FR-002, FR-006.

    {"kind": "audio"}                            its payload is of this kind; also a list of kinds
    {"metadata": {"lang": "en"}}                 its metadata has these strings
    {"field": "speech.has_speech", "equals": true}      a value inside its JSON, by a dotted path
    {"text": {"matches": "^turn (on|off)"}}      its text
    {"not": …}  {"all": […]}  {"any": […]}       the opposite; every one; at least one
    "package.module:function"                    whatever function(packet) says

A value (`field`, `text`, an entry of `metadata`) is tested by any of these, all of which must hold:

    equals  ne  in              as JSON: 1 is 1.0, but not true
    gt  ge  lt  le              numbers among each other, or strings
    matches                     a regular expression, found anywhere in a string
    exists                      true or false: whether there is a value at all

Where there is no value, or one of another type than a test is for, the test does not hold; only
`{"exists": false}` holds of a value that is missing.
"""

from __future__ import annotations

import contextlib
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AfterValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from engine.payloads import KINDS, Json, Text
from engine.reach import Reach
from engine.wording import suggestion
from operators.flow.importable import check_target
from operators.flow.json_path import MISSING, is_number, look_up, parse_path, same_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.packet import Packet

#: A compiled question.
Predicate: TypeAlias = Callable[["Packet"], bool]
#: Gives the function that "module:function" names.
Load: TypeAlias = Callable[[str], Callable[..., Any]]
#: Keys and list positions, outermost first: where in a document something stands.
Location: TypeAlias = tuple[str | int, ...]
Test: TypeAlias = Callable[[Any], bool]

#: More parts than this, or deeper ones, are not looked at.
PARTS_MAX = 1_000
DEPTH_MAX = 32
#: A longer regular expression is somebody's mistake.
PATTERN_CHARS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a document.

    Attributes:
        location: where.
        message: what would be right.
        value: what stands there.
    """

    location: Location
    message: str
    value: Any


class PredicateError(ValueError):
    """A document that is no predicate; has every fault found in it."""

    def __init__(self, faults: list[Fault]) -> None:
        where = "; ".join(
            f"{'.'.join(str(part) for part in fault.location) or 'the predicate'} {fault.message}"
            for fault in faults
        )
        super().__init__(where)
        self.faults = tuple(faults)


def compile_predicate(document: Any, load: Load) -> Predicate:
    """Make a function of a document.

    Args:
        document: JSON values, see the module.
        load: asked for each function the document names.

    Returns:
        A function that tells whether a packet is meant. It raises only what a named function does.

    Raises:
        PredicateError: the document is no predicate.
    """
    compiler = _Compiler(load)
    predicate = compiler.predicate(document, ())
    if compiler.faults:
        raise PredicateError(compiler.faults)
    return predicate


def predicate_reaches(param: str, document: Any) -> list[Reach]:
    """The functions that a document names, which may be no predicate; see `Operator.reaches`.

    Args:
        param: where the document stands.
        document: of any type.
    """
    found: list[Reach] = []

    def note(target: str) -> Predicate:
        found.append(Reach(param, "import", target))
        return _never

    with contextlib.suppress(PredicateError):
        compile_predicate(document, note)
    return found


def _never(_: Any) -> bool:
    """What stands for a part that is at fault."""
    return False


def _checked(document: Any) -> Any:
    """Give a valid document back; the faults of another each have their own path."""
    try:
        compile_predicate(document, lambda _: _never)
    except PredicateError as error:
        details = [
            InitErrorDetails(
                type=PydanticCustomError("predicate", fault.message),
                loc=fault.location,
                input=fault.value,
            )
            for fault in error.faults
        ]
        raise ValidationError.from_exception_data("predicate", details) from error
    return document


#: A param that is a predicate; kept as it was written. The functions it names are not imported.
PredicateDocument = Annotated[Any, AfterValidator(_checked)]


class _Compiler:
    """Compiles one document and collects what is wrong with it."""

    def __init__(self, load: Load) -> None:
        self.faults: list[Fault] = []
        self._load = load
        self._parts = 0
        self._forms: dict[str, Callable[[Any, Location], Predicate]] = {
            "kind": self._kind,
            "metadata": self._metadata,
            "text": self._text,
            "not": self._not,
            "all": self._all,
            "any": self._any,
        }

    def predicate(self, document: Any, where: Location) -> Predicate:
        """Compile a part of the document."""
        self._parts += 1
        if self._parts > PARTS_MAX or len(where) > 2 * DEPTH_MAX:
            if self._parts <= PARTS_MAX + 1:
                self._fault(where, "is one part too many, or too deep", document)
            return _never
        if isinstance(document, str):
            return self._function(document, where)
        if not isinstance(document, dict):
            return self._fault(where, 'must be an object or "module:function"', document)
        return self._object(document, where)

    def _object(self, document: Mapping[str, Any], where: Location) -> Predicate:
        if "field" in document:
            return self._field(document, where)
        known = (*self._forms, "field")
        if len(document) != 1:
            hint = 'join several by {"all": […]} or {"any": […]}' if document else "it is empty"
            text = f"must have exactly one of {', '.join(known)}; {hint}"
            return self._fault(where, text, document)
        form, argument = next(iter(document.items()))
        if form in self._forms:
            return self._forms[form](argument, (*where, form))
        text = f"is no kind of predicate{suggestion(str(form), known, 'kinds')}"
        return self._fault((*where, str(form)), text, argument)

    def _fault(self, where: Location, message: str, value: Any) -> Predicate:
        self.faults.append(Fault(where, message, value))
        return _never

    # --- forms --------------------------------------------------------------------------------

    def _function(self, target: str, where: Location) -> Predicate:
        try:
            check_target(target)
        except ValueError as error:
            return self._fault(where, str(error), target)
        function = self._load(target)
        return lambda packet: bool(function(packet))

    def _kind(self, argument: Any, where: Location) -> Predicate:
        names = argument if isinstance(argument, list) else [argument]
        if not names:
            return self._fault(where, "must name at least one payload kind", argument)
        for name in names:
            if not isinstance(name, str) or name not in KINDS:
                hint = suggestion(str(name), KINDS, "kinds")
                return self._fault(where, f"must be a payload kind{hint}", name)
        types = frozenset(KINDS[name] for name in names)
        return lambda packet: type(packet.payload) in types

    def _metadata(self, argument: Any, where: Location) -> Predicate:
        if not isinstance(argument, dict) or not argument:
            return self._fault(where, 'must be an object like {"lang": "en"}', argument)
        tests = [
            (key, self._string_test(wanted, (*where, key))) for key, wanted in argument.items()
        ]
        return lambda packet: all(test(packet.metadata.get(key, MISSING)) for key, test in tests)

    def _text(self, argument: Any, where: Location) -> Predicate:
        test = self._string_test(argument, where)
        return lambda packet: isinstance(packet.payload, Text) and test(packet.payload.text)

    def _field(self, document: Mapping[str, Any], where: Location) -> Predicate:
        text = document["field"]
        try:
            path = parse_path(text) if isinstance(text, str) else None
        except ValueError as error:
            return self._fault((*where, "field"), str(error), text)
        if path is None:
            return self._fault((*where, "field"), "must be a dotted path, a string", text)
        test = self._tests({key: document[key] for key in document if key != "field"}, where)
        return lambda packet: test(
            look_up(packet.payload.value, path) if isinstance(packet.payload, Json) else MISSING
        )

    def _not(self, argument: Any, where: Location) -> Predicate:
        inner = self.predicate(argument, where)
        return lambda packet: not inner(packet)

    def _all(self, argument: Any, where: Location) -> Predicate:
        parts = self._list(argument, where)
        return lambda packet: all(part(packet) for part in parts)

    def _any(self, argument: Any, where: Location) -> Predicate:
        parts = self._list(argument, where)
        return lambda packet: any(part(packet) for part in parts)

    def _list(self, argument: Any, where: Location) -> list[Predicate]:
        if not isinstance(argument, list) or not argument:
            return [self._fault(where, "must be a list of predicates, not empty", argument)]
        return [self.predicate(part, (*where, index)) for index, part in enumerate(argument)]

    # --- tests of a value ---------------------------------------------------------------------

    def _string_test(self, wanted: Any, where: Location) -> Test:
        """A test of a string: one it must be equal to, or an object of tests."""
        if isinstance(wanted, str):
            return lambda value: bool(value == wanted)
        if isinstance(wanted, dict):
            return self._tests(wanted, where)
        return self._fault(where, f"must be a string, or an object of {_tests_named()}", wanted)

    def _tests(self, document: Mapping[str, Any], where: Location) -> Test:
        if not document:
            return self._fault(where, f"must say what to test: {_tests_named()}", document)
        tests = [self._test(name, document[name], (*where, str(name))) for name in document]
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def _test(self, name: str, operand: Any, where: Location) -> Test:
        make = _TESTS.get(name)
        if make is None:
            hint = suggestion(str(name), _TESTS, "tests")
            return self._fault(where, f"is no test of a value{hint}", operand)
        try:
            return make(operand)
        except ValueError as error:
            return self._fault(where, str(error), operand)


def _equals(operand: Any) -> Test:
    return lambda value: same_json(value, operand)


def _ne(operand: Any) -> Test:
    return lambda value: value is not MISSING and not same_json(value, operand)


def _in(operand: Any) -> Test:
    if not isinstance(operand, list) or not operand:
        raise ValueError("must be a list of values, not empty")
    return lambda value: any(same_json(value, one) for one in operand)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Test]:
    def make(operand: Any) -> Test:
        if isinstance(operand, str):
            return lambda value: isinstance(value, str) and compare(value, operand)
        if is_number(operand):
            return lambda value: is_number(value) and compare(value, operand)
        raise ValueError("must be a number or a string")

    return make


def _matches(operand: Any) -> Test:
    if not isinstance(operand, str):
        raise ValueError("must be a regular expression, a string")  # noqa: TRY004 - bad data
    if len(operand) > PATTERN_CHARS_MAX:
        raise ValueError(f"must have at most {PATTERN_CHARS_MAX} characters, has {len(operand)}")
    try:
        pattern = re.compile(operand)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return lambda value: isinstance(value, str) and pattern.search(value) is not None


def _exists(operand: Any) -> Test:
    if not isinstance(operand, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - bad data
    return lambda value: (value is not MISSING) is operand


_TESTS: dict[str, Callable[[Any], Test]] = {
    "equals": _equals,
    "ne": _ne,
    "in": _in,
    "gt": _ordered(operator.gt),
    "ge": _ordered(operator.ge),
    "lt": _ordered(operator.lt),
    "le": _ordered(operator.le),
    "matches": _matches,
    "exists": _exists,
}


def _tests_named() -> str:
    return ", ".join(_TESTS)
