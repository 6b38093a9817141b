"""What a stage waits for, in words: read by whoever asks why nothing moves.

Pure: no I/O, no clock. It looks and changes nothing, so that asking is safe at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.adapters import OperatorAdapter
    from engine.stage_ends import Entry, Exit


class Waiting(NamedTuple):
    """One thing that a stage waits for.

    Attributes:
        kind: what must come: a credit from a consumer, the answer of an asynchronous call, a due
            timer, or a packet (or the end) from a producer.
        where: id of the edge, or of the node whose call or timer it is.
        text: the same as a phrase, behind "waits for".
    """

    kind: Literal["credit", "call", "timer", "input"]
    where: str
    text: str

    def __str__(self) -> str:
        return self.text


def waiting_of(
    entries: Sequence[Entry],
    exits: Sequence[Exit],
    adapters: Sequence[OperatorAdapter],
    timer: tuple[int, str] | None,
    now_ns: int,
) -> Iterator[Waiting]:
    """What a stage that is not done waits for, the most urgent first.

    Args:
        entries: the stage's sides of its in edges.
        exits: the stage's sides of its out edges.
        adapters: its nodes.
        timer: when the next timer is due, on the host's clock, and its node; None if there is none.
        now_ns: the host's clock.
    """
    yield from (waiting for exit_ in exits if (waiting := _credit(exit_)) is not None)
    yield from (_call(adapter, now_ns) for adapter in adapters if adapter.calls)
    if timer is not None:
        due_ns, node_id = timer
        text = f"a timer of node {node_id!r}, due in {(due_ns - now_ns) / 1e9:g} s"
        yield Waiting("timer", node_id, text)
    yield from (_input(entry) for entry in entries if not entry.ended)


def _credit(exit_: Exit) -> Waiting | None:
    sender = exit_.sender
    taken = sender.statistics().in_flight + sender.statistics().queued
    if not exit_.queue and taken < sender.capacity:
        return None
    behind = f", and {len(exit_.queue)} more wait behind it" if exit_.queue else ""
    edge, of_all = sender.edge_id, f"{taken} of {sender.capacity}"
    return Waiting("credit", edge, f"a credit of edge {edge!r}: its consumer has {of_all}{behind}")


def _call(adapter: OperatorAdapter, now_ns: int) -> Waiting:
    call = adapter.calls[0]
    doing = "flush" if call.packet is None else "process"
    more = f", and {len(adapter.calls) - 1} more wait behind it" if len(adapter.calls) > 1 else ""
    since_s = (now_ns - call.started_ns) / 1e9
    text = f"{doing} of node {adapter.node_id!r}, silent for {since_s:g} s{more}"
    return Waiting("call", adapter.node_id, text)


def _input(entry: Entry) -> Waiting:
    receiver = entry.receiver
    text = f"a packet, or the end, of edge {receiver.edge_id!r} to node {entry.adapter.node_id!r}"
    return Waiting("input", receiver.edge_id, text)
