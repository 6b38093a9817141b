import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops

from engine.errors import NodeError, UsageError
from engine.payloads import Binary, Json, Text
from engine.reactive.adapter import RxOperator
from engine.testing import StageBench
from operators.flow.zip import Zip
from tests.operators.flow.flow_helpers import (
    CONTROL,
    HERE,
    bench_of,
    block,
    fan_in_bench,
)


def feed(bench, port, *payloads, **header):
    payloads = [Text(one) if isinstance(one, str) else one for one in payloads]
    bench.feed(*payloads, at=f"node.{port}", **header)
    bench.run()


def end(bench, *ports):
    bench.finish(*(f"node.{port}" for port in ports))
    bench.run()


def pairs(bench):
    return ["".join(value.values()) for value in bench.values]


# ------------------------------------------------------------------------------- pairing


def test_the_first_goes_with_the_first_and_so_on():
    bench = fan_in_bench(Zip())
    feed(bench, "a", "1", "2")
    assert bench.values == []
    feed(bench, "b", "x", "y", "z")
    assert bench.values == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]
    feed(bench, "a", "3")
    assert pairs(bench) == ["1x", "2y", "3z"]


def test_several_ports_with_names_of_their_own():
    bench = fan_in_bench(Zip(inputs=["left", "right", "mid"]))
    feed(bench, "mid", "m", Json({"n": 1}))
    feed(bench, "right", "r", Json(None))
    feed(bench, "left", "l")
    assert bench.values == [{"left": "l", "right": "r", "mid": "m"}]
    feed(bench, "left", Json(2))
    assert bench.values[1] == {"left": 2, "right": None, "mid": {"n": 1}}
    assert list(bench.values[1]) == ["left", "right", "mid"]


@given(
    a=st.integers(0, 12),
    b=st.integers(0, 12),
    skew_max=st.integers(1, 4),
    capacity=st.integers(1, 3),
    order=st.lists(st.sampled_from("ab"), max_size=24),
)
def test_waiting_loses_nothing_whatever_the_order(a, b, skew_max, capacity, order):
    bench = fan_in_bench(Zip(skew_max=skew_max), capacity=capacity)
    left = {"a": [f"a{n}" for n in range(a)], "b": [f"b{n}" for n in range(b)]}
    for port in order:
        if left[port]:
            feed(bench, port, left[port].pop(0))
    feed(bench, "a", *left["a"])
    feed(bench, "b", *left["b"])
    end(bench, "a", "b")
    assert pairs(bench) == [f"a{n}b{n}" for n in range(min(a, b))]
    assert bench.stage.done
    assert bench.stage.error is None
    assert bench.settled


def test_without_waiting_pairs_are_zip_of_what_is_kept():
    bench = fan_in_bench(Zip(skew_max=2, policy="drop_oldest"))
    feed(bench, "a", *"12345")
    feed(bench, "b", *"xy")
    assert pairs(bench) == ["4x", "5y"]


@given(steps=st.lists(st.sampled_from("ab"), max_size=40), skew_max=st.integers(1, 3))
def test_dropping_against_a_plain_reference(steps, skew_max):
    held = {"a": [], "b": []}
    expected = []
    bench = fan_in_bench(Zip(skew_max=skew_max, policy="drop_oldest"))
    for number, port in enumerate(steps):
        feed(bench, port, str(number))
        held[port].append(str(number))
        if all(held.values()):
            expected.append({name: queue.pop(0) for name, queue in held.items()})
        else:
            held[port] = held[port][-skew_max:]
    assert bench.values == expected


# ------------------------------------------------------------------------------ the bound


def test_waiting_takes_no_more_than_skew_max_from_a_port_that_leads():
    bench = fan_in_bench(Zip(skew_max=3), capacity=2)
    feed(bench, "a", *(str(number) for number in range(20)))
    assert len(bench.feeders["node.a"].waiting) == 20 - 3 - 2  # held, and on the edge
    feed(bench, "b", "x")
    assert pairs(bench) == ["0x"]
    assert len(bench.feeders["node.a"].waiting) == 20 - 3 - 2 - 1


def test_a_silent_port_holds_the_other_back_for_ever_and_nothing_grows():
    bench = fan_in_bench(Zip(skew_max=1), capacity=1)
    feed(bench, "a", *"12345")
    bench.advance(3_600)
    assert bench.values == []
    assert len(bench.feeders["node.a"].waiting) == 3
    assert bench.stage.error is None


def test_the_policy_error_fails():
    bench = fan_in_bench(Zip(skew_max=2, policy="error"))
    feed(bench, "b", "x", "y")
    assert bench.stage.error is None
    feed(bench, "b", "z")
    with pytest.raises(NodeError, match="'b' leads 'a' by more than 2 packets: raise skew_max"):
        raise bench.stage.error


def test_one_edge_for_all_ports_cannot_wait_and_says_so():
    bench = bench_of(Zip(skew_max=2))
    for text in "123":
        bench.feed(Text(text), port="a")
    bench.run()
    assert "feed each port by a connection of its own" in bench.stage.error.message


def test_groups_are_paired():
    bench = bench_of(Zip(skew_max=1))
    for number in range(5):
        bench.feed_group("node", a=Text(str(number)), b=Text("x"))
    bench.run()
    assert pairs(bench) == ["0x", "1x", "2x", "3x", "4x"]


# -------------------------------------------------------------------------------- the end


