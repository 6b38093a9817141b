"""engine.reactive.named: operators found by name. What `rx` says of names is in test_function."""

import json

import pytest
import reactivex
from pydantic import ValidationError
from reactivex import operators as ops

from engine.errors import UsageError
from engine.reactive.collect import collect
from engine.reactive.named import OperatorCall, applied, check_call, find
from tests.engine.reactive import chains_for_rx

HERE = "tests.engine.reactive.chains_for_rx"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("debounce", ops.debounce),
        ("reactivex.operators:map", ops.map),
        ("collect", collect),
        ("json:loads", json.loads),
        ("json:JSONDecoder.decode", json.JSONDecoder.decode),
        (f"{HERE}:shout", chains_for_rx.shout),
    ],
)
def test_a_name_stands_for_what_is_there(name, found):
    assert find(name) is found


def test_a_module_that_raises_is_told(monkeypatch, tmp_path):
    (tmp_path / "broken_chains.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="importing 'broken_chains' raised ZeroDivisionError"):
        find("broken_chains:f")


def test_a_call_makes_the_operator_with_what_its_arguments_name():
    call = OperatorCall(name="scan", args=[{"import": "operator:mul"}], kwargs={"seed": 2})
    heard = []
    reactivex.of(3, 4).pipe(call.make()).subscribe(heard.append)
    assert heard == [6, 24]


def test_a_call_that_will_fail_is_no_call():
    with pytest.raises(ValidationError, match="'take' refuses its arguments"):
        OperatorCall(name="take", args=[-1])


def test_many_arguments_of_one_kind_are_each_checked():
    check_call("merge", [{"import": f"{HERE}:TICKS"}], {})
    with pytest.raises(UsageError, match="sources must be an object"):
        check_call("merge", [{"import": f"{HERE}:TICKS"}, 3], {})


def test_every_operator_that_needs_no_argument_can_be_named():
    for name in ("as_observable", "pairwise", "distinct", "materialize", "share", "to_list"):
        check_call(name, [], {})


def test_a_chain_is_its_operators_in_order():
    heard = []
    chain = applied(reactivex.of(1, 2), [("a", ops.map(lambda n: n + 1)), ("b", ops.skip(1))])
    chain.subscribe(heard.append)
    assert heard == [3]
