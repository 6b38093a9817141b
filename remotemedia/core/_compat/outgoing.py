"""What old nodes give → payloads of the engine.

RuntimeData                      its payload, and what its metadata adds to the packet's
str, bytes, dict and other JSON  Text, Binary, Json
a numpy array                    Audio where a rate is known, else Tensor
(samples, rate)                  Audio
(anything of these, a dict)      the dict is metadata
None                             nothing
a list or tuple of RuntimeData   each of them; another list is a JSON value
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.operator import Emission
from engine.packet import Packet
from engine.payloads import PAYLOAD_TYPES, Audio, Binary, Json, Tensor, Text
from remotemedia.core._compat.new_payloads import added_metadata, new_payload
from remotemedia.core._compat.runtime_data import RuntimeData
from remotemedia.core._compat.samples import channels_of, frames_by_channels, sample_array
from remotemedia.core._compat.values import plain, strings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.operator import Output

_READY = (*PAYLOAD_TYPES, Packet, Emission)
_DIMENSIONS = 2
#: dtypes of which a bare array may be audio.
_AUDIO_KINDS = (np.floating, np.int16, np.int32)


def outputs_of(value: Any, packet: Packet | None, rate: int | None) -> Iterator[Output]:
    """What is to be emitted for one value that a node returned or yielded.

    Args:
        value: the value.
        packet: the input it was given for; None in flush.
        rate: Hz, of arrays that come without one; None: they are no audio.

    Raises:
        TypeError: nothing can be made of it.
        ValueError: it is damaged.
    """
    if value is None:
        return
    if (
        isinstance(value, list | tuple)
        and not isinstance(value, RuntimeData)
        and _is_several(value)
    ):
        for item in value:
            yield from outputs_of(item, packet, rate)
        return
    value, said = _split_metadata(value)
    if isinstance(value, RuntimeData):
        said = {**added_metadata(value), **said}
    payload = value if isinstance(value, _READY) else payload_of(value, rate)
    yield _with_metadata(payload, said, packet)


def _is_several(value: list[Any] | tuple[Any, ...]) -> bool:
    """Whether a list is several outputs; else it is one value."""
    return bool(value) and all(isinstance(item, (RuntimeData, *_READY)) for item in value)


def _split_metadata(value: Any) -> tuple[Any, dict[str, str]]:
    """The value, and the metadata the older helpers put behind it: (value, {…})."""
    if type(value) is tuple and len(value) > 1 and isinstance(value[-1], dict):
        rest = value[:-1]
        return (rest[0] if len(rest) == 1 else rest), strings(value[-1])
    return value, {}


def _with_metadata(payload: Any, said: dict[str, str], packet: Packet | None) -> Output:
    """An output that carries what its input said, and what was added."""
    if not said or packet is None or isinstance(payload, Packet | Emission):
        return payload  # type: ignore[no-any-return]
    merged = {**packet.metadata, **said}
    return payload if merged == packet.metadata else packet.with_payload(payload, merged)


def payload_of(value: Any, rate: int | None) -> Any:
    """The payload of one value; see the module.

    Raises:
        TypeError: nothing can be made of it.
        ValueError: it is damaged.
    """
    if isinstance(value, RuntimeData):
        return new_payload(value)
    if isinstance(value, str):
        return Text(str.__str__(value))
    if isinstance(value, bytes | bytearray | memoryview):
        return Binary(bytes(value))
    if _is_timed_audio(value):
        return _audio(value[0], int(value[1]))
    if hasattr(value, "__array__") and not isinstance(value, np.generic):
        return _of_array(np.asarray(value), rate)
    try:
        return Json(plain(value))
    except TypeError as error:
        raise TypeError(
            f"a node gave {type(value).__name__}, of which no payload can be made ({error}): give"
            " RuntimeData, str, bytes, a dict or another JSON value, or a numpy array"
        ) from error


def _is_timed_audio(value: Any) -> bool:
    """Whether it is (samples, rate)."""
    return (
        isinstance(value, tuple | list)
        and len(value) == _DIMENSIONS
        and isinstance(value[0], np.ndarray)
        and isinstance(value[1], int | float | np.integer)
    )


def _of_array(array: np.ndarray[Any, Any], rate: int | None) -> Audio | Tensor:
    can_sound = array.ndim in {1, _DIMENSIONS} and any(
        np.issubdtype(array.dtype, kind) for kind in _AUDIO_KINDS
    )
    if rate is not None and can_sound:
        return _audio(array, rate)
    return Tensor(array.copy())  # the node may go on writing into it


def _audio(array: Any, rate: int) -> Audio:
    samples = sample_array(array)
    frames = frames_by_channels(samples, channels_of(samples, None))
    return Audio(frames.copy(), rate)


def rate_of(node: object, packet: Packet | None) -> int | None:
    """The rate of bare arrays: the node's own `sample_rate`, else its audio input's."""
    own = getattr(node, "sample_rate", None)
    if isinstance(own, int | float) and own >= 1:
        return int(own)
    if packet is not None and isinstance(packet.payload, Audio):
        return packet.payload.sample_rate
    return None
