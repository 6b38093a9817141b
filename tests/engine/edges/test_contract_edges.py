"""engine.testing.edges: every edge keeps its contract, and what does not is found."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from engine.edges.metered import MeteredEdge
from engine.testing.edges import (
    CHECKS,
    FAULTS,
    RULES,
    EdgeContractError,
    EdgePair,
    LocalPair,
    SharedMemoryPair,
    breaches_of_edge,
    check_edge,
)
from engine.testing.edges.passing import PassingPair

EDGES = [LocalPair, SharedMemoryPair]


class MeteredPair(EdgePair):
    """A local edge that counts bytes, with room for what the rules send."""

    def __init__(self, capacity, ports=("in",)):
        edge = MeteredEdge("edge", capacity, None, 1 << 40)
        super().__init__(edge, edge, ports)


def passing(*args, **options):
    """A pair of ends that only pass on: what the faults begin with is no fault."""
    return PassingPair(SharedMemoryPair(*args, **options))


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("make_edge", [*EDGES, MeteredPair, passing])
def test_an_edge_keeps_its_contract(make_edge, loop_factory):
    check_edge(make_edge, loop_factory=loop_factory)


def test_an_edge_of_small_sockets_keeps_its_contract():
    def make_edge(capacity, ports=("in",)):
        return SharedMemoryPair(capacity, ports, send_buffer_bytes=10_000)

    check_edge(make_edge)


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("make_edge", EDGES)
def test_a_broken_edge_is_found_by_the_rule_it_breaks(make_edge, name):
    fault = FAULTS[name]
    if fault.mortal and not make_edge.mortal:
        make_edge = SharedMemoryPair  # there it shows
    breaches = breaches_of_edge(fault.break_edge(make_edge), fault.breaks)
    assert set(breaches) == set(fault.breaks)
    for rule, breach in breaches.items():
        assert breach.startswith(f"{RULES[rule]}; but ")


def test_every_rule_has_a_fault_that_breaks_it():
    assert {rule for fault in FAULTS.values() for rule in fault.breaks} == RULES.keys()


def test_what_is_broken_is_said_in_full():
    with pytest.raises(EdgeContractError, match="does not keep the contract of an edge") as caught:
        check_edge(FAULTS["finishes once"].break_edge(LocalPair))
    (breach,) = caught.value.breaches.values()
    assert breach == (
        "closing, finishing and failing twice is once, and the first ending counts;"
        " but finish raised EdgeClosedError: the stream has ended already"
    )
    assert "  - twice_is_once: closing" in str(caught.value)


def test_what_an_edge_has_of_the_system_is_given_back(no_leaks):
    breaches_of_edge(SharedMemoryPair)


def test_a_rule_can_be_checked_alone():
    assert breaches_of_edge(FAULTS["loses"].break_edge(LocalPair), ["headers"]) == {}


def test_rules_have_names_of_their_own():
    assert len(RULES) == len(CHECKS)


async def test_an_edge_that_never_comes_to_rest_is_an_error(monkeypatch):
    class Chatty(SharedMemoryPair):
        async def settle(self):
            asyncio.get_running_loop().remove_reader(self.far)
            await super().settle()

    monkeypatch.setattr("engine.testing.edges.pairs.TURNS_MAX", 50)
    pair = Chatty(1)
    pair.sender.finish()
    with pytest.raises(AssertionError, match="still talk after 50 turns"):
        await pair.settle()
    pair.dispose()


def test_only_what_can_die_is_killed():
    pair = LocalPair(1)
    assert isinstance(pair, EdgePair)
    for kill in (pair.kill_producer, pair.kill_consumer):
        with pytest.raises(NotImplementedError):
            kill()
