"""Tensor: an array of numbers of any shape.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.payloads.arrays import as_array, freeze
from engine.payloads.base import PayloadBase
from engine.payloads.checks import check_text

if TYPE_CHECKING:
    import numpy.typing as npt

#: Names of the dtypes a `Tensor` may have: what numpy has on every machine.
TENSOR_DTYPES = frozenset(
    {"bool", "float16", "float32", "float64", "complex64", "complex128"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)


class Tensor(PayloadBase):
    """An array of numbers.

    Attributes:
        array: read-only C-contiguous array of any shape, also () and empty; bool, whole numbers of
            8 to 64 bits, float16, float32, float64, complex64 or complex128, in the machine's byte
            order.
        layout: what its axes are, such as "NCHW", or "".
    """

    __slots__ = ("array", "layout")

    def __init__(self, array: npt.ArrayLike, layout: str = "") -> None:
        """Take the array over.

        Args:
            array: frozen in place where possible, see `freeze`; another byte order is converted.
            layout: any text.

        Raises:
            ValueError: not numbers, or of a dtype that other machines do not have.
            TypeError: the layout is no string.
        """
        check_text("Tensor", layout=layout)
        taken = as_array(array)
        if not taken.dtype.isnative:
            taken = taken.astype(taken.dtype.newbyteorder("="))
        if taken.dtype.name not in TENSOR_DTYPES:
            raise ValueError(
                f"a tensor must be of bool, int8 to uint64, float16 to float64 or complex numbers,"
                f" got {taken.dtype}; convert it"
            )
        self.array: npt.NDArray[Any] = freeze(taken)
        self.layout = layout

    def __eq__(self, other: object) -> bool:
        if type(other) is not Tensor:
            return NotImplemented
        return (
            self.layout == other.layout
            and self.array.dtype == other.array.dtype
            and np.array_equal(self.array, other.array)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        layout = f", {self.layout[:40]}" if self.layout else ""
        return f"Tensor({self.array.shape}, {self.array.dtype}{layout})"
