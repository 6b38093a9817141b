"""What came out, and when; and how that is compared with what was expected.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.payloads import PAYLOAD_TYPES
from engine.testing.script import TIMESPAN_S, named_value, parse_marbles, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine.packet import Packet
    from engine.payloads import Payload

#: Differences that a failed expectation shows.
DIFFERENCES_MAX = 10
#: A value is drawn as itself in a line of marbles if it is not longer; else it gets a name.
MARBLE_CHARS_MAX = 8
#: Characters of a payload's repr that are shown.
SHOWN_CHARS_MAX = 120
_MARBLE_SYNTAX = set("-(),|# ")


class Event(NamedTuple):
    """A packet that came out.

    Attributes:
        at_ns: when, from the script's beginning.
        packet: what.
        where: the node and port it came out of.
    """

    at_ns: int
    packet: Packet
    where: str


class Expected(NamedTuple):
    """One marble of an expectation: a name from its table, and what that stands for."""

    at_ns: int
    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Recording:
    """What came out while a script was played.

    Attributes:
        events: the packets, in order of time.
        sent: (seconds, payload) of what was sent, when it had found its credit.
        ended_ns: when everything had come out; None: it was stopped or failed before.
        error: what the pipeline or the source failed with.
        failed_ns: when.
    """

    events: tuple[Event, ...]
    sent: tuple[tuple[float, Payload], ...] = ()
    ended_ns: int | None = None
    error: Exception | None = None
    failed_ns: int | None = None

    @property
    def timed(self) -> list[tuple[float, Payload]]:
        """(seconds, payload) of what came out."""
        return [(event.at_ns / 1e9, event.packet.payload) for event in self.events]

    @property
    def times_s(self) -> list[float]:
        """When each packet came out, in seconds."""
        return [event.at_ns / 1e9 for event in self.events]

    @property
    def packets(self) -> list[Packet]:
        """The packets."""
        return [event.packet for event in self.events]

    @property
    def payloads(self) -> list[Payload]:
        """Their payloads."""
        return [event.packet.payload for event in self.events]

    @property
    def values(self) -> list[Any]:
        """Texts and JSON values as they are, other payloads whole."""
        return [value_of(payload) for payload in self.payloads]

    @property
    def ended_s(self) -> float | None:
        """When everything had come out, in seconds; None: see `ended_ns`."""
        return None if self.ended_ns is None else self.ended_ns / 1e9

    def of(self, where: str) -> Recording:
        """What came out of one node, or of one of its ports: "node" or "node.port"."""
        events = tuple(
            event
            for event in self.events
            if event.where == where or event.where.rpartition(".")[0] == where
        )
        return Recording(events, self.sent, self.ended_ns, self.error, self.failed_ns)

    # --- expectations ---------------------------------------------------------------------------

    def expect(
        self,
        expected: str | Sequence[tuple[float, Any]],
        values: Mapping[str, Any] | None = None,
        *,
        timespan_s: float = TIMESPAN_S,
    ) -> None:
        """Compare with a line of marbles, or with a list of (seconds, value).

        A line says also how it ends: `|` the end, `#` an error, neither: stopped before. A list
        says nothing of that.

        Args:
            expected: the line or the list. A value may be a payload, or a text or JSON value.
            values: name in the line → value; a name without one stands for itself.
            timespan_s: seconds a character of the line, and of what a failure shows.

        Raises:
            UsageError: it is no line of marbles.
            AssertionError: it differs; shows both as lines of marbles, and the first differences.
        """
        names = {str(name): value for name, value in (values or {}).items()}
        got: list[Event | Expected]
        if isinstance(expected, str):
            marbles = [
                Expected(at_ns, str(name), named_value(name, names))
                for at_ns, name in parse_marbles(expected, timespan_s)
            ]
            got = self._marbles()
        else:
            marbles = [Expected(round(at_s * 1e9), "", value) for at_s, value in expected]
            got = [*self.events]
        differences = list(itertools.islice(_differences(marbles, got), DIFFERENCES_MAX))
        if differences:
            raise AssertionError(_failure(marbles, got, names, timespan_s, differences))

    def marbles(
        self, values: Mapping[str, Any] | None = None, *, timespan_s: float = TIMESPAN_S
    ) -> str:
        """What came out, as a line of marbles; those of two characters in a row stand side by side.

        Args:
            values: name → payload or value, by which packets are named; others are named by their
                short text, or "?1", "?2" and so on.
            timespan_s: seconds a character.
        """
        drawing = _Drawing({str(name): value for name, value in (values or {}).items()})
        return drawing.line(self._marbles(), timespan_s)

    def _marbles(self) -> list[Event | Expected]:
        return [*self.events, *self._end()]

    def _end(self) -> list[Expected]:
        if self.failed_ns is not None:
            return [Expected(self.failed_ns, "#", self.error)]
        return [] if self.ended_ns is None else [Expected(self.ended_ns, "|", None)]


class _Drawing:
    """Names what a line of marbles shows; the same thing gets the same name in each line."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = dict(names)
        self.legend: dict[str, str] = {}

    def line(self, marbles: Iterable[Event | Expected], timespan_s: float) -> str:
        """Draw marbles; those of one character's time stand in a group."""
        span_ns = round(timespan_s * 1e9)
        line = ""
        for position, together in itertools.groupby(marbles, lambda each: each.at_ns // span_ns):
            line += "-" * (position - len(line))
            names = [self._name(marble) for marble in together]
            line += names[0] if len(names) == 1 else f"({','.join(names)})"
        return line

    def _name(self, marble: Event | Expected) -> str:
        if isinstance(marble, Expected) and marble.name:
            return marble.name
        value = marble.packet.payload if isinstance(marble, Event) else marble.value
        known = next((name for name, other in self._names.items() if _same(other, value)), None)
        if known is not None:
            return known
        text = str(value_of(value))
        if not 0 < len(text) <= MARBLE_CHARS_MAX or _MARBLE_SYNTAX & set(text):
            text = f"?{len(self.legend) + 1}"
            self.legend[text] = _shown(value)
        self._names[text] = value
        return text


def _differences(expected: Sequence[Expected], got: Sequence[Event | Expected]) -> Iterator[str]:
    """Where the two part, in words, in order of time."""
    wanted, came = list(expected), list(got)
    while wanted or came:
        if wanted and came and wanted[0].at_ns == came[0].at_ns:
            marble, event = wanted.pop(0), came.pop(0)
            if not _matches(marble, event):
                at = f"{marble.at_ns / 1e9:g} s"
                yield f"at {at}: expected {_expected(marble)}, got {_got(event)}"
        elif wanted and (not came or wanted[0].at_ns < came[0].at_ns):
            marble = wanted.pop(0)
            yield f"at {marble.at_ns / 1e9:g} s: expected {_expected(marble)}, got nothing"
        else:
            event = came.pop(0)
            yield f"at {event.at_ns / 1e9:g} s: expected nothing, got {_got(event)}"


def _matches(expected: Expected, got: Event | Expected) -> bool:
    if isinstance(got, Expected) or expected.name in {"|", "#"}:
        return isinstance(got, Expected) and got.name == expected.name
    return _same(expected.value, got.packet.payload)


def _same(value: Any, payload: Any) -> bool:
    if type(value) in PAYLOAD_TYPES or type(payload) not in PAYLOAD_TYPES:
        return type(value) is type(payload) and bool(value == payload)
    inside = value_of(payload)
    return inside is not payload and bool(inside == value)


def _expected(marble: Expected) -> str:
    ends = {"|": "the end", "#": "an error"}
    if marble.name in ends:
        return ends[marble.name]
    return _shown(marble.value)


def _got(event: Event | Expected) -> str:
    if isinstance(event, Event):
        return _shown(event.packet.payload)
    return "the end" if event.name == "|" else f"an error: {event.value!r}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]}…"


def _failure(
    expected: Sequence[Expected],
    got: Sequence[Event | Expected],
    names: Mapping[str, Any],
    timespan_s: float,
    differences: Sequence[str],
) -> str:
    drawing = _Drawing(names)
    lines = [
        f"what came out is not what was expected (a character is {timespan_s:g} s):",
        f"  expected  {drawing.line(expected, timespan_s)}",
        f"  got       {drawing.line(got, timespan_s)}",
        *(f"  {name} is {text}" for name, text in drawing.legend.items()),
        *(f"  {difference}" for difference in differences),
    ]
    return "\n".join(lines)
