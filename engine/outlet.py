"""An output port inside a stage: a hot observable that pushes to whoever is connected.

Pure: no I/O, no clock. Used in place of reactivex's Subject and share: it is connected once, from
the sinks upward, before anything flows, and loses nothing that is emitted at subscription.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from reactivex import Observable
from reactivex.disposable import Disposable

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

    from engine.adapters import OperatorAdapter
    from engine.packet import Packet, Source


class Inlet(Protocol):
    """What an outlet pushes to."""

    def on_next(self, packet: Packet) -> None:
        """Take one packet; never raises, see `engine.adapters`."""

    def on_completed(self) -> None:
        """The outlet will push nothing more."""


def _nowhere(packet: Packet) -> None:
    """Where an outlet pushes while nobody is connected."""


class Outlet(Observable["Packet"]):
    """One output port of a node, as an observable.

    Attributes:
        source: the node and port whose output it is.
        port: the input port stamped on packets made for it: that of its first consumer. Consumers
            on other ports re-stamp, see `engine.compile`.
        push: pushes one packet to all consumers, in the order in which they were connected.
    """

    def __init__(self, source: Source, port: str) -> None:
        super().__init__()
        self.source = source
        self.port = port
        self.completed = False
        self.push: Callable[[Packet], None] = _nowhere
        self._inlets: tuple[Inlet, ...] = ()
        self._taps: tuple[Inlet, ...] = ()
        self._gate: Callable[[Packet], None] | None = None
        #: Pushes past taps and gate.
        self.forward: Callable[[Packet], None] = _nowhere

    def connect(self, inlet: Inlet) -> None:
        """Add a consumer behind those already connected."""
        self._set_inlets((*self._inlets, inlet))

    @property
    def connected(self) -> bool:
        """Whether anybody takes what is pushed."""
        return bool(self._inlets or self._taps)

    def disconnect(self, inlet: Inlet) -> None:
        """Remove a consumer; unknown ones are ignored."""
        self._set_inlets(tuple(other for other in self._inlets if other is not inlet))

    def tap(self, tap: Inlet) -> None:
        """Show all that is pushed to somebody else first."""
        self._taps += (tap,)
        self._compose()

    def untap(self, tap: Inlet) -> None:
        """Show it no more; unknown ones are ignored."""
        self._taps = tuple(other for other in self._taps if other is not tap)
        self._compose()

    def guard(self, gate: Callable[[Packet], None] | None) -> None:
        """Push into a gate, which hands on by `forward`; None: to the consumers again."""
        self._gate = gate
        self._compose()

    @property
    def guarded(self) -> bool:
        """Whether there is a gate."""
        return self._gate is not None

    def complete(self) -> None:
        """Tell every consumer that nothing more comes. A second call does nothing."""
        if self.completed:
            return
        self.completed = True
        for inlet in (*self._taps, *self._inlets):
            inlet.on_completed()

    def _set_inlets(self, inlets: tuple[Inlet, ...]) -> None:
        self._inlets = inlets
        self._compose()

    def _compose(self) -> None:
        """Let `push` and `forward` lead where they have to, each as directly as it can."""
        if not self._inlets:
            self.forward = _nowhere
        elif len(self._inlets) == 1:
            self.forward = self._inlets[0].on_next
        else:
            self.forward = self._push_all
        if self._taps:
            self.push = self._push_tapped
        else:
            self.push = self.forward if self._gate is None else self._gate

    def _push_all(self, packet: Packet) -> None:
        for inlet in self._inlets:
            inlet.on_next(packet)

    def _push_tapped(self, packet: Packet) -> None:
        for tap in self._taps:
            tap.on_next(packet)
        (self._gate or self.forward)(packet)

    def _subscribe_core(
        self, observer: ObserverBase[Packet], scheduler: SchedulerBase | None = None
    ) -> DisposableBase:
        del scheduler
        if self.completed:
            observer.on_completed()
            return Disposable()
        self.connect(observer)
        return Disposable(lambda: self.disconnect(observer))


class PortInlet:
    """Connects an outlet to one input port of a node."""

    __slots__ = ("_adapter", "_port", "on_next")

    def __init__(self, adapter: OperatorAdapter, port: str, *, restamps: bool) -> None:
        self._adapter = adapter
        self._port = port
        self.on_next: Callable[[Packet], None] = self._restamp if restamps else adapter.on_next

    def _restamp(self, packet: Packet) -> None:
        self._adapter.on_next(packet.to_port(self._port))

    def on_completed(self) -> None:
        """One source of the port has ended."""
        self._adapter.end_of(self._port)
