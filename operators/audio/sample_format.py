"""Changes the number format of samples.

Source: FR-002. No I/O, no state. Stands for the node types AudioFormatNode and
RustFormatConverterNode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from pydantic import Field, field_validator

from engine.operator import Operator
from engine.operator import Params as BaseParams
from engine.payloads import Audio
from operators.audio.levels import as_float, as_float32, full_scale, quantized

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.operator import Context, Outputs
    from engine.packet import Packet

_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "f32": np.dtype(np.float32),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
}


class AudioFormat(Operator):
    """Converts samples to float32, int16 or int32.

    Full scale is 1 in f32, 32768 in i16, 2147483648 in i32:

    - f32 → i16, i32: × 32768 or 2147483648, rounded half to even, clipped;
    - i32 → i16: ÷ 65536, rounded half to even, clipped;
    - i16 → i32, f32: × 65536, ÷ 32768, both exact;
    - i32 → f32: ÷ 2147483648, rounded to the nearest float.

    There and back is the identity: i16 by i32 or f32, and i32 by f32 to the 24 bits a float has.
    What is not a number becomes 0, what is beyond full scale is clipped. A packet that has the
    format already passes through unchanged, and so do payloads that are not audio.

    With `dither` noise of triangular density, two steps wide, is added before samples are rounded
    to 16 bits, so that the error is noise instead of distortion (Lipshitz, Wanamaker, Vanderkooy
    1992). The noise depends on the packet's place in the stream alone: runs can be repeated.
    """

    node_type = "AudioFormatNode"
    accepts = frozenset({"audio"})
    emits = frozenset({"audio"})
    rate = "one_to_one"
    hot = frozenset({"dither"})

    class Params(BaseParams):
        target_format: Literal["f32", "i16", "i32"] = Field(
            "f32", description="format of the output: f32, i16 or i32"
        )
        dither: bool = Field(False, description="add noise before rounding to 16 bits")

        @field_validator("target_format", mode="before")
        @classmethod
        def _lower(cls, value: Any) -> Any:
            return value.lower() if isinstance(value, str) else value

    params: Params

    def process(self, packet: Packet, ctx: Context) -> Outputs:
        audio = packet.payload
        target = _DTYPES[self.params.target_format]
        if not isinstance(audio, Audio) or audio.samples.dtype == target:
            return packet
        if target == np.float32:
            return Audio(as_float32(audio.samples), audio.sample_rate)
        steps = as_float(audio.samples)
        steps *= full_scale(target)
        if self.params.dither and target == np.int16:
            steps += _triangular(steps.shape, packet)
        return Audio(quantized(steps, target), audio.sample_rate)


def _triangular(shape: tuple[int, ...], packet: Packet) -> npt.NDArray[np.float64]:
    """Noise between −1 and 1, most of it about 0."""
    generator = np.random.default_rng((packet.sequence, packet.index))
    noise: npt.NDArray[np.float64] = generator.random(shape) - generator.random(shape)
    return noise
