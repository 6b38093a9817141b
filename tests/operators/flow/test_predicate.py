import operator
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from engine.payloads import Audio, Binary, Json, Text
from operators.flow.importable import load_function
from operators.flow.json_path import same_json
from operators.flow.predicate import (
    DEPTH_MAX,
    PARTS_MAX,
    PredicateDocument,
    PredicateError,
    compile_predicate,
)
from tests.operators.flow.flow_helpers import HERE

AUDIO = Audio(np.zeros(3, np.float32), 8_000)
MISS = object()


def holds(document, packet):
    return compile_predicate(document, load_function)(packet)


def faults(document):
    with pytest.raises(PredicateError) as caught:
        compile_predicate(document, load_function)
    return [(fault.location, fault.message) for fault in caught.value.faults]


# ------------------------------------------------------------------------------- forms


@pytest.mark.parametrize(
    ("document", "payload", "expected"),
    [
        ({"kind": "audio"}, AUDIO, True),
        ({"kind": "audio"}, Text("audio"), False),
        ({"kind": ["text", "json"]}, Json(1), True),
        ({"kind": ["text", "json"]}, Binary(b""), False),
        ({"text": "on"}, Text("on"), True),
        ({"text": "on"}, Text("off"), False),
        ({"text": "on"}, Json("on"), False),
        ({"text": {"matches": "^turn (on|off)$"}}, Text("turn off"), True),
        ({"text": {"matches": "urn"}}, Text("turn off"), True),
        ({"text": {"in": ["a", "b"]}}, Text("c"), False),
        ({"field": "has_speech", "equals": True}, Json({"has_speech": True}), True),
        ({"field": "has_speech", "equals": True}, Json({"has_speech": 1}), False),
        ({"field": "a.1.b", "ge": 2}, Json({"a": [0, {"b": 2}]}), True),
        ({"field": "", "gt": 2}, Json(2), False),
        ({"field": "", "gt": 2, "lt": 4}, Json(3), True),
        ({"field": "", "gt": 2, "lt": 4}, Json(4), False),
        ({"field": "a", "equals": "x"}, Text("x"), False),
        ({"field": "a", "exists": False}, Text("x"), True),
        ({"not": {"kind": "text"}}, Text("x"), False),
        ({"all": [{"kind": "text"}, {"text": "x"}]}, Text("x"), True),
        ({"all": [{"kind": "text"}, {"text": "y"}]}, Text("x"), False),
        ({"any": [{"kind": "json"}, {"text": "x"}]}, Text("x"), True),
        ({"any": [{"kind": "json"}, {"text": "y"}]}, Text("x"), False),
        (f"{HERE}:is_long", Text("long"), True),
        (f"{HERE}:is_long", Text("x"), False),
        ({"not": f"{HERE}:is_long"}, Json(1), True),
    ],
)
def test_forms(make_packet, document, payload, expected):
    assert holds(document, make_packet(payload)) is expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"metadata": {"lang": "en"}}, True),
        ({"metadata": {"lang": "de"}}, False),
        ({"metadata": {"absent": "en"}}, False),
        ({"metadata": {"lang": "en", "mood": "calm"}}, True),
        ({"metadata": {"lang": "en", "mood": "angry"}}, False),
        ({"metadata": {"lang": {"matches": "^e", "ne": "es"}}}, True),
        ({"metadata": {"absent": {"exists": False}}}, True),
        ({"metadata": {"lang": {"exists": False}}}, False),
    ],
)
def test_metadata(make_packet, document, expected):
    packet = make_packet(AUDIO, metadata={"lang": "en", "mood": "calm"})
    assert holds(document, packet) is expected


@pytest.mark.parametrize(
    "test",
    [
        {"equals": None},
        {"ne": 1},
        {"in": [None, False]},
        {"gt": 0},
        {"lt": "z"},
        {"matches": ""},
        {"exists": True},
    ],
)
def test_no_test_but_exists_false_holds_of_a_missing_value(make_packet, test):
    assert not holds({"field": "absent", **test}, make_packet(Json({})))


@pytest.mark.parametrize("value", [None, True, "2", [2], {"a": 2}])
def test_numbers_are_ordered_among_numbers_only(make_packet, value):
    packet = make_packet(Json(value))
    assert not any(holds({"field": "", test: 1}, packet) for test in ("gt", "ge", "lt", "le"))


def test_a_function_that_raises_is_not_hidden(make_packet):
    with pytest.raises(RuntimeError, match="it broke"):
        holds(f"{HERE}:failing", make_packet(Text("x")))


