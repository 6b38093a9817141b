"""Plain Python values as old code hands them around: JSON values, text, arrays of numbers.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

#: Deeper values hold themselves, or are nobody's JSON.
_DEPTH_MAX = 200

#: dtypes by the older API's own names, beside numpy's.
_DTYPES = {
    f"{letter}{bits}": f"{word}{bits}"
    for letter, word in (("f", "float"), ("i", "int"), ("u", "uint"))
    for bits in (8, 16, 32, 64)
    if (letter, bits) != ("f", 8)
}


class TextPayload(str):
    """Text that old code may take for a string or for its bytes."""

    __slots__ = ()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """What bytes would give."""
        del encoding, errors
        return str.__str__(self)


class Truth(int):
    """True or False where Python allows no subclass of bool."""

    def __repr__(self) -> str:
        return repr(bool(self))


def plain(value: Any, depth: int = 0) -> Any:
    """A copy of a value, made of what `json.loads` would give.

    Tuples and sets become lists; numpy's numbers and arrays become Python's.

    Raises:
        TypeError: JSON does not know something in it.
    """
    if value is None or isinstance(value, bool):
        return value
    for kind, leaf in _LEAVES:
        if isinstance(value, kind):
            return leaf(value)
    if depth > _DEPTH_MAX:
        raise TypeError("a value nested this deeply, or in itself, is no JSON")
    if isinstance(value, Mapping):
        return {_key(name): plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in value]
    if hasattr(value, "data_type") and hasattr(value, "payload"):
        return plain(value.payload, depth + 1)
    raise TypeError(f"{type(value).__name__} is nothing JSON knows")


#: How a value that holds no others becomes Python's own; the first kind that fits.
_LEAVES: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((np.generic, np.ndarray), lambda value: plain(value.tolist())),
    (Truth, bool),
    (str, str.__str__),
    (int, int),
    (float, float),
)


def _key(name: Any) -> str:
    return str.__str__(name) if isinstance(name, str) else json.dumps(plain(name))


def strings(entries: Mapping[Any, Any]) -> dict[str, str]:
    """What is said beside data as a packet carries it: strings; other values as JSON.

    Raises:
        TypeError: JSON does not know one of them.
    """
    return {
        _key(name): str.__str__(value) if isinstance(value, str) else json.dumps(plain(value))
        for name, value in entries.items()
        if value is not None
    }


def tensor_array(data: Any, dtype: Any = None, shape: Any = None) -> npt.NDArray[Any]:
    """Numbers as an array.

    Args:
        data: an array, anything numpy makes one of, nested lists, or bytes.
        dtype: numpy's, or the older API's name; float32 for bytes by default, else the data's own.
        shape: of bytes.

    Raises:
        ValueError: the bytes do not fill the shape.
    """
    wanted = None if dtype is None else np.dtype(_DTYPES.get(str(dtype), dtype))
    if isinstance(data, bytes | bytearray | memoryview):
        array = np.frombuffer(data, wanted or np.float32)
        return array if shape is None else array.reshape(tuple(shape))
    detach = getattr(data, "detach", None)  # a tensor of PyTorch's, on any device
    array = np.asarray(detach().cpu() if callable(detach) else data)
    return array if wanted is None or array.dtype == wanted else array.astype(wanted)
