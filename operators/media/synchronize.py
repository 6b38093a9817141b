"""Says how well audio and video belong together in time.

Source: FR-002; node type SynchronizedAudioVideoNode. No I/O.

The offset is the video's media time less the audio's. Its quality is told by the tolerance T:

    perfect      below 1 ms, up to T   excellent    up to T / 2
    good         up to T               acceptable   up to 2 T
    poor         beyond

With T = 20 ms "acceptable" ends at 40 ms, which is how far EBU R 37 lets sound run ahead of its
picture (it lets it lag by 60 ms), below the 45 ms from which ITU-R BT.1359 found it noticed (125 ms
where it lags).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.packet import WrongKindError
from engine.payloads import Audio, Json, Video, kind_of
from operators.media.pairing import HELD_MAX, Pair, Pairing
from operators.taking_back import taken_back

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.operator import Context, Output
    from engine.packet import Packet
    from engine.payloads import Control

_AUDIO, _VIDEO = "audio_input", "video_input"
_PERFECT_US = 1_000


class SynchronizedAudioVideo(Operator):
    """Reports the offset between audio and video, as JSON.

    Audio and video that come together, as one group, are compared with each other. What comes by
    two edges is paired by media time: each frame with the audio packet that begins nearest to it,
    however late that comes, within `pairing_window_ms`. A side that stays silent longer stops
    nothing: one report says so, with null in its place, and the other's packets are dropped until
    it is back. Audio should come in packets of not more than twice the tolerance, since half a
    packet is how far the nearest may begin from a frame.

    A report: `sync_status` {is_synced, quality, offset_us, offset_ms, tolerance_ms}, `audio`
    {timestamp_us, sample_rate, num_samples (per channel), duration_ms}, `video` {timestamp_us,
    frame_number, width, height}, `recommendation`, `node_id`. Its media time is the frame's. The
    offset is the video's media time less the audio's, and is_synced where it is at most the
    tolerance T. Its quality: perfect below 1 ms (and not beyond T), excellent up to T / 2, good up
    to T, acceptable up to 2 T, else poor.

    What waits for its partner is dropped where a CancelSpeculation takes it back.
    """

    node_type = "SynchronizedAudioVideoNode"
    inputs = (_AUDIO, _VIDEO)
    accepts = frozenset({"audio", "video"})
    emits = frozenset({"json"})
    joins = True
    stateful = True
    held_max = 2 * HELD_MAX
    hot = frozenset({"sync_tolerance_ms", "pairing_window_ms"})

    class Params(BaseParams):
        sync_tolerance_ms: float = Field(
            20.0, gt=0, le=10_000, description="offset up to which the streams are synchronized"
        )
        pairing_window_ms: float = Field(
            500.0,
            gt=0,
            le=60_000,
            description="where they come by two edges: how far apart in time partners may be",
        )

    params: Params

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        self._pairing = Pairing(self._window_ns)

    def process(self, group: Mapping[str, Packet], ctx: Context) -> list[Output]:
        """Compare a group, or take one side.

        Raises:
            WrongKindError: another payload than the port's.
        """
        audio = _noted_audio(group[_AUDIO]) if _AUDIO in group else None
        video = _noted_video(group[_VIDEO]) if _VIDEO in group else None
        if audio is not None and video is not None:
            pairs = [Pair(audio, video)]
        elif audio is not None:
            pairs = self._pairing.feed_audio(audio)
        elif video is not None:
            pairs = self._pairing.feed_video(video)
        else:
            pairs = []
        return self._reports(pairs, ctx)

    def flush(self, ctx: Context) -> list[Output]:
        return self._reports(self._pairing.flush(), ctx)

    def params_changed(self, before: Params, ctx: Context) -> None:
        self._pairing.window_ns = self._window_ns

    def control(self, control: Control, ctx: Context) -> None:
        span = taken_back(control)
        if span is not None:
            self._pairing.take_back(span)

    def reset(self, ctx: Context) -> None:
        self._pairing.reset()

    @property
    def _window_ns(self) -> int:
        return round(self.params.pairing_window_ms * 1e6)

    def _reports(self, pairs: list[Pair], ctx: Context) -> list[Output]:
        return [
            ctx.to(
                "out",
                Json(self._report(pair, ctx.node_id)),
                timestamp_ns=(pair.video or pair.audio).timestamp_ns,  # type: ignore[union-attr]
            )
            for pair in pairs
        ]

    def _report(self, pair: Pair, node_id: str) -> dict[str, Any]:
        offset_us = None
        if pair.audio is not None and pair.video is not None:
            offset_us = pair.video.timestamp_ns // 1_000 - pair.audio.timestamp_ns // 1_000
        return {
            "sync_status": self._status(offset_us),
            "audio": _said(pair.audio),
            "video": _said(pair.video),
            "recommendation": self._recommendation(pair, offset_us),
            "node_id": node_id,
        }

    def _status(self, offset_us: int | None) -> dict[str, Any]:
        tolerance_us = self.params.sync_tolerance_ms * 1_000
        return {
            "is_synced": offset_us is not None and abs(offset_us) <= tolerance_us,
            "quality": "poor" if offset_us is None else quality_of(offset_us, tolerance_us),
            "offset_us": offset_us,
            "offset_ms": None if offset_us is None else offset_us / 1_000,
            "tolerance_ms": self.params.sync_tolerance_ms,
        }

    def _recommendation(self, pair: Pair, offset_us: int | None) -> str:
        if offset_us is None:
            missing, other = ("audio", "frame") if pair.audio is None else ("video", "audio")
            window = self.params.pairing_window_ms
            return f"No {missing} within {window:g} ms of this {other}: see whether it still comes"
        if abs(offset_us) <= self.params.sync_tolerance_ms * 1_000:
            return "Streams are synchronized"
        ahead, behind = ("Video", "audio") if offset_us > 0 else ("Audio", "video")
        by = f"{abs(offset_us) / 1_000:g} ms"
        return f"{ahead} is {by} ahead of {behind}: delay {ahead.lower()} or advance {behind}"


def quality_of(offset_us: int, tolerance_us: float) -> str:
    """The word for an offset, see the module."""
    distance = abs(offset_us)
    steps = (
        ("perfect", min(_PERFECT_US - 1, tolerance_us)),
        ("excellent", tolerance_us / 2),
        ("good", tolerance_us),
        ("acceptable", tolerance_us * 2),
    )
    return next((word for word, limit in steps if distance <= limit), "poor")


def _noted(packet: Packet, facts: dict[str, Any]) -> Packet:
    """A packet with what a report says of it in place of its samples or pixels, to be held."""
    return packet.with_payload(Json({"timestamp_us": packet.timestamp_ns // 1_000, **facts}))


def _noted_audio(packet: Packet) -> Packet:
    audio = packet.payload
    if not isinstance(audio, Audio):
        raise WrongKindError(f"{_AUDIO} takes audio, not {kind_of(audio)}")
    facts = {
        "sample_rate": audio.sample_rate,
        "num_samples": audio.frames,
        "duration_ms": audio.frames * 1_000 / audio.sample_rate,
    }
    return _noted(packet, facts)


def _noted_video(packet: Packet) -> Packet:
    video = packet.payload
    if not isinstance(video, Video):
        raise WrongKindError(f"{_VIDEO} takes video, not {kind_of(video)}")
    facts = {"frame_number": video.frame_number, "width": video.width, "height": video.height}
    return _noted(packet, facts)


def _said(packet: Packet | None) -> Any:
    return packet.payload.value if packet is not None and isinstance(packet.payload, Json) else None
