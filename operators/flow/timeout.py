"""Notices silence.

Source: FR-002. No I/O, keeps nothing. On the session's clock, which stands still while the session
itself holds its producers back.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator
from reactivex import Observable
from reactivex.disposable import CompositeDisposable, SerialDisposable

from engine.operator import Params as BaseParams
from engine.payloads import Json
from engine.reactive.adapter import RxOperator
from operators.flow.values import Seconds

if TYPE_CHECKING:
    from reactivex.abc import DisposableBase, ObserverBase, SchedulerBase

    from engine.operator import Output
    from engine.packet import Packet


class Timeout(RxOperator):
    """Hands packets on; after `time_s` without one it fails, or emits a fallback and goes on.

    The time runs from the session's start, from each packet, and from an interrupt. reactivex's
    timeout ends the stream or switches to another for ever; this one goes back to its input.
    """

    node_type = "TimeoutNode"
    holds_nothing = True

    class Params(BaseParams):
        time_s: Seconds = Field(description="silence that is too long")
        on_timeout: Literal["error", "emit"] = Field(
            "error", description="whether silence fails the session or emits the fallback"
        )
        fallback: Any = Field(None, description="JSON value that is emitted")
        repeat: bool = Field(
            False, description="emit it every time_s while the silence lasts, not only once"
        )

        @model_validator(mode="after")
        def _fallback_is_emitted(self) -> Self:
            if self.on_timeout == "error" and {"fallback", "repeat"} & self.model_fields_set:
                raise ValueError('fallback and repeat are for on_timeout "emit"')
            return self

    params: Params

    def chain(self, *inlets: Observable[Packet]) -> Observable[Output]:
        (packets,) = inlets

        def subscribe(
            observer: ObserverBase[Output], scheduler: SchedulerBase | None = None
        ) -> DisposableBase:
            assert scheduler is not None
            watch = _Watch(self.params, observer, scheduler)
            subscription = packets.subscribe(
                watch.on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )
            return CompositeDisposable(subscription, watch.timer)

        return Observable(subscribe)


class _Watch:
    """One subscription's timer, wound up again by each packet."""

    def __init__(
        self, params: Timeout.Params, observer: ObserverBase[Output], scheduler: SchedulerBase
    ) -> None:
        self.timer = SerialDisposable()
        self._params = params
        self._observer = observer
        self._scheduler = scheduler
        self._wind()

    def on_next(self, packet: Packet) -> None:
        """Hand it on, and wait again."""
        self._wind()
        self._observer.on_next(packet)

    def _wind(self) -> None:
        self.timer.disposable = self._scheduler.schedule_relative(self._params.time_s, self._lapse)

    def _lapse(self, _: SchedulerBase, __: Any = None) -> None:
        params = self._params
        if params.on_timeout == "error":
            self._observer.on_error(
                TimeoutError(
                    f"nothing came for {params.time_s:g} s; see what feeds this node, raise time_s,"
                    ' or set on_timeout to "emit"'
                )
            )
            return
        if params.repeat:
            self._wind()
        self._observer.on_next(Json(copy.deepcopy(params.fallback)))
