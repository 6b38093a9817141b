"""TensorBuffer and NumpyBuffer ↔ Tensor.

Pure: no I/O, no clock. A tensor leaves as a TensorBuffer where that has its dtype, else as a
NumpyBuffer; one that descends from a NumpyBuffer leaves as one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engine.payloads import Tensor
from engine.payloads.tensor import TENSOR_DTYPES
from protos.remotemedia.v1 import common_pb2
from transports.rpc.conversion.faults import as_input_error, wrong_size
from transports.rpc.conversion.memory import bytes_of, view_of
from transports.rpc.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DTYPES: Final[Mapping[common_pb2.TensorDtype, np.dtype[Any]]] = {
    common_pb2.TENSOR_DTYPE_F32: np.dtype(np.float32),
    common_pb2.TENSOR_DTYPE_F16: np.dtype(np.float16),
    common_pb2.TENSOR_DTYPE_I32: np.dtype(np.int32),
    common_pb2.TENSOR_DTYPE_I8: np.dtype(np.int8),
    common_pb2.TENSOR_DTYPE_U8: np.dtype(np.uint8),
}
_DTYPE_NUMBERS: Final[Mapping[np.dtype[Any], common_pb2.TensorDtype]] = {
    dtype: number for number, dtype in _DTYPES.items()
}
#: As many axes as an array of numpy may have.
_AXES_MAX: Final = 64
#: No name of a dtype is longer.
_DTYPE_CHARS_MAX: Final = 16


def tensor_from(buffer: common_pb2.TensorBuffer) -> Tensor:
    """The payload of a TensorBuffer.

    Raises:
        InputError: the size does not fit shape and dtype, or there is no such dtype.
    """
    dtype = _DTYPES.get(buffer.dtype)
    if dtype is None:
        names = ", ".join(str(known) for known in _DTYPE_NUMBERS)
        raise InputError(f"tensor: there is no dtype {buffer.dtype}; it must be one of {names}")
    shape = _shape_of("tensor", buffer.shape)
    data, size = buffer.data, math.prod(shape) * dtype.itemsize
    if len(data) != size:
        raise wrong_size("tensor.data", len(data), size, f"{shape} of {dtype}")
    with as_input_error("tensor"):
        return Tensor(view_of(data, dtype).reshape(shape), buffer.layout)


def numpy_from(buffer: common_pb2.NumpyBuffer) -> Tensor:
    """The payload of a NumpyBuffer.

    `data` is the array's memory where its strides fit it; else its elements in the order that the
    flags say, row-major by default (what numpy's `tobytes` gives).

    Raises:
        InputError: the size fits neither, or no number has such a dtype.
    """
    dtype = _dtype_of(buffer.dtype)
    shape = _shape_of("numpy", buffer.shape)
    data, strides = buffer.data, tuple(buffer.strides)
    size = math.prod(shape) * dtype.itemsize
    with as_input_error("numpy"):
        if strides and size and _spans(shape, strides, dtype.itemsize) == len(data) >= size:
            return Tensor(np.ndarray(shape, dtype, data, strides=strides))
        if len(data) != size:
            raise wrong_size("numpy.data", len(data), size, f"{shape} of {dtype}")
        columns_first = buffer.f_contiguous and not buffer.c_contiguous
        order = "F" if columns_first else "C"
        return Tensor(np.frombuffer(data, dtype).reshape(shape, order=order))  # type: ignore[call-overload]


def fill_tensor(buffer: common_pb2.TensorBuffer, payload: Tensor) -> None:
    """Write a payload into an empty TensorBuffer, which must have its dtype."""
    array = payload.array
    buffer.data = bytes_of(array)
    buffer.shape.extend(array.shape)
    buffer.dtype = _DTYPE_NUMBERS[array.dtype]
    buffer.layout = payload.layout


def fill_numpy(buffer: common_pb2.NumpyBuffer, payload: Tensor) -> None:
    """Write a payload into an empty NumpyBuffer."""
    array = payload.array
    buffer.data = bytes_of(array)
    buffer.shape.extend(array.shape)
    buffer.dtype = array.dtype.name
    # numpy's own strides and flags of an empty array depend on where it came from.
    buffer.strides.extend(
        array.itemsize * math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim)
    )
    buffer.c_contiguous = True
    buffer.f_contiguous = array.ndim <= 1


def fits_tensor_buffer(payload: Tensor) -> bool:
    """Whether a TensorBuffer has a payload's dtype."""
    return payload.array.dtype in _DTYPE_NUMBERS


def _shape_of(what: str, shape: Sequence[int]) -> tuple[int, ...]:
    if len(shape) > _AXES_MAX:
        raise InputError(f"{what}: {len(shape)} axes, and an array has at most {_AXES_MAX}")
    return tuple(shape)


def _spans(shape: tuple[int, ...], strides: tuple[int, ...], item_bytes: int) -> int | None:
    """How many bytes an array with these strides lies in; None: that cannot be told."""
    if len(strides) != len(shape) or any(stride < 0 for stride in strides):
        return None
    return item_bytes + sum(
        (count - 1) * stride for count, stride in zip(shape, strides, strict=True)
    )


def _dtype_of(name: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(name) if 0 < len(name) <= _DTYPE_CHARS_MAX else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is None or dtype.newbyteorder("=").name not in TENSOR_DTYPES:
        raise InputError(
            f"numpy: {name[:40]!r} is no dtype of numbers; known are"
            f" {', '.join(sorted(TENSOR_DTYPES))}"
        )
    return dtype
