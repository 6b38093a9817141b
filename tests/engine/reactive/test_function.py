"""engine.reactive.function: nodes out of reactivex operators, as functions and by name."""

import json
from datetime import timedelta

import numpy as np
import pytest
from reactivex import operators as ops

from engine.errors import NodeError, UsageError
from engine.payloads import Audio, Json, Text
from engine.reactive.function import ReactivexFunctionNode, ReactivexNode, rx
from engine.testing import StageBench
from tests.engine.reactive import chains_for_rx
from tests.engine.stage_helpers import texts

HERE = "tests.engine.reactive.chains_for_rx"


def ran(node, *payloads, seconds=0):
    """What comes out of a node that is fed these."""
    bench = StageBench({"n": node})
    bench.feed(*payloads)
    bench.run()
    bench.advance(seconds)
    bench.finish()
    bench.run()
    assert bench.stage.error is None, bench.stage.error
    return bench.values


def failed(node, *payloads):
    bench = StageBench({"n": node})
    bench.feed(*payloads)
    bench.run()
    assert isinstance(bench.stage.error, NodeError)
    assert bench.stage.error.node_id == "n"
    return bench.stage.error.message


def remade(node):
    """The node as a session makes it anew, of what a manifest says."""
    params = json.loads(json.dumps(node.params.model_dump(mode="json", exclude_unset=True)))
    return type(node)(**params)


# --------------------------------------------------------------------------------- functions


def test_functions_stand_in_their_order():
    node = rx(
        ops.filter(lambda packet: packet.payload.text != "1"),
        ops.map(lambda packet: Text(packet.payload.text + "!")),
    )
    assert isinstance(node, ReactivexFunctionNode)
    assert ran(node, *texts(3)) == ["0!", "2!"]


def test_a_function_of_an_observable_is_an_operator():
    assert ran(rx(lambda packets: packets.pipe(ops.take(1))), *texts(3)) == ["0"]


def test_functions_are_made_anew_by_a_session_in_this_process():
    node = rx(ops.skip(1))
    again = type(node)(functions=node.params.functions)
    assert ran(again, *texts(3)) == ["1", "2"]
    assert not ReactivexFunctionNode.portable
    assert ReactivexNode.portable


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (ops.ref_count(), "'ref_count' cannot stand in a node: it shares one count"),
        (ops.replay(), "its subject would be shared between sessions"),
        (ops.to_future(), "'to_future' cannot stand in a node: it ends the chain"),
        (ops.subscribe_on(None), "what comes before the other thread has subscribed"),
        (ops.partition(bool), "it gives two observables"),
        (ops.debounce, 'it was not called; write debounce(…) with its arguments, or rx("debounce"'),
        (3, "3 is no reactivex operator; rx takes functions such as ops.map"),
    ],
)
def test_what_cannot_stand_in_a_node_is_refused_at_once(function, sentence):
    with pytest.raises(UsageError, match="reactivex operator") as caught:
        rx(function)
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (ops.publish(), "'publish' gives an observable that waits to be connected"),
        (lambda source: 3, "gives a int where an observable is meant"),
    ],
)
def test_what_gives_no_stream_is_the_nodes_error_at_its_start(function, sentence):
    assert sentence in failed(rx(function))


def test_share_is_a_new_one_for_each_session():
    node = rx(ops.share(), ops.map(lambda packet: packet))
    assert ran(node, *texts(2)) == ["0", "1"]
    assert ran(node, *texts(2)) == ["0", "1"]


def test_arguments_belong_to_names():
    with pytest.raises(UsageError, match="takes the argument 'duetime' only behind a name"):
        rx(ops.map(str), duetime=3)


# -------------------------------------------------------------------------------------- names


def test_a_bare_name_is_an_operator_of_reactivex():
    node = rx("take", 2)
    assert isinstance(node, ReactivexNode)
    assert ran(node, *texts(3)) == ["0", "1"]


def test_a_named_function_makes_an_operator():
    node = rx(f"{HERE}:tag", "!", times=2, values=True)
    assert ran(remade(node), *texts(2)) == ["0!!", "1!!"]


def test_a_manifest_says_the_same():
    node = rx("map", chains_for_rx.shout).then("debounce", timedelta(seconds=0.5))
    assert node.params.model_dump(mode="json", exclude_unset=True) == {
        "operators": [
            {"name": "map", "args": [{"import": f"{HERE}:shout"}]},
            {"name": "debounce", "args": [0.5]},
        ]
    }
    assert ran(remade(node), Text("a"), Text("b"), seconds=1) == ["B"]


def test_operators_follow_each_other():
    node = rx("filter", chains_for_rx.is_long, values=True).then(f"{HERE}:tag", suffix="!")
    assert ran(remade(node), Text("a"), Text("bc"), Text("def")) == ["bc!", "def!"]


def test_functions_and_classes_are_imported_and_lists_searched():
    node = rx("map", int, values=True).then("start_with", [int, 1], {"import": "json:dumps"})
    assert node.params.model_dump(exclude_unset=True)["operators"][1]["args"] == (
        [{"import": "builtins:int"}, 1],
        {"import": "json:dumps"},
    )
    assert ran(rx("map", int, values=True), Text("3")) == [3]