@pytest.mark.parametrize("ended", ["a", "b"])
def test_it_ends_once_no_further_pair_can_come(ended):
    other = "b" if ended == "a" else "a"
    bench = fan_in_bench(Zip())
    feed(bench, ended, "1", "2")
    end(bench, ended)
    feed(bench, other, "3")
    assert not bench.stage.done
    feed(bench, other, "4")
    assert len(bench.values) == 2
    assert bench.stage.done
    assert bench.sink().ended
    feed(bench, other, "5")
    assert bench.settled


def test_a_port_that_ends_empty_ends_it_though_the_other_waits():
    bench = fan_in_bench(Zip(skew_max=1), capacity=1)
    feed(bench, "a", *"12345")
    end(bench, "b")
    assert bench.stage.done
    assert bench.values == []
    assert bench.settled
    assert not bench.feeders["node.a"].waiting


class Late(RxOperator):
    def chain(self, *inlets):
        return inlets[0].pipe(ops.delay(5))


def test_behind_its_end_it_holds_nobody_back_while_its_stage_goes_on():
    nodes = {"node": Zip(skew_max=1), "late": Late()}
    bench = StageBench(nodes, inputs=["node.a", "node.b"], capacity=1)
    feed(bench, "a", *"12345")
    feed(bench, "b", "x")
    end(bench, "b")
    assert not bench.feeders["node.a"].waiting
    assert bench.settled
    assert not bench.stage.done
    bench.advance(10)
    assert pairs(bench) == ["1x"]
    assert bench.stage.done


def test_all_ends_at_once():
    bench = fan_in_bench(Zip())
    end(bench, "a", "b")
    assert bench.stage.done
    assert bench.stage.error is None
    assert bench.sink().ended


# ------------------------------------------------------------------- interrupts, credits


def test_an_interrupt_forgets_what_leads():
    bench = fan_in_bench(Zip(skew_max=2))
    feed(bench, "a", "1", "2")
    bench.interrupt()
    bench.run()
    feed(bench, "b", "x")
    feed(bench, "a", "3")
    assert pairs(bench) == ["3x"]
    assert bench.sink().packets[0].generation == 1


def test_an_interrupt_ends_it_where_what_an_ended_port_held_is_forgotten():
    bench = fan_in_bench(Zip())
    feed(bench, "a", "1")
    end(bench, "a")
    bench.interrupt()
    bench.run()
    assert bench.stage.done
    assert bench.values == []


def test_a_slow_reader_holds_all_ports_back():
    bench = fan_in_bench(Zip(), capacity=1)
    sink = bench.sink()
    sink.withholding = True
    feed(bench, "a", *"123456789")
    feed(bench, "b", *"123456789")
    assert pairs(bench) == ["11"]
    sink.withholding = False
    sink.release()
    end(bench, "a", "b")
    assert pairs(bench) == [f"{n}{n}" for n in range(1, 10)]
    assert bench.settled


# ------------------------------------------------------------------------ what comes out


def test_a_function_makes_the_output_or_none():
    bench = fan_in_bench(Zip(combine=f"{HERE}:only_louder"))
    feed(bench, "a", Json(5), Json(1), Json(4))
    feed(bench, "b", Json(2), Json(2), Json(1))
    assert bench.values == [3, 3]


def test_a_function_takes_any_payload():
    bench = fan_in_bench(Zip(combine=f"{HERE}:total_bytes"))
    feed(bench, "a", Binary(b"12"))
    feed(bench, "b", Binary(b"345"))
    assert bench.values == [5]


@pytest.mark.parametrize(
    ("combine", "payload", "message"),
    [
        (None, block(1), "port 'a' brought audio.*name a function in the param combine"),
        (None, Binary(b"x"), "port 'a' brought binary"),
        ("not_a_payload", Text("x"), "dict is not a payload"),
        ("failing", Text("x"), "RuntimeError: it broke"),
    ],
)
def test_what_cannot_be_combined_is_explained(combine, payload, message):
    bench = fan_in_bench(Zip(combine=combine and f"{HERE}:{combine}"))
    feed(bench, "a", payload)
    feed(bench, "b", "y")
    with pytest.raises(NodeError, match=message):
        raise bench.stage.error


def test_control_messages_pass_on_unpaired():
    bench = fan_in_bench(Zip(skew_max=1))
    feed(bench, "a", "1", CONTROL)
    feed(bench, "b", CONTROL, "x")
    assert bench.sink().payloads.count(CONTROL) == 2
    assert {"a": "1", "b": "x"} in bench.values


def test_a_pair_descends_from_the_one_that_completed_it_at_the_earliest_time():
    bench = fan_in_bench(Zip())
    feed(bench, "a", "1", sequence=4, timestamp_ns=40)
    feed(bench, "b", "x", sequence=9, timestamp_ns=90, metadata={"of": "b"})
    (packet,) = bench.sink().packets
    assert (packet.sequence, packet.timestamp_ns, packet.metadata) == (9, 40, {"of": "b"})


# --------------------------------------------------------------------------------- params


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"inputs": ["a"]}, "inputs: "),
        ({"inputs": ["a", "a"]}, "'a' is there twice"),
        ({"inputs": ["a", "b.c"]}, r"inputs\.1: "),
        ({"inputs": "ab"}, "inputs: "),
        ({"skew_max": 0}, "skew_max: "),
        ({"policy": "block"}, "policy: "),
        ({"combine": "f"}, "package.module:function"),
    ],
)
def test_bad_params_are_explained(params, message):
    with pytest.raises(UsageError, match=message):
        Zip(**params)
