"""The Arrow forms of Audio, Video and Tensor: the array is the last column, always a view.

Pure over memory.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engine.payloads.arrow_schema import Form, list_of, row, schema_of
from engine.payloads.audio import Audio
from engine.payloads.tensor import TENSOR_DTYPES, Tensor
from engine.payloads.video import Video

if TYPE_CHECKING:
    import numpy.typing as npt

# ---------------------------------------------------------------------------------- audio

_AUDIO_TYPES = {"float32": pa.float32(), "int16": pa.int16(), "int32": pa.int32()}
_AUDIO_SCHEMAS = {
    name: schema_of("audio", sample_rate=pa.int32(), channels=pa.int32(), samples=pa.list_(dtype))
    for name, dtype in _AUDIO_TYPES.items()
}


def _audio_to_arrow(audio: Audio) -> pa.RecordBatch:
    samples = audio.samples
    name = samples.dtype.name
    flat = list_of(samples.reshape(-1), _AUDIO_TYPES[name])
    return row(_AUDIO_SCHEMAS[name], audio.sample_rate, samples.shape[1], flat)


def _audio_from_arrow(batch: pa.RecordBatch) -> Audio:
    rate, channels = batch.column(0)[0].as_py(), batch.column(1)[0].as_py()
    flat = _last_column(batch)
    if channels < 1 or len(flat) % channels:
        raise ValueError(f"{len(flat)} samples do not divide into {channels} channels")
    return Audio(flat.reshape(-1, channels), rate)


# ---------------------------------------------------------------------------------- video

_VIDEO_SCHEMA = schema_of(
    "video",
    frame_number=pa.uint64(),
    keyframe=pa.bool_(),
    width=pa.uint32(),
    height=pa.uint32(),
    format=pa.utf8(),
    codec=pa.utf8(),
    pixels=pa.list_(pa.uint8()),
)


def _video_to_arrow(video: Video) -> pa.RecordBatch:
    return row(
        _VIDEO_SCHEMA,
        video.frame_number,
        video.keyframe,
        video.width,
        video.height,
        video.format,
        video.codec,
        list_of(video.pixels.reshape(-1), pa.uint8()),
    )


def _video_from_arrow(batch: pa.RecordBatch) -> Video:
    number, keyframe, width, height, format_, codec = (
        column[0].as_py() for column in batch.columns[:-1]
    )
    return Video(_last_column(batch), format_, width, height, number, codec, keyframe)


# --------------------------------------------------------------------------------- tensor

#: What Arrow has no type for, or packs into bits, is stored as.
_STORED_AS: dict[str, np.dtype[Any]] = {
    "bool": np.dtype(np.uint8),
    "complex64": np.dtype(np.float32),
    "complex128": np.dtype(np.float64),
}


def _stored(name: str) -> np.dtype[Any]:
    return _STORED_AS[name] if name in _STORED_AS else np.dtype(name)


_TENSOR_SCHEMAS = {
    name: schema_of(
        "tensor",
        layout=pa.utf8(),
        dtype=pa.utf8(),
        shape=pa.list_(pa.int64()),
        values=pa.list_(pa.from_numpy_dtype(_stored(name))),
    )
    for name in sorted(TENSOR_DTYPES)
}


def _tensor_to_arrow(tensor: Tensor) -> pa.RecordBatch:
    array = tensor.array
    name = array.dtype.name
    schema = _TENSOR_SCHEMAS[name]
    flat = array.reshape(-1).view(_stored(name))
    values = list_of(flat, schema.field("values").type.value_type)
    return row(schema, tensor.layout, name, list(array.shape), values)


def _tensor_from_arrow(batch: pa.RecordBatch) -> Tensor:
    layout, name, shape = (column[0].as_py() for column in batch.columns[:-1])
    schema = _TENSOR_SCHEMAS.get(name)
    if schema is None or not batch.schema.equals(schema):
        raise ValueError(f"values of dtype {name!r} in a column of {batch.schema.types[-1]}")
    flat = _last_column(batch).view(name)
    if None in shape or min(shape, default=0) < 0 or math.prod(shape) != len(flat):
        raise ValueError(f"{len(flat)} values do not make a tensor of shape {shape}")
    return Tensor(flat.reshape(shape), layout)


def _last_column(batch: pa.RecordBatch) -> npt.NDArray[Any]:
    """What the list in the last column holds, as a view.

    Raises:
        ValueError: a value in it is missing.
    """
    values = batch.columns[-1].flatten()
    if values.null_count:
        raise ValueError(f"{values.null_count} values are missing")
    dtype = np.dtype(values.type.to_pandas_dtype())
    data = values.buffers()[1]
    if data is None:
        return np.empty(0, dtype)
    # Not by to_numpy, which loads pandas where it is installed.
    return np.frombuffer(data, dtype, len(values), values.offset * dtype.itemsize)


NUMERIC_FORMS = {
    "audio": Form(tuple(_AUDIO_SCHEMAS.values()), _audio_to_arrow, _audio_from_arrow),
    "video": Form((_VIDEO_SCHEMA,), _video_to_arrow, _video_from_arrow),
    "tensor": Form(tuple(_TENSOR_SCHEMAS.values()), _tensor_to_arrow, _tensor_from_arrow),
}