# ------------------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    ("document", "location", "message"),
    [
        (3, (), "must be an object or"),
        (None, (), "must be an object or"),
        ([], (), "must be an object or"),
        ({}, (), "exactly one of .*; it is empty"),
        ({"kind": "text", "text": "a"}, (), 'join several by {"all"'),
        ({"kid": "text"}, ("kid",), "did you mean 'kind'"),
        ("is_long", (), "package.module:function"),
        ({"kind": "zzz"}, ("kind",), "must be a payload kind; the kinds are audio"),
        ({"kind": "adio"}, ("kind",), "did you mean 'audio'"),
        ({"kind": []}, ("kind",), "at least one"),
        ({"kind": 3}, ("kind",), "must be a payload kind"),
        ({"metadata": "en"}, ("metadata",), "must be an object like"),
        ({"metadata": {}}, ("metadata",), "must be an object like"),
        ({"metadata": {"lang": 3}}, ("metadata", "lang"), "must be a string, or an object"),
        ({"metadata": {"lang": {"like": "e"}}}, ("metadata", "lang", "like"), "no test"),
        ({"text": ["a"]}, ("text",), "must be a string, or an object"),
        ({"text": {}}, ("text",), "must say what to test"),
        ({"field": "a..b", "equals": 1}, ("field",), "joined by single dots"),
        ({"field": 3, "equals": 1}, ("field",), "must be a dotted path"),
        ({"field": "a"}, (), "must say what to test: equals, ne"),
        ({"field": "a", "equal": 1}, ("equal",), "did you mean 'equals'"),
        ({"field": "a", "gt": True}, ("gt",), "must be a number or a string"),
        ({"field": "a", "in": 3}, ("in",), "must be a list"),
        ({"field": "a", "in": []}, ("in",), "not empty"),
        ({"field": "a", "exists": 1}, ("exists",), "must be true or false"),
        ({"field": "a", "matches": 1}, ("matches",), "must be a regular expression"),
        ({"field": "a", "matches": "("}, ("matches",), "is no regular expression: missing"),
        ({"field": "a", "matches": "a" * 1_001}, ("matches",), "at most 1000 characters"),
        ({"all": []}, ("all",), "must be a list of predicates, not empty"),
        ({"any": {"kind": "text"}}, ("any",), "must be a list of predicates"),
        ({"not": {"all": [{"kind": "text"}, 3]}}, ("not", "all", 1), "must be an object or"),
    ],
)
def test_what_is_no_predicate_is_explained_where_it_stands(document, location, message):
    ((where, text),) = faults(document)
    assert where == location
    assert re.search(message, text)


def test_all_faults_are_found_at_once():
    document = {"all": [{"kind": "x"}, {"any": [{"field": "", "gt": []}, {"text": 1}]}, 5]}
    assert [where for where, _ in faults(document)] == [
        ("all", 0, "kind"),
        ("all", 1, "any", 0, "gt"),
        ("all", 1, "any", 1, "text"),
        ("all", 2),
    ]


def test_a_bottomless_document_is_refused():
    document = {"kind": "text"}
    for _ in range(DEPTH_MAX):
        document = {"all": [document]}
    compile_predicate(document, load_function)
    document = {"all": [{"all": [document]}]}
    assert len(faults(document)) == 1


def test_an_endless_document_is_refused():
    parts = [{"kind": "text"}] * (PARTS_MAX - 1)
    compile_predicate({"any": parts}, load_function)
    assert len(faults({"any": parts * 3})) == 1


def test_as_a_param_each_fault_has_its_path():
    class Params(BaseModel):
        routes: list[PredicateDocument]

    good = {"metadata": {"lang": "en"}}
    assert Params(routes=[good]).model_dump() == {"routes": [good]}
    with pytest.raises(ValidationError) as caught:
        Params(routes=[good, {"any": [{"kind": "x"}, {"text": {"matches": "("}}]}])
    assert [error["loc"] for error in caught.value.errors()] == [
        ("routes", 1, "any", 0, "kind"),
        ("routes", 1, "any", 1, "text", "matches"),
    ]


def test_functions_are_not_imported_to_check_a_param():
    class Params(BaseModel):
        when: PredicateDocument

    assert Params(when="no_such_module:f").when == "no_such_module:f"


# -------------------------------------------------------------- against a plain reference

SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0, "a", "b"])
FIELDS = st.sampled_from(["a", "b", "c.d"])
TESTS = st.one_of(
    st.tuples(st.sampled_from(["equals", "ne"]), SCALARS),
    st.tuples(
        st.sampled_from(["gt", "ge", "lt", "le"]), st.integers(-2, 2) | st.sampled_from(["a", "b"])
    ),
    st.tuples(st.just("in"), st.lists(SCALARS, min_size=1, max_size=3)),
    st.tuples(st.just("exists"), st.booleans()),
)
DOCUMENTS = st.recursive(
    st.builds(lambda field, test: {"field": field, test[0]: test[1]}, FIELDS, TESTS),
    lambda inner: st.one_of(
        st.builds(lambda part: {"not": part}, inner),
        st.builds(
            lambda form, parts: {form: parts},
            st.sampled_from(["all", "any"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=6,
)
VALUES = st.fixed_dictionaries(
    {}, optional={"a": SCALARS, "b": SCALARS, "c": st.fixed_dictionaries({"d": SCALARS})}
)


def reference(document, value):  # noqa: PLR0911 - one per form
    """What a document means, read off it anew each time."""
    if "not" in document:
        return not reference(document["not"], value)
    if "all" in document:
        return all(reference(part, value) for part in document["all"])
    if "any" in document:
        return any(reference(part, value) for part in document["any"])
    found = value
    for key in document["field"].split("."):
        found = found.get(key, MISS) if isinstance(found, dict) else MISS
    ((test, operand),) = ((key, document[key]) for key in document if key != "field")
    if test == "exists":
        return (found is not MISS) == operand
    if found is MISS:
        return False
    if test in ("equals", "ne"):
        return same_json(found, operand) == (test == "equals")
    if test == "in":
        return any(same_json(found, one) for one in operand)
    numbers = (int, float)
    both_numbers = isinstance(found, numbers) and not isinstance(found, bool)
    comparable = both_numbers if isinstance(operand, numbers) else isinstance(found, str)
    return comparable and getattr(operator, test)(found, operand)


@given(DOCUMENTS, VALUES)
def test_a_predicate_means_what_it_says(make_packet, document, value):
    assert holds(document, make_packet(Json(value))) is reference(document, value)
