import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.flow.json_path import MISSING, is_number, look_up, parse_path, same_json

VALUE = {"speech": {"words": [{"text": "one"}, {"text": "two"}]}, "none": None, "1": "key"}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", VALUE),
        ("speech.words.1.text", "two"),
        ("none", None),
        ("1", "key"),
        ("none.deeper", MISSING),
        ("speech.words.2", MISSING),
        ("speech.words.-1", MISSING),
        ("speech.words.text", MISSING),
        ("speech.words.0.text.0", MISSING),
        ("absent", MISSING),
    ],
)
def test_a_path_leads_to_a_value_or_to_nothing(path, found):
    result = look_up(VALUE, parse_path(path))
    assert result is found if found is MISSING else result == found


@pytest.mark.parametrize("path", [".", "a.", ".a", "a..b", "a" * 1_001])
def test_a_path_with_an_empty_part_or_without_end_is_refused(path):
    with pytest.raises(ValueError, match="must "):
        parse_path(path)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        (None, False, False),
        ("1", 1, False),
        ([1, {"a": 2.0}], [1.0, {"a": 2}], True),
        ([True], [1], False),
        ({"a": True}, {"a": 1}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1, 2], [1], False),
        ({}, [], False),
    ],
)
def test_equality_is_that_of_json(first, second, same):
    assert same_json(first, second) is same
    assert same_json(second, first) is same


@pytest.mark.parametrize(
    ("value", "number"), [(1, True), (1.5, True), (True, False), ("1", False), (None, False)]
)
def test_numbers_are_those_of_json(value, number):
    assert is_number(value) is number


@given(JSON)
def test_a_value_equals_what_it_is_read_back_as(value):
    assert same_json(value, json.loads(json.dumps(value)))