def test_a_name_of_ours_is_found_too():
    node = rx("buffer_with_count", 2).then("collect")
    assert ran(remade(node), Text("a"), Json(1), Text("c")) == [["a", 1], ["c"]]


def refused(name, *args, **kwargs):
    """The sentence rx says; the one the params say of the same is checked against it."""
    with pytest.raises(UsageError) as caught:
        rx(name, *args, **kwargs)
    call = {"name": name, "args": list(args), "kwargs": kwargs}
    with pytest.raises(UsageError) as by_params:
        ReactivexNode(operators=[call])
    assert caught.value.message in by_params.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("debounc", "'debounc' is no operator of reactivex; did you mean 'debounce'?"),
        (f"{HERE}:shoot", f"cannot find 'shoot' in module '{HERE}'; did you mean 'shout'?"),
        ("no_such.module:f", "cannot import 'no_such.module:f': No module named"),
        ("my.module.f", "write 'my.module:f'"),
        (f"{HERE}:NOT_A_FUNCTION", "is a int, not a function"),
        ("do_after_next", "use do_action"),
        ("auto_connect", "use share"),
        ("reactivex.operators:ref_count", "use share"),
        ("publish", "waits to be connected, which nobody does; give it a mapper, or use share"),
        ("replay", "waits to be connected"),
    ],
)
def test_a_name_that_means_nothing_here_is_told(name, sentence):
    assert sentence in refused(name)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (("debounce",), "missing a required argument: 'duetime'; its signature is (duetime: "),
        (("debounce", "1s"), 'duetime must be a timedelta or a number, got "1s"; its signature is'),
        (("take", -1), "'take' refuses its arguments: Argument out of range; its signature is"),
        (("take", 1.5), "count must be a whole number, got 1.5; its signature is (count: int)"),
        (("map", "shout"), 'mapper must be a function ({"import": "module:name"}), got "shout"'),
        (("merge", 3), 'sources must be an object ({"import": "module:name"}), got 3'),
        (("map", {"import": "shout"}), 'an import is written {"import": "module:name"}'),
        (
            ("map", {"import": "json:lods"}),
            "cannot find 'lods' in module 'json'; did you mean 'loads'?",
        ),
        ((f"{HERE}:tag",), "missing a required argument: 'suffix'; its signature is (suffix, *, "),
    ],
)
def test_arguments_that_a_function_refuses_are_told_with_its_signature(call, sentence):
    assert sentence in refused(*call)


def test_a_lambda_has_no_name():
    with pytest.raises(UsageError, match="which a manifest could not say: move it into a module"):
        rx("map", lambda packet: packet)


def test_a_function_of_somebody_elses_is_called_only_where_the_node_runs():
    chains_for_rx.CALLS.clear()
    node = remade(rx(f"{HERE}:tag", "!", times=0))
    assert chains_for_rx.CALLS == []
    message = failed(node)
    assert chains_for_rx.CALLS == [("!", 0)]
    assert f"'{HERE}:tag' refuses its arguments: times must be at least 1" in message
    assert "its signature is (suffix, *, times=1)" in message


@pytest.mark.parametrize("function", ["nothing_of_the_kind", "gives_a_list"])
def test_a_function_that_makes_no_operator_is_the_nodes_error_at_its_start(function):
    message = failed(rx(f"{HERE}:{function}"))
    assert f"'{HERE}:{function}' gives a" in message
    assert "takes an observable and gives one" in message


def test_there_must_be_an_operator():
    with pytest.raises(UsageError, match="operators"):
        ReactivexNode(operators=[])


# ------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("given", "value", "out"),
    [
        (Text("a"), "a", "a"),
        (Json({"a": 1}), {"a": 1}, {"a": 1}),
        (Json(None), None, None),
        (Text("a"), 3, 3),
        (Text("a"), ("a", 1), ["a", 1]),
        (Text("a"), True, True),
    ],
)
def test_a_chain_of_values_sees_and_gives_plain_ones(given, value, out):
    seen = []

    def note(item):
        seen.append(item)
        return value

    assert ran(rx(ops.map(note), values=True), given) == [out]
    assert seen == [given.text if isinstance(given, Text) else given.value]


def test_other_payloads_are_their_own_values():
    audio = Audio(np.zeros(2, np.float32), 8_000)
    node = rx(ops.map(lambda value: audio if value == "a" else value.sample_rate), values=True)
    assert ran(node, Text("a"), audio) == [audio, 8_000]


def test_a_list_of_payloads_is_no_value():
    node = rx(ops.map(lambda value: [Text(value)]), values=True)
    assert "a list is not a payload" in failed(node, Text("a"))


def test_values_collect_into_lists():
    assert ran(rx("buffer_with_count", 2, values=True), *texts(3)) == [["0", "1"], ["2"]]


# ------------------------------------------------------------------------------ what is held


@pytest.mark.parametrize(
    ("node", "holds_nothing"),
    [
        (rx("map", chains_for_rx.shout).then("take", 3), True),
        (rx("map", chains_for_rx.shout).then("delay", 1), False),
        (rx(f"{HERE}:tag", "!"), False),
        (rx(ops.map(str), ops.filter(bool)), True),
        (rx(ops.map(str), ops.debounce(1)), False),
        (rx(lambda packets: packets), False),
    ],
)
def test_it_is_known_which_chains_hold_nothing(node, holds_nothing):
    assert node.holds_nothing is holds_nothing
