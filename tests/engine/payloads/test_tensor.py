"""engine.payloads.tensor: any numbers, of any shape."""

import numpy as np
import pytest

from engine.payloads import Tensor
from engine.payloads.tensor import TENSOR_DTYPES


@pytest.mark.parametrize("name", sorted(TENSOR_DTYPES))
def test_every_dtype(name):
    array = np.ones((2, 3), name)
    tensor = Tensor(array, "HW")
    assert tensor.array is array
    assert tensor.array.dtype == name
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 0


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,) * 32])
def test_every_shape(shape):
    assert Tensor(np.zeros(shape, np.float16)).array.shape == shape


def test_what_numpy_makes_an_array_of():
    assert Tensor([[1, 2], [3, 4]]).array.dtype == np.int64
    assert Tensor(2.5).array.shape == ()
    assert Tensor(np.float32(2.5)).array.dtype == np.float32
    assert Tensor(True).array.dtype == np.bool_


def test_the_array_is_contiguous_and_in_the_machines_byte_order():
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    tensor = Tensor(array)
    assert tensor.array.flags.c_contiguous
    assert tensor.array.dtype.isnative
    assert tensor.array.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert not tensor.array.flags.writeable


def test_a_view_of_somebody_elses_array_is_copied():
    array = np.zeros(4)
    tensor = Tensor(array[1:])
    array[:] = 5
    assert tensor.array.max() == 0


def test_tensors_are_equal_by_values_dtype_shape_and_layout():
    array = np.arange(6, dtype=np.int16)
    assert Tensor(array, "N") == Tensor(array.copy(), "N")
    assert Tensor(array, "N") != Tensor(array, "C")
    assert Tensor(array) != Tensor(array.astype(np.int32))
    assert Tensor(array) != Tensor(array.reshape(2, 3))
    assert Tensor(array) != Tensor(array + 1)
    assert Tensor(array) != array.tolist()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(2, np.longdouble),
        np.array(["a"]),
        np.array([None]),
        np.zeros(2, "datetime64[s]"),
        np.zeros(2, [("a", "i4")]),
        np.array([b"a"]),
    ],
    ids=lambda array: str(array.dtype),
)
def test_what_is_no_tensor_is_refused(array):
    with pytest.raises(ValueError, match=r"bool, int8 to uint64, .* got .*; convert it"):
        Tensor(array)


def test_a_layout_is_text():
    with pytest.raises(TypeError, match=r"Tensor\.layout must be a string, got tuple"):
        Tensor([1], ("N", "C"))
