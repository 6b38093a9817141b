"""Payloads of every kind, for hypothesis."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.payloads import (
    AUDIO_DTYPES,
    VIDEO_CODECS,
    VIDEO_FORMATS,
    Audio,
    BatchHint,
    Binary,
    CancelSpeculation,
    Control,
    DeadlineWarning,
    File,
    Json,
    Table,
    Tensor,
    Text,
    Video,
)
from engine.payloads.tensor import TENSOR_DTYPES

U64 = st.integers(0, 2**64 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))  # surrogates are no Unicode
#: Names of columns; in Arrow's C interface they end at a NUL.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
SAMPLES = st.sampled_from(AUDIO_DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, st.tuples(st.integers(0, 40), st.integers(1, 8)), elements=hnp.from_dtype(dtype)
    )
)
AUDIO = st.builds(Audio, SAMPLES, st.integers(1, 2**31 - 1))


@st.composite
def videos(draw):
    format_ = draw(st.sampled_from(VIDEO_FORMATS))
    width, height = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    codec = ""
    if format_ == "encoded":
        codec = draw(st.sampled_from(VIDEO_CODECS))
        data = draw(st.binary(min_size=1, max_size=50))
    else:
        bytes_per_pixel = {"rgb24": 3, "rgba32": 4, "gray8": 1}.get(format_)
        if bytes_per_pixel is None:
            width, height, bytes_per_pixel = 2 * width, 2 * height, 1.5
        data = np.random.default_rng(draw(st.integers(0, 2**32))).bytes(
            int(width * height * bytes_per_pixel)
        )
    return Video(data, format_, width, height, draw(U64), codec, draw(st.booleans()))


TENSORS = st.builds(
    Tensor,
    st.sampled_from(sorted(TENSOR_DTYPES)).flatmap(
        lambda name: hnp.arrays(
            name, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
        )
    ),
    TEXTS,
)
MESSAGES = st.one_of(
    st.tuples(U64, U64).map(lambda ends: CancelSpeculation(min(ends), max(ends))),
    st.builds(BatchHint, st.integers(1, 2**32 - 1)),
    st.builds(DeadlineWarning, U64),
)
FILES = st.builds(
    File, TEXTS.filter(bool), TEXTS, TEXTS, st.just(0), U64, st.integers(0, 1000), TEXTS
)
COLUMNS = st.one_of(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
    st.lists(st.none() | TEXTS, min_size=3, max_size=3),
    st.lists(st.none() | st.floats(allow_nan=False), min_size=3, max_size=3),
    st.lists(st.lists(st.integers(0, 9)), min_size=3, max_size=3),
    st.lists(st.fixed_dictionaries({"x": st.booleans(), "y": TEXTS}), min_size=3, max_size=3),
    st.lists(st.sampled_from(["red", "green"]), min_size=3, max_size=3).map(
        lambda values: pa.array(values).dictionary_encode()
    ),
)


@st.composite
def tables(draw):
    columns = draw(st.dictionaries(NAMES, COLUMNS, max_size=4))
    batch = pa.RecordBatch.from_pydict(columns)
    own = draw(st.dictionaries(TEXTS, TEXTS, max_size=2))
    start = draw(st.integers(0, 3))
    return Table(batch.replace_schema_metadata(own or None)[start:])


PAYLOADS = st.one_of(
    AUDIO,
    videos(),
    TENSORS,
    st.builds(Text, TEXTS, TEXTS, TEXTS),
    st.builds(Json, JSON_VALUES, TEXTS),
    st.builds(Binary, st.binary(), TEXTS),
    FILES,
    tables(),
    st.builds(Control, MESSAGES, TEXTS, U64, JSON_VALUES),
)

#: One of each kind.
EXAMPLES = {
    "audio": Audio(np.arange(6, dtype=np.int16).reshape(3, 2), 16_000),
    "video": Video(np.arange(72, dtype=np.uint8).reshape(4, 6, 3), frame_number=7, keyframe=True),
    "tensor": Tensor(np.arange(6, dtype=np.float32).reshape(2, 3), "HW"),
    "text": Text("hé" * 20, "de", "ui"),
    "json": Json({"a": [1, 2, {"b": None}]}, "s"),
    "binary": Binary(b"\0\1" * 100, "x/y"),
    "file": File("/a/b.wav", "b.wav", "audio/wav", 1000, 10, 20, "s1"),
    "table": Table(
        pa.RecordBatch.from_pydict(
            {"n": [1, None, 3], "word": ["a", "b", None]}
        ).replace_schema_metadata({"made by": "a test"})
    ),
    "control": Control(CancelSpeculation(5, 9), "segment", 12, {"why": "barge-in"}),
}


def same(one, other):
    """Equality in which NaN is equal to itself: arrays are compared by their bits."""
    if type(one) is not type(other):
        return False
    for name in ("samples", "pixels", "array"):
        if hasattr(one, name):
            ours, theirs = getattr(one, name), getattr(other, name)
            rest = [field for field in type(one).__slots__ if field != name]
            return (
                (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
                and ours.tobytes() == theirs.tobytes()
                and all(getattr(one, field) == getattr(other, field) for field in rest)
            )
    return one == other
