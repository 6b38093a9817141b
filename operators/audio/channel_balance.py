"""Detects that one side of a stereo signal is too quiet, or dead.

Source: FR-002; levels as in AES17-2020. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from engine.operator import Operator
from engine.payloads import Audio, Json
from operators.audio.levels import rms_dbfs
from operators.audio.windows import MeterParams, Tally, Windows

if TYPE_CHECKING:
    from engine.operator import Context, Output
    from engine.packet import Packet

_SIDES = ("left", "right")
_STEREO = len(_SIDES)


class ChannelBalance(Operator):
    """Compares the channels of each packet, or of each `window_ms` of the stream.

    What it says is a Json payload of schema "channel_balance":

    - `left_rms_dbfs`, `right_rms_dbfs`: levels of the first two channels;
    - `balance_db`: left minus right, above 0 where left is louder; null for mono;
    - `is_imbalanced`: they differ by more than `imbalance_threshold_db`;
    - `has_dead_channel`, `dead_channel`: "left", "right", "channel 5", … or "none";
    - `dead_channels`: all dead ones, as indices;
    - `timestamp_ms`, `duration_ms`: media time and length of what was measured.

    A channel is dead if its level is below `dead_channel_threshold_db`, while another one is above
    it, and above the dead one by more than `imbalance_threshold_db`. Where all are silent, none is.
    With `pass_through` the audio follows. Payloads that are not audio pass through.
    """

    node_type = "ChannelBalanceNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio", "json"})
    stateful = True
    hot = frozenset(
        {"window_ms", "pass_through", "imbalance_threshold_db", "dead_channel_threshold_db"}
    )

    class Params(MeterParams):
        imbalance_threshold_db: float = Field(
            10.0, ge=0, le=120, description="left and right may differ by so much"
        )
        dead_channel_threshold_db: float = Field(
            -60.0, ge=-180, le=0, description="a channel below it may be dead, dBFS"
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._windows = Windows(self.params.window_ms, Tally)

    def process(self, packet: Packet, ctx: Context) -> list[Output]:
        audio = packet.payload
        if not isinstance(audio, Audio):
            return [packet]
        outputs: list[Output] = [
            self._report(window) for window in self._windows.feed(audio, packet.timestamp_ns)
        ]
        if self.params.pass_through:
            outputs.append(packet)
        return outputs

    def flush(self, ctx: Context) -> list[Output]:
        return [self._report(window) for window in self._windows.flush()]

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._windows.window_ms = self.params.window_ms

    def reset(self, ctx: Context) -> None:
        self._windows.reset()

    def _report(self, window: Tally) -> Json:
        levels = [rms_dbfs(float(power)) for power in window.powers]
        stereo = len(levels) >= _STEREO
        balance = round(levels[0] - levels[1], 3) if stereo else None
        dead = self._dead(levels)
        value = {
            "left_rms_dbfs": levels[0],
            "right_rms_dbfs": levels[1] if stereo else levels[0],
            "balance_db": balance,
            "is_imbalanced": abs(balance or 0.0) > self.params.imbalance_threshold_db,
            "has_dead_channel": bool(dead),
            "dead_channel": _name(dead[0]) if dead else "none",
            "dead_channels": dead,
            **window.times,
        }
        return Json(value, schema_type="channel_balance")

    def _dead(self, levels: list[float]) -> list[int]:
        threshold = self.params.dead_channel_threshold_db
        loudest = max(levels)
        if loudest < threshold:
            return []
        quiet = min(threshold, loudest - self.params.imbalance_threshold_db)
        return [index for index, level in enumerate(levels) if level < quiet]


def _name(index: int) -> str:
    return _SIDES[index] if index < _STEREO else f"channel {index}"
