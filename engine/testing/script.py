"""What a scripted source does, and when: entries at virtual times, or a line of marbles.

Pure: no I/O, no clock.

    Script().send(0.5, Text("a")).send(1, Text("b")).end(2)
    Script.marbles("-a--(b,c)-|", {"a": Audio(…), "b": Text("x"), "c": Text("y")})

A line of marbles is reactivex's: each character is one `timespan_s`, `-` lets time pass, `|` ends,
`#` fails, a group has the time of its bracket, spaces only align; a name may be longer than one
character, so that `ab` is one. A name that is not in the table stands for itself: `a` for
Text("a"), `7` for Json(7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from reactivex.notification import OnCompleted, OnError
from reactivex.observable import marbles as reactivex_marbles

from engine.errors import UsageError
from engine.packet import NO_METADATA
from engine.payloads import PAYLOAD_TYPES, Json, Text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from engine.payloads import Payload

#: How long one character of a line of marbles is.
TIMESPAN_S = 0.1


class ScriptedError(Exception):
    """What a scripted source raises where a script says that it fails, and not by what."""


class Send(NamedTuple):
    """Send one payload."""

    at_ns: int
    payload: Payload
    node: str | None = None
    port: str | None = None
    timestamp_ns: int | None = None
    metadata: Mapping[str, str] = NO_METADATA


class SendGroup(NamedTuple):
    """Send payloads for several ports of one node that belong together."""

    at_ns: int
    payloads: Mapping[str, Payload]
    node: str | None = None
    timestamp_ns: int | None = None
    metadata: Mapping[str, str] = NO_METADATA


class End(NamedTuple):
    """End the input."""

    at_ns: int
    node: str | None = None


class Fail(NamedTuple):
    """The source raises."""

    at_ns: int
    error: Exception


class Interrupt(NamedTuple):
    """Make stale what is under way."""

    at_ns: int


class Call(NamedTuple):
    """Call something with what the script is played to: a session, or a bench."""

    at_ns: int
    function: Callable[[Any], Awaitable[object] | object]


Entry: TypeAlias = Send | SendGroup | End | Fail | Interrupt | Call


@dataclass(frozen=True, slots=True)
class Script:
    """What a source does, in order of time; never changed: each method gives a longer one.

    Attributes:
        entries: what happens, sorted by time; what happens at one time keeps its order.
    """

    entries: tuple[Entry, ...] = field(default=())

    @classmethod
    def marbles(
        cls,
        line: str,
        values: Mapping[str, Any] | None = None,
        *,
        timespan_s: float = TIMESPAN_S,
        node: str | None = None,
        port: str | None = None,
        error: Exception | None = None,
    ) -> Script:
        """A script out of a line of marbles.

        Args:
            line: such as "-a--b-|".
            values: name → payload; or a text, or what a Json may hold.
            timespan_s: seconds a character.
            node: the ingress node all of it is for; may be left out if there is only one.
            port: its input port.
            error: what `#` raises.

        Raises:
            UsageError: it is no line of marbles.
        """
        entries: list[Entry] = []
        for at_ns, name in parse_marbles(line, timespan_s):
            if name == "|":
                entries.append(End(at_ns, node))
            elif name == "#":
                entries.append(Fail(at_ns, error or ScriptedError("the script says #")))
            else:
                payload = payload_of(named_value(name, values or {}))
                entries.append(Send(at_ns, payload, node, port))
        return cls(tuple(entries))

    def send(
        self,
        at_s: float,
        *payloads: Payload,
        node: str | None = None,
        port: str | None = None,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> Script:
        """Send payloads, all at one time.

        Args:
            at_s: when, in seconds from the beginning.
            payloads: what.
            node: the ingress node; may be left out if there is only one.
            port: its input port.
            timestamp_ns: media time; None: as `Session.send` does it.
            metadata: strings that travel with each.
        """
        at_ns = _ns(at_s)
        return self._with(
            Send(at_ns, payload, node, port, timestamp_ns, metadata) for payload in payloads
        )

    def send_every(
        self, interval_s: float, payloads: Iterable[Payload], *, start_s: float = 0.0, **where: Any
    ) -> Script:
        """Send payloads one after the other, as a microphone or a camera does.

        Args:
            interval_s: between two of them.
            payloads: what.
            start_s: when the first one is sent.
            where: `node` and `port`, see `send`.
        """
        return self._with(
            Send(_ns(start_s + index * interval_s), payload, **where)
            for index, payload in enumerate(payloads)
        )

    def send_group(
        self,
        at_s: float,
        payloads: Mapping[str, Payload],
        *,
        node: str | None = None,
        timestamp_ns: int | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> Script:
        """Send payloads for several ports of a node as one group: input port → payload."""
        group = SendGroup(_ns(at_s), dict(payloads), node, timestamp_ns, metadata)
        return self._with([group])

    def end(self, at_s: float, *, node: str | None = None) -> Script:
        """End the input, so that operators are flushed.

        Args:
            at_s: when.
            node: end only this in edge of a bench; a session's input ends with the last node that
                the script ends by name.
        """
        return self._with([End(_ns(at_s), node)])

    def fail(self, at_s: float, error: Exception | None = None) -> Script:
        """Let the source raise."""
        return self._with([Fail(_ns(at_s), error or ScriptedError(f"scripted at {at_s:g} s"))])

    def interrupt(self, at_s: float) -> Script:
        """Interrupt: what was sent before is stale."""
        return self._with([Interrupt(_ns(at_s))])

    def call(self, at_s: float, function: Callable[[Any], Awaitable[object] | object]) -> Script:
        """Call a function, or a coroutine function, with the session or the bench."""
        return self._with([Call(_ns(at_s), function)])

    def shifted(self, by_s: float) -> Script:
        """The same, later."""
        by_ns = _ns(by_s)
        return Script(tuple(entry._replace(at_ns=entry.at_ns + by_ns) for entry in self.entries))

    def stalled(self, at_s: float, for_s: float | None = None) -> Script:
        """The same by a source that stalls: what comes from `at_s` on is late, or never comes.

        Args:
            at_s: when it stalls.
            for_s: for how long; None: for ever, without an end.
        """
        before = tuple(entry for entry in self.entries if entry.at_ns < _ns(at_s))
        if for_s is None:
            return Script(before)
        return Script(before) + Script(self.entries[len(before) :]).shifted(for_s)

    def cut(self, at_s: float) -> Script:
        """The same by a source that ends early: at `at_s`, before what would come then."""
        before = tuple(entry for entry in self.entries if entry.at_ns < _ns(at_s))
        return Script(before).end(at_s)

    def __add__(self, other: Script) -> Script:
        """Both at once: scripts of two sources."""
        return self._with(other.entries)

    @property
    def ends(self) -> bool:
        """Whether the input ends, by its end or by an error."""
        return any(isinstance(entry, End | Fail) for entry in self.entries)

    def check_stop(self, until_s: float | None) -> None:
        """See that it comes to an end where nobody says when to stop.

        Raises:
            UsageError: it does not.
        """
        if until_s is None and not self.ends:
            raise UsageError(
                "the script never ends its input: end it with .end(at_s), with | in its marbles, or"
                " say until_s"
            )

    def _with(self, entries: Iterable[Entry]) -> Script:
        return Script(tuple(sorted((*self.entries, *entries), key=lambda entry: entry.at_ns)))


def parse_marbles(line: str, timespan_s: float = TIMESPAN_S) -> list[tuple[int, str | float]]:
    """The marbles of a line: (nanoseconds, name), where `|` and `#` are the ends.

    Raises:
        UsageError: it is no line of marbles.
    """
    brackets = "".join(character for character in line if character in "()")
    if brackets.replace("()", ""):
        raise UsageError(f"{line!r} is no line of marbles: its brackets do not match")
    try:
        messages = reactivex_marbles.parse(line, timespan=timespan_s, raise_stopped=True)
    except ValueError as error:
        raise UsageError(f"{line!r} is no line of marbles: {error}") from error
    return [(_ns(float(at_s)), _name(message)) for at_s, message in messages]  # type: ignore[arg-type]


def named_value(name: str | float, values: Mapping[str, Any]) -> Any:
    """What a marble's name stands for: what the table says, else itself.

    Raises:
        UsageError: it is several names of the table without anything between them.
    """
    text = str(name)
    if text not in values and len(text) > 1 and all(character in values for character in text):
        apart, together = "-".join(text), ",".join(text)
        raise UsageError(
            f"{text!r} is one name in a line of marbles: write {apart}, or ({together}) if they"
            " have one time"
        )
    return values.get(text, name)


def payload_of(value: Any) -> Payload:
    """A payload for a value: itself, Text for a text, Json for anything else."""
    if type(value) in PAYLOAD_TYPES:
        payload: Payload = value
        return payload
    return Text(value) if isinstance(value, str) else Json(value)


def value_of(payload: Payload) -> Any:
    """What is inside a payload: a text, a JSON value, else the payload itself."""
    if isinstance(payload, Text):
        return payload.text
    if isinstance(payload, Json):
        return payload.value
    return payload


def _name(message: Any) -> str | float:
    if isinstance(message, OnCompleted):
        return "|"
    if isinstance(message, OnError):
        return "#"
    name: str | float = message.value
    return name


def _ns(seconds: float) -> int:
    if seconds < 0:
        raise UsageError(f"a script begins at 0 s; {seconds:g} s is before that")
    return round(seconds * 1e9)
