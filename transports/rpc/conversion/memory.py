"""Arrays as views of bytes, and back.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_BIG_ENDIAN_MACHINE = sys.byteorder == "big"


def view_of(data: bytes, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Little-endian elements as a read-only array of shape (elements,), without a copy."""
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))


def bytes_of(array: npt.NDArray[Any]) -> bytes:
    """The elements of an array in row-major order, little-endian.

    Those of an array that is a view of just these bytes are the same object; otherwise one copy.
    """
    if _BIG_ENDIAN_MACHINE:
        array = array.astype(array.dtype.newbyteorder("<"))
    if array.flags.c_contiguous:
        owner: object = array
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if type(owner) is bytes and len(owner) == array.nbytes:
            return owner
    return array.tobytes()
