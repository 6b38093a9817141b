"""Arrays that nobody can change any more.

Pure: no I/O, no clock. Whatever a payload carries is read-only on every executor.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any

import numpy as np
import numpy.typing as npt

#: References to an array that nobody but one view of it and our own frame hold.
_REFERENCES_UNSHARED = 3


def freeze(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Make an array read-only, so that nobody can change it any more.

    An array that owns its memory, and a view whose base nobody else holds, are frozen in place,
    without a copy; the caller's own later write raises ValueError. A view of memory that somebody
    else can still write is copied. numpy does not tell who has a view of an array that owns its
    memory: one that was taken before, and is kept, stays writable.

    Returns:
        The same array, or a frozen copy.
    """
    base: object = array.base  # numpy's own types know only arrays, but it may be any buffer
    # A read-only view of something writable could still change under the reader.
    changes = array.flags.writeable or (isinstance(base, np.ndarray) and base.flags.writeable)
    if not changes:
        return array
    if base is None:
        array.flags.writeable = False
        return array
    if (
        isinstance(base, np.ndarray)
        and _is_owner(base)
        and sys.getrefcount(base) <= _REFERENCES_UNSHARED
    ):
        base.flags.writeable = False
        array.flags.writeable = False
        return array
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _is_owner(array: npt.NDArray[Any]) -> bool:
    """Whether no other Python object gives write access to the array's memory.

    Memory of an arena (`ctx.empty`) counts: nobody else is given that part of the mapping.
    """
    base = array.base
    return base is None or (isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap))


def as_array(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """The values as a plain, C-contiguous array; the same one where it is that already."""
    array = values if type(values) is np.ndarray else np.asarray(values)
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)
