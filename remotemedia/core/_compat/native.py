"""Data that is a RuntimeData and a plain Python value at once.

Nodes on `Node`, and plain classes, were handed plain values by one older runtime and RuntimeData by
another, and do not say which they take. What they get here is both: a dict that has `as_json()`, a
string that has `as_text()`, a tuple (samples, rate) that has `as_audio()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.payloads import Audio, Binary, Json, Text
from remotemedia.core._compat.runtime_data import RuntimeData
from remotemedia.core._compat.values import Truth, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.payloads import Payload


class _Native(RuntimeData):
    """Base of the mixtures; the value comes first in each, so that it looks like itself."""

    def __init__(self, *value: Any) -> None:
        """Nothing: the value is there since `__new__`, the rest comes with `receive`."""


class DictData(dict[str, Any], _Native):
    """A JSON object."""

    @property
    def payload(self) -> Any:
        """Itself: what is changed in one form is changed in the other."""
        return self

    @payload.setter
    def payload(self, payload: Any) -> None:
        self.clear()
        self.update(payload)


class ListData(list[Any], _Native):
    """A JSON array."""

    @property
    def payload(self) -> Any:
        """Itself, see `DictData`."""
        return self

    @payload.setter
    def payload(self, payload: Any) -> None:
        self[:] = payload


class TextData(str, _Native):  # noqa: SLOT000 - it has attributes, as all data has
    """Text, or a JSON string."""


class IntData(int, _Native):
    """A JSON number without a fraction."""


class FloatData(float, _Native):
    """A JSON number with a fraction."""


class TruthData(Truth, _Native):
    """A JSON true or false."""


class BytesData(bytes, _Native):
    """Bytes."""


class AudioData(tuple[Any, int], _Native):  # noqa: SLOT001 - it has attributes, as all data has
    """Audio as (samples, rate); samples have the shape (frames,) or (channels, frames).

    That is how the older audio nodes have it; `as_numpy()` gives (frames, channels).
    """


_MIXTURES: dict[type[Any], type[Any]] = {
    dict: DictData,
    list: ListData,
    str: TextData,
    int: IntData,
    float: FloatData,
    bool: TruthData,
    bytes: BytesData,
}


def native_data(
    payload: Payload, entries: Mapping[str, str], session_id: str, timestamp: float
) -> RuntimeData:
    """What a packet carries, in both forms where there are two; see `RuntimeData.of`."""
    value: Any = None
    match payload:
        case Json():
            value = plain(payload.value)
        case Text():
            value = payload.text
        case Binary():
            value = payload.data
        case Audio():
            return _audio(payload, entries, session_id, timestamp)
    cls = _MIXTURES.get(type(value))
    if cls is None:  # video, a tensor, null: nothing Python has a value of its own for
        return RuntimeData.of(payload, entries, session_id, timestamp)
    data: Any = cls.__new__(cls, value)
    if isinstance(data, dict):
        data.update(value)
    elif isinstance(data, list):
        data.extend(value)
    data.receive(payload, entries, session_id, timestamp)
    return data  # type: ignore[no-any-return]


def _audio(
    payload: Audio, entries: Mapping[str, str], session_id: str, timestamp: float
) -> RuntimeData:
    samples = payload.samples.copy()
    flat = payload.channels == 1
    data = AudioData((samples[:, 0] if flat else samples.T, payload.sample_rate))
    data.receive(payload, entries, session_id, timestamp)
    # The same memory in both forms, so that what is changed in one is changed in the other.
    data.payload = samples[:, 0] if flat else samples
    return data
