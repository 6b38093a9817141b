"""engine.steering: orders, and their form as JSON."""

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.steering import (
    NODE_STATES,
    Attach,
    Detach,
    Order,
    ParamsTaken,
    SetNodeState,
    SetParams,
    Tell,
    nodes_of,
    order_from_dict,
    order_to_dict,
)

TEXT = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
NUMBERS = st.integers(0, 2**63)
ORDERS = st.one_of(
    st.builds(SetParams, TEXT, OBJECTS),
    st.builds(SetNodeState, TEXT, st.sampled_from(NODE_STATES)),
    st.builds(Tell, st.lists(TEXT, min_size=1, max_size=3).map(tuple), OBJECTS, NUMBERS),
    st.builds(Attach, TEXT, st.sampled_from(["tap", "intercept", "publish"]), TEXT, TEXT, NUMBERS),
    st.builds(Detach, TEXT, TEXT),
)


@given(ORDERS)
def test_an_order_survives_the_journey_as_json(order):
    assert order_from_dict(json.loads(json.dumps(order_to_dict(order)))) == order


@given(ORDERS)
def test_a_damaged_order_is_refused(order):
    data = order_to_dict(order)
    with pytest.raises(ValueError, match="unknown order"):
        order_from_dict({**data, "verb": "dance"})
    with pytest.raises(ValueError, match="unknown order"):
        order_from_dict({**data, "verb": ["tell"]})
    with pytest.raises(ValueError, match=f"damaged order {order.verb!r}"):
        order_from_dict({**data, "more": 1})
    needed = fields(order)[0].name
    with pytest.raises(ValueError, match="damaged order"):
        order_from_dict({name: value for name, value in data.items() if name != needed})


@given(ORDERS)
def test_an_order_says_for_which_nodes_it_is(order):
    assert nodes_of(order) == (order.node_ids if isinstance(order, Tell) else (order.node_id,))


def test_each_order_has_a_word_of_its_own():
    verbs = [cls.verb for cls in Order.__args__]
    assert len(set(verbs)) == len(verbs) == 5


def test_what_was_taken_survives_the_journey_as_json():
    taken = ParamsTaken({"gain": 2.0, "names": ["a"]}, {"a→b": 7})
    assert ParamsTaken.from_dict(json.loads(json.dumps(taken.to_dict()))) == taken
