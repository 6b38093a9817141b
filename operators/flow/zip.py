"""Pairs the packets of several inputs: the first with the first, the second with the second.

Source: FR-007. No I/O. reactivex's own zip keeps what leads in lists without a bound; here no port
leads by more than `skew_max` packets.

    a   |-1-2-3---4-|            what is held of a port at any time: at most skew_max
    b   |---x---y-z-|
    out |--(1,x)-(2,y)-(3,z)|    ends as soon as a port has ended whose packets are used up
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from reactivex import Observable
from reactivex.disposable import CompositeDisposable

from engine.operator import Emission
from engine.packet import DEFAULT_OUTPUT
from engine.reach import functions
from engine.reactive.adapter import RxOperator
from operators.flow.fan_in import Combination, CombiningParams, fan_in_ports
from operators.flow.values import is_control
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

    from engine.operator import Context, Output, Ports
    from engine.packet import Packet
    from engine.payloads import Control
    from engine.reach import Reach


class Zip(RxOperator):
    """Emits one output for one packet of each port, in order.

    The output is `{port: value}` as JSON, or what `combine` returns. It descends from the packet
    that completed it, with the earliest media time of all. What is left over when a port has ended
    is dropped. Control messages pass on.

    A port whose packets lead by `skew_max` is handled by the policy: `wait` takes no more from it
    until the others have followed, so that its producers wait, `error` fails, `drop_oldest` forgets
    its oldest packet, and with it the exact pairing. `wait` needs a connection for each port (a
    client that sends to several ports of this node directly has one for all: that is an error when
    it leads too far) and branches of one source that emit one packet for each they get; where a
    branch drops or collects packets, choose another policy.

    What waits is dropped where a CancelSpeculation takes it back: where it has taken back the
    partners, too, the pairing stays exact.
    """

    node_type = "ZipNode"
    inputs = ("a", "b")
    stateful = True
    chooses = True

    class Params(CombiningParams):
        skew_max: int = Field(
            64, ge=1, le=100_000, description="packets by which a port may lead the others"
        )
        policy: Literal["wait", "error", "drop_oldest"] = Field(
            "wait", description="what happens to a port that leads by more"
        )

    params: Params

    @classmethod
    def reaches(cls, params: Mapping[str, Any]) -> Iterable[Reach]:
        return functions(params, "combine")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._combination = Combination(self.params)
        self._held: dict[str, deque[Packet]] = {}
        self._ended: set[str] = set()

    @classmethod
    def ports(cls, params: Params) -> Ports:
        return fan_in_ports(params)

    @classmethod
    def in_step(cls, params: Params | None) -> bool:
        return params is not None and params.policy == "wait"

    async def initialize(self, ctx: Context) -> None:
        self._combination.load()

    def wants(self, port: str) -> bool:
        if self.params.policy != "wait" or self._exhausted:
            return True
        return len(self._held.get(port, ())) < self.params.skew_max

    def control(self, control: Control, ctx: Context) -> None:
        span = taken_back(control)
        if span is not None:
            for port, held in self._held.items():
                self._held[port] = deque(packet for packet in held if not span(packet))

    def reset(self, ctx: Context) -> None:
        """What is held goes when the chain is built anew, at the end of each interrupt."""

    def chain(self, *inlets: Observable[Packet]) -> Observable[Output]:
        self._held = {port: deque() for port in self.inputs}
        self._ended = set()

        def subscribe(
            observer: ObserverBase[Output], scheduler: SchedulerBase | None = None
        ) -> DisposableBase:
            return CompositeDisposable(
                *(
                    inlet.subscribe(
                        on_next=partial(self._take, observer, port),
                        on_error=observer.on_error,
                        on_completed=partial(self._end, observer, port),
                        scheduler=scheduler,
                    )
                    for port, inlet in zip(self.inputs, inlets, strict=True)
                )
            )

        return Observable(subscribe)

    @property
    def _exhausted(self) -> bool:
        """Whether no further pair can come."""
        return any(not self._held[port] for port in self._ended)

    def _take(self, observer: ObserverBase[Output], port: str, packet: Packet) -> None:
        if is_control(packet):
            observer.on_next(packet)
            return
        held = self._held[port]
        held.append(packet)
        if all(self._held.values()):
            self._emit(observer)
            if self._exhausted:
                observer.on_completed()
        elif self._exhausted:  # what a port that has ended held was taken back
            observer.on_completed()
        elif len(held) > self.params.skew_max:
            if self.params.policy == "drop_oldest":
                held.popleft()
            else:
                observer.on_error(self._too_far(port))

    def _emit(self, observer: ObserverBase[Output]) -> None:
        members = {port: held.popleft() for port, held in self._held.items()}
        output = self._combination.of(members)
        if output is not None:
            timestamp_ns = min(packet.timestamp_ns for packet in members.values())
            observer.on_next(Emission(DEFAULT_OUTPUT, output, timestamp_ns))

    def _end(self, observer: ObserverBase[Output], port: str) -> None:
        self._ended.add(port)
        if self._exhausted:
            observer.on_completed()

    def _too_far(self, port: str) -> Exception:
        behind = ", ".join(repr(other) for other, held in self._held.items() if not held)
        return OverflowError(
            f"port {port!r} leads {behind} by more than {self.params.skew_max} packets: raise"
            " skew_max, choose the policy drop_oldest, or feed each port by a connection of its own"
            " under the policy wait"
        )
