"""Runs an operator through what its contract demands, and says each breach in a sentence.

    check_operator(Gain(gain_db=3), [Audio(…), Audio(…)])

Each performance is a stage of its own on virtual time, with a fresh instance. Source: US1, FR-002.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.errors import RemoteMediaError, UsageError
from engine.operator import Operator
from engine.payloads import kind_of
from engine.registry import resolve, target_of
from engine.testing.leaks import Footprint
from engine.testing.script import Script, Send, SendGroup
from engine.testing.stage_bench import StageBench
from engine.testing.virtual import HangError, run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from engine.payloads import Payload
    from engine.testing.recording import Recording

    #: A payload for the first port, or payloads by input port that belong together.
    Input: TypeAlias = Payload | Mapping[str, Payload]

#: Seconds between payloads that come without a script, as from a source of 50 packets a second.
INTERVAL_S = 0.02
INTERVAL_NS = round(INTERVAL_S * 1e9)
#: Virtual time an operator gets to come to its end, once its inputs have ended.
PATIENCE_S = 60.0
_NODE = "node"
_SHOWN_CHARS_MAX = 100


class ContractError(AssertionError):
    """An operator does not keep its contract.

    Attributes:
        breaches: what is wrong, a sentence each.
    """

    def __init__(self, name: str, breaches: Iterable[str]) -> None:
        self.breaches = tuple(breaches)
        lines = "\n".join(f"  - {breach}" for breach in self.breaches)
        super().__init__(f"{name} does not keep the contract of an operator:\n{lines}")


def check_operator(
    operator: Operator | type[Operator],
    inputs: Iterable[Input] | Script,
    *,
    silent: bool = False,
    outlasts_interrupts: bool = False,
) -> None:
    """Hold an operator to its contract. Call it outside a running loop.

    Args:
        operator: an instance, of which only the params are used, or a class that needs none.
        inputs: payloads for its first port, payloads by port that belong together, or a script;
            enough to make it say something.
        silent: whether it may say nothing to them.
        outlasts_interrupts: whether what it keeps is meant to outlast an interrupt, as a file that
            it writes does, so that it need not be as if it had just begun.

    Raises:
        ContractError: it does not keep it; has every breach found.
    """
    breaches = breaches_of(operator, inputs, silent=silent, outlasts_interrupts=outlasts_interrupts)
    if breaches:
        cls = operator if isinstance(operator, type) else type(operator)
        raise ContractError(cls.__name__, breaches)


def breaches_of(
    operator: Operator | type[Operator],
    inputs: Iterable[Input] | Script,
    *,
    silent: bool = False,
    outlasts_interrupts: bool = False,
) -> list[str]:
    """What `check_operator` would raise, a sentence each; nothing where all is well."""
    if isinstance(operator, type):
        try:
            operator = operator()
        except UsageError as error:
            return [f"a class is checked with its default params, and it has not all: {error}"]
    cls = type(operator)
    found = [*_class_breaches(cls), *_params_breaches(operator)]
    if found:
        return found
    check = _Check(_maker_of(operator), cls, _script_of(inputs))
    return list(check.breaches(silent=silent, outlasts_interrupts=outlasts_interrupts))


def _class_breaches(cls: type[Operator]) -> Iterator[str]:
    """What is wrong with what the class declares."""
    advice = "move it to the top level of a module, under its own name"
    if "<locals>" in cls.__qualname__:
        if cls.portable:
            yield f"no process can import it: it is defined inside a function; {advice}"
    else:
        try:
            if resolve(target_of(cls)) is not cls:
                yield f"{target_of(cls)} is another class, and a process would run that; {advice}"
        except UsageError as error:
            yield f"no process can import it: {error.message}; {advice}"
    if cls.concurrency < 1:
        yield f"concurrency is {cls.concurrency}, and a call needs at least 1"


def _params_breaches(operator: Operator) -> Iterator[str]:
    """What would happen to its params in a manifest."""
    cls = type(operator)
    if not cls.portable:
        return
    try:
        written = operator.params.model_dump(mode="json", exclude_unset=True)
        again = cls(**json.loads(json.dumps(written)))
    except (TypeError, ValueError, UsageError) as error:
        yield f"its params do not survive JSON, so no manifest can say them: {error}"
        return
    if again.params != operator.params:
        yield (
            f"its params come back from JSON as {again.params!r} and were {operator.params!r}: give"
            " Params fields of which JSON loses nothing"
        )


def _maker_of(operator: Operator) -> Callable[[], Operator]:
    cls, params = type(operator), operator.params
    if cls.portable:
        written = params.model_dump(mode="json", exclude_unset=True)
        return lambda: cls(**copy.deepcopy(written))
    given = {name: getattr(params, name) for name in params.model_fields_set}
    return lambda: cls(**given)


def _script_of(inputs: Iterable[Input] | Script) -> Script:
    """A script that ends, and whose packets have the media time they would have without cuts."""
    if not isinstance(inputs, Script):
        inputs = Script(
            tuple(
                SendGroup(index * INTERVAL_NS, item)
                if isinstance(item, Mapping)
                else Send(index * INTERVAL_NS, item)
                for index, item in enumerate(inputs)
            )
        )
    if not inputs.ends:
        last_ns = max((entry.at_ns for entry in inputs.entries), default=0)
        inputs = inputs.end(last_ns / 1e9 + INTERVAL_S)
    bench = StageBench({_NODE: _Nothing()}, inputs=[_NODE])
    stamps = iter([packet.timestamp_ns for packet in bench.play(_stamping(inputs)).packets])
    return Script(
        tuple(
            entry._replace(timestamp_ns=next(stamps))
            if isinstance(entry, Send | SendGroup)
            else entry
            for entry in inputs.entries
        )
    )


def _stamping(script: Script) -> Script:
    """The same, a packet for each entry, through an operator of one port."""
    entries: list[Any] = []
    for entry in script.entries:
        match entry:
            case Send():
                entries.append(entry._replace(node=None, port=None))
            case SendGroup(at_ns, payloads, _, timestamp_ns):
                lead = max(payloads.values(), key=lambda payload: kind_of(payload) == "audio")
                entries.append(Send(at_ns, lead, timestamp_ns=timestamp_ns))
    return Script(tuple(entries))


class _Nothing(Operator):
    """Hands on what it gets."""

    def process(self, packet: Any, ctx: Any) -> Any:
        return packet


class _Check:
    """The performances of one operator, and what is seen in them."""

    def __init__(self, make: Callable[[], Operator], cls: type[Operator], script: Script) -> None:
        self._make = make
        self._cls = cls
        self._script = script
        self._inputs = [payload for entry in script.entries for payload in _payloads(entry)]
        self._before = copy.deepcopy(self._inputs)

    def breaches(self, *, silent: bool, outlasts_interrupts: bool) -> Iterator[str]:
        """All that is found; where it cannot even run, that alone."""
        yield from self._lifecycle()
        try:
            first = self._perform(self._script)
        except _BreachError as breach:
            yield str(breach)
            return
        if not first.events and self._make().outputs and not silent:
            yield "nothing came out of these inputs, so they prove nothing: give it others"
        yield from self._outputs(first)
        footprint = Footprint.take(all_processes=True)
        for look in (self._again, *(() if outlasts_interrupts else (self._after_interrupt,))):
            try:
                yield from look(first)
            except _BreachError as breach:
                yield str(breach)
        yield from (
            f"behind cleanup it leaves {left}"
            for left in Footprint.take(all_processes=True).more_than(footprint)
        )
        if self._inputs != self._before:
            yield (
                "it has changed its inputs, which other nodes read, too: copy them, or write into"
                " ctx.empty(…)"
            )

    def _lifecycle(self) -> Iterator[str]:
        """Starts that end early, and streams without a packet."""
        try:
            run_virtual(self._make().cleanup())
        except Exception as error:  # noqa: BLE001 - whatever an operator raises is its breach
            yield (
                f"cleanup raised {error!r} although initialize had done nothing: it is called after"
                " a failed start, too"
            )
        end = [entry for entry in self._script.entries if not _payloads(entry)]
        try:
            self._perform(Script(tuple(end)))
        except _BreachError as breach:
            yield f"of a stream without a packet: {breach}"

    def _outputs(self, recording: Recording) -> Iterator[str]:
        """What came out, against what the class declares."""
        emits, accepts = self._cls.emits, self._cls.accepts
        for kind in sorted({kind_of(payload) for payload in recording.payloads}):
            passed_on = accepts is not None and kind not in accepts
            if emits is not None and kind not in emits and not passed_on:
                yield f"{kind} came out, and it declares emits = {_listed(emits)}"
        taken = [len(_payloads(entry)) for entry in self._script.entries]
        count = sum(map(bool, taken)) if self._cls.joins else sum(taken)
        if self._cls.rate == "one_to_one" and len(recording.events) != count:
            yield (
                f"it declares rate one_to_one, and {len(recording.events)} packets came out of"
                f" {count}"
            )

    def _again(self, first: Recording) -> Iterator[str]:
        """The same inputs must give the same outputs."""
        difference = _difference(_said(self._perform(self._script)), _said(first))
        if difference:
            yield f"the same inputs gave something else the second time: {difference}"

    def _after_interrupt(self, first: Recording) -> Iterator[str]:
        """After an interrupt it must be as if it had just begun."""
        sends = [entry for entry in self._script.entries if _payloads(entry)]
        if not sends:
            return
        cut_ns = sends[(len(sends) - 1) // 2].at_ns
        begun = Script(tuple(entry for entry in self._script.entries if entry.at_ns <= cut_ns))
        cut_s = cut_ns / 1e9 + INTERVAL_S / 2
        script = Script(tuple(entry for entry in begun.entries if _payloads(entry)))
        script = script.interrupt(cut_s) + self._script.shifted(cut_s)
        difference = _difference(_said(self._perform(script), generation=1), _said(first))
        if difference:
            remedy = "forget it in reset(ctx)"
            if not self._cls.stateful:
                remedy += ", and declare stateful = True"
            yield f"after an interrupt it still knows what came before: {difference}; {remedy}"

    def _perform(self, script: Script) -> Recording:
        """Play a script to a fresh instance.

        Raises:
            _BreachError: it raised, or did not come to its end.
        """
        try:
            return run_virtual(self._play(script))
        except HangError as error:
            raise _BreachError(f"it never comes to its end: {error}") from error
        except RemoteMediaError as error:
            raise _BreachError(error.message) from error

    async def _play(self, script: Script) -> Recording:
        bench = StageBench({_NODE: self._make()}, started=False)
        try:
            await bench.initialize()
            last_s = max(entry.at_ns for entry in script.entries) / 1e9
            recording = await bench.aplay(script, until_s=last_s + PATIENCE_S)
        finally:
            await bench.cleanup()
        if recording.ended_ns is None:
            raise _BreachError(f"it has not ended {PATIENCE_S:g} s after its inputs had")
        return recording


class _BreachError(Exception):
    """A performance that could not go on."""


def _payloads(entry: Any) -> list[Payload]:
    if isinstance(entry, Send):
        return [entry.payload]
    return list(entry.payloads.values()) if isinstance(entry, SendGroup) else []


def _said(recording: Recording, generation: int = 0) -> list[tuple[Any, ...]]:
    """What came out of one generation, as it is compared; order between ports may differ."""
    packets = [packet for packet in recording.packets if packet.generation >= generation]
    return sorted(
        ((str(each.source), each.index, each.payload, dict(each.metadata)) for each in packets),
        key=lambda said: said[0],
    )


def _difference(got: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> str:
    """The first difference in words, or "" where there is none."""
    for index, (one, other) in enumerate(zip(got, expected, strict=False)):
        if one != other:
            return f"output {index} is {_shown(one)}, and of a fresh instance {_shown(other)}"
    if len(got) != len(expected):
        return f"{len(got)} packets came out, and of a fresh instance {len(expected)}"
    return ""


def _shown(said: tuple[Any, ...]) -> str:
    where, index, payload, metadata = said
    text = f"{payload!r}"[:_SHOWN_CHARS_MAX]
    return f"{text} ({where} {index}{', ' + repr(metadata) if metadata else ''})"


def _listed(kinds: frozenset[str]) -> str:
    return "{" + ", ".join(sorted(kinds)) + "}"
