"""engine.payloads.plain: Text, Json, Binary and File check their fields."""

from pathlib import Path

import numpy as np
import pytest

from engine.payloads import Binary, File, Json, Text


def test_equality_is_by_value():
    assert Text("x") == Text("x", "", "tts")
    assert Text("x") != Text("x", "de")
    assert Json({"a": [1]}) == Json({"a": [1]})
    assert Binary(b"x").mime_type == "application/octet-stream"
    assert File("a") == File("a", "", "", 0, 0, 0, "")


def test_text_of_a_subclass_of_str_is_text():
    assert Text(np.str_("abc")) == Text("abc")


@pytest.mark.parametrize("data", [bytearray(b"abc"), memoryview(b"abc")])
def test_bytes_like_data_becomes_bytes_nobody_can_change(data):
    binary = Binary(data)
    assert type(binary.data) is bytes
    assert binary == Binary(b"abc")


def test_a_file_takes_a_path():
    assert File(Path("/tmp") / "a.wav").path == "/tmp/a.wav"


def test_a_part_of_a_file():
    file = File("a", size=100, offset=np.int64(60), length=40)
    assert (file.offset, file.length) == (60, 40)
    assert type(file.offset) is int
    assert File("a", offset=10**15).size == 0  # the size is unknown


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Text(5), r"Text\.text must be a string, got int"),
        (lambda: Text(None), r"Text\.text must be a string, got NoneType"),
        (lambda: Text("a", b"de"), r"Text\.language must be a string, got bytes"),
        (lambda: Text("a", "de", 3), r"Text\.channel must be a string, got int"),
        (lambda: Json(1, None), r"Json\.schema_type must be a string"),
        (lambda: Binary(None), r"Binary\.data must be bytes, .* got NoneType"),
        (lambda: Binary("abc"), r"Binary\.data must be bytes, .* got str"),
        (lambda: Binary(7), r"got int"),
        (lambda: Binary(np.zeros(3, np.uint8)), r"got ndarray"),
        (lambda: Binary(b"", None), r"Binary\.mime_type must be a string"),
        (lambda: File(b"/tmp/a"), r"File\.path must be a string, got bytes"),
        (lambda: File("a", stream_id=4), r"File\.stream_id must be a string, got int"),
        (lambda: File("a", size=1.5), r"File\.size must be a whole number, got float"),
    ],
)
def test_a_field_of_another_type_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": ""}, r"path must not be empty"),
        ({"size": -1}, r"File\.size must be 0 to 18446744073709551615, got -1"),
        ({"offset": 2**64}, r"File\.offset must be 0 to"),
        ({"length": -5}, r"File\.length must be 0 to"),
        ({"size": 10, "offset": 8, "length": 3}, r"bytes 8 to 11 of a file of 10 bytes"),
    ],
)
def test_a_file_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        File(**({"path": "a"} | fields))
