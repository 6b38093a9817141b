"""What a class of operators cannot say, told when it is defined."""

from __future__ import annotations

import pytest

from engine.operator import Operator


def define(**members):
    return type("Wrong", (Operator,), members)


async def asynchronous(self, *args):
    """A coroutine."""


def plain(self, *args):
    """No coroutine."""


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"initialize": plain}, "initialize must be `async def`"),
        ({"cleanup": plain}, "cleanup must be `async def`"),
        ({"reset": asynchronous}, "reset must not be `async def`: nobody would await it"),
        ({"wants": asynchronous}, "wants must not be `async def`"),
        ({"stateful": True}, r"is stateful and has no reset\(ctx\)"),
        ({"process_only": True}, "is process_only and so needs default_executor"),
        ({"outputs": "loud"}, r"outputs must be a tuple of names: \('loud',\)"),
        ({"inputs": ("a", "a")}, "inputs has a name twice"),
        ({"inputs": ("a", 3)}, "inputs must be names"),
        ({"accepts": "audio"}, r"accepts must be a set of kinds: frozenset\(\{'audio'\}\)"),
        ({"emits": {"Audio"}}, "emits names 'Audio', which is no kind; did you mean 'audio'"),
        ({"Params": dict}, "Params must be a pydantic model"),
    ],
)
def test_a_mistake_is_told(members, words):
    with pytest.raises(TypeError, match=f"Wrong: {words}"):
        define(**members)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(TypeError, match=r"Wrong: initialize .*; outputs .*; accepts "):
        define(initialize=plain, outputs="a", accepts="text")


def test_what_is_right_is_left_alone():
    define(
        initialize=asynchronous,
        reset=plain,
        stateful=True,
        inputs=("a", "b"),
        outputs=(),
        accepts=frozenset({"audio", "text"}),
    )
