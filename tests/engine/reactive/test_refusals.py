"""engine.reactive.refusals: what is known of a function that a reactivex operator made."""

import functools

import pytest
import reactivex
from reactivex import operators as ops

from engine.reactive.refusals import (
    HOLDS_NOTHING,
    REFUSED,
    label_of,
    operator_name,
    refusal_of_function,
)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (ops.map(str), "map"),
        (ops.debounce(1.0), "debounce"),
        (ops.start_with(1), "start_with"),
        (ops.ref_count(), "ref_count"),
        (ops.replay(), "multicast"),
        (lambda source: source, None),
        (functools.partial(reactivex.merge), None),
        (len, None),
    ],
)
def test_a_function_tells_the_operator_that_made_it(function, name):
    assert operator_name(function) == name


def test_a_sentence_names_any_function():
    def voices(source):
        return source

    assert label_of(ops.map(str)) == "map"
    assert label_of(voices).endswith("voices")
    assert "partial" in label_of(functools.partial(voices))


@pytest.mark.parametrize(
    "function", [ops.map(str), ops.share(), ops.replay(mapper=lambda o: o), ops.publish(), len]
)
def test_most_functions_may_stand_in_a_chain(function):
    assert refusal_of_function(function) is None


def test_those_that_hold_nothing_are_operators():
    assert all(hasattr(ops, name) for name in HOLDS_NOTHING)
    assert not HOLDS_NOTHING & set(REFUSED)
