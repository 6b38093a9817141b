"""engine.operator: the contract of operators."""

import pytest
from pydantic import BaseModel, Field

from engine.errors import UsageError
from engine.operator import Operator, Params, Ports, begins_stage, ports_of, process_kind


class Gain(Operator):
    class Params(Params):
        gain_db: float = Field(0.0, ge=-60, le=60)
        name: str = ""

    def process(self, packet, ctx):
        return packet


def test_params_are_validated_and_have_defaults():
    assert Gain().params.gain_db == 0.0
    assert Gain(gain_db=3).params.gain_db == 3.0


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"gain_db": 100}, r"^Gain: gain_db: .*less than or equal to 60"),
        ({"gain_db": "loud"}, r"^Gain: gain_db: .*valid number"),
        ({"gian_db": 1}, r"^Gain: there is no param 'gian_db'; did you mean 'gain_db'"),
        ({"gain_db": 100, "name": 1}, r"gain_db: .*; name: "),
    ],
)
def test_wrong_params_are_refused_with_all_that_is_wrong(params, message):
    with pytest.raises(UsageError, match=message) as caught:
        Gain(**params)
    assert caught.value.context == {"node_type": "Gain"}


def test_params_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Gain().params.gain_db = 1


def test_params_may_be_any_model():
    class Loose(Operator):
        class Params(BaseModel):
            x: int = 1

    assert Loose(y=2).params.x == 1


def test_an_operator_without_params_takes_none():
    class Bare(Operator):
        pass

    Bare()
    with pytest.raises(UsageError, match="Bare: there is no param 'x'; there are no params"):
        Bare(x=1)


def test_params_go_by_name():
    with pytest.raises(UsageError, match=r"Gain: params go by name: Gain\(gain_db=…, name=…\)"):
        Gain(3)


def test_an_operator_shows_what_was_said_of_it():
    assert repr(Gain(gain_db=3)) == "Gain(gain_db=3.0)"
    assert repr(Gain()) == "Gain()"


def test_an_operator_without_the_base_classs_init_cannot_be_composed():
    class Own(Operator):
        def __init__(self):
            pass

    with pytest.raises(UsageError, match=r"Own has an __init__ of its own that does not call"):
        Own().flow()


def test_the_node_type_is_the_class_name_unless_it_is_said():
    class Named(Gain):
        node_type = "GainNode"

    class Derived(Named):
        pass

    assert (Gain.node_type, Named.node_type, Derived.node_type) == ("Gain", "GainNode", "Derived")


def test_what_keeps_state_must_know_how_to_forget_it():
    with pytest.raises(TypeError, match=r"Counter: is stateful and has no reset\(ctx\)"):

        class Counter(Operator):
            stateful = True

    class Resetting(Operator):
        stateful = True

        def reset(self, ctx):
            pass

    class Inherits(Resetting):
        stateful = True


def test_the_defaults_of_the_contract():
    cls = Operator
    assert (cls.inputs, cls.outputs) == (("in",), ("out",))
    assert (cls.accepts, cls.emits, cls.strict) == (None, None, False)
    assert (cls.stateful, cls.joins, cls.chooses, cls.rate) == (False, False, False, "any")
    assert (cls.held_max, cls.concurrency, cls.default_executor) == (None, 1, None)


async def test_what_an_operator_does_not_say_does_nothing():
    node = Operator()
    await node.initialize(None)
    assert node.flush(None) is None
    node.reset(None)
    assert node.wants("in")
    await node.cleanup()
    with pytest.raises(NotImplementedError, match="Operator does not define process"):
        node.process(None, None)


class Coroutine(Operator):
    async def process(self, packet, ctx):
        return packet


class AsyncGenerator(Operator):
    async def process(self, packet, ctx):
        yield packet


class Generator(Operator):
    def process(self, packet, ctx):
        yield packet


class Choosing(Operator):
    chooses = True


@pytest.mark.parametrize(
    ("cls", "kind", "begins"),
    [
        (Gain, "sync", False),
        (Generator, "sync", False),
        (Coroutine, "coroutine", True),
        (AsyncGenerator, "async_generator", True),
        (Choosing, "sync", True),
    ],
)
def test_how_a_class_processes_is_seen_without_calling_it(cls, kind, begins):
    assert process_kind(cls) == kind
    assert begins_stage(cls) is begins


def test_an_operator_says_where_its_node_runs_and_what_it_is_called():
    gain = Gain()
    (node,) = gain.named("g").on("local").nodes
    assert (node.operator, node.id, node.fields) == (gain, "g", {"executor": "local"})
    assert gain.on("local").named("g") == gain.named("g").on("local")


class Ported(Operator):
    class Params(Params):
        names: tuple[str, ...] = ("a", "b")

    @classmethod
    def ports(cls, params):
        if not params.names:
            raise ValueError("name at least one")
        return Ports(params.names, ("out",))


def test_ports_may_depend_on_params():
    assert (Ported(names=("x",)).inputs, Ported().inputs) == (("x",), ("a", "b"))
    assert ports_of(Ported, {"names": ["y", "z"]}) == (("y", "z"), ("out",))
    assert ports_of(Gain, {}) == (Gain.inputs, Gain.outputs)


def test_ports_that_cannot_be_told_are_an_error():
    with pytest.raises(UsageError, match="its ports cannot be told: name at least one"):
        ports_of(Ported, {"names": []})


@pytest.mark.parametrize(
    ("ports", "words"),
    [
        (("a", "b"), "two tuples of different names"),
        (("in", ("out",)), "two tuples of different names"),
        ((("a", "a"), ("out",)), "two tuples of different names"),
        (((), (1,)), "two tuples of different names"),
        (None, "ports raised TypeError"),
    ],
)
def test_what_are_no_ports_is_an_error(ports, words):
    class Wrong(Operator):
        @classmethod
        def ports(cls, params):
            return ports

    with pytest.raises(UsageError, match=words):
        ports_of(Wrong, {})
    with pytest.raises(UsageError, match=words):
        Wrong()


def test_ports_may_be_any_pair_of_names():
    class Plain(Operator):
        @classmethod
        def ports(cls, params):
            return ["a", "b"], ["out"]

    assert ports_of(Plain, {}) == Ports(("a", "b"), ("out",))
    assert Plain().inputs == ("a", "b")
