"""The limits of sessions: each is crossed, and not crossed, by one; the accounts always add up."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from engine import limits, machine
from engine.config import Settings
from engine.errors import NodeError, ResourceLimitError
from engine.graph import build_graph
from engine.limits import (
    Accounts,
    Ledger,
    as_limit_error,
    check_descriptors,
    check_segments,
    descriptors_needed,
)
from engine.machine import Room
from engine.manifest.load import load_manifest
from engine.operator import Operator
from engine.plan import make_plan
from engine.registry import Registry


class Pass(Operator):
    def process(self, packet, ctx):
        return packet


REGISTRY = Registry()
REGISTRY.register(Pass)


def plan_of(*executors, **settings):
    """A chain of nodes on these executors."""
    nodes = [
        {"id": f"n{number}", "node_type": "Pass", "executor": executor}
        for number, executor in enumerate(executors)
    ]
    document = {
        "version": "v1",
        "metadata": {"name": "chain"},
        "nodes": nodes,
        "connections": [{"from": a["id"], "to": b["id"]} for a, b in pairwise(nodes)],
    }
    graph, _ = build_graph(load_manifest(document), REGISTRY)
    plan, _ = make_plan(graph, Settings(**settings), "chain")
    return plan


# ------------------------------------------------------------------------------------ the accounts


class TestAccounts:
    def test_the_last_process_is_given_and_the_one_after_it_is_not(self):
        accounts = Accounts()
        accounts.admit("a", 2, processes_max=3, sessions_max=None)
        accounts.admit("b", 1, processes_max=3, sessions_max=None)
        with pytest.raises(ResourceLimitError, match="raise max_processes_total") as caught:
            accounts.admit("c", 1, processes_max=3, sessions_max=None)
        assert caught.value.context == {"limit": 3, "requested": 4, "resource": "processes"}
        assert (accounts.sessions, accounts.processes) == (2, 3)

    def test_a_session_without_processes_is_let_in_however_many_there_are(self):
        accounts = Accounts()
        accounts.admit("a", 3, processes_max=3, sessions_max=None)
        accounts.admit("b", 0, processes_max=2, sessions_max=None)
        assert accounts.sessions == 2

    def test_the_last_session_is_let_in_and_the_one_after_it_is_not(self):
        accounts = Accounts()
        accounts.admit("a", 0, processes_max=1, sessions_max=2)
        accounts.admit("b", 0, processes_max=1, sessions_max=2)
        with pytest.raises(ResourceLimitError, match="raise max_sessions") as caught:
            accounts.admit("c", 0, processes_max=1, sessions_max=2)
        assert caught.value.context == {"limit": 2, "requested": 3, "resource": "sessions"}
        accounts.end("a")
        accounts.admit("c", 0, processes_max=1, sessions_max=2)

    def test_a_process_is_free_when_its_worker_is_gone_and_not_before(self):
        accounts = Accounts()
        accounts.admit("a", 2, processes_max=2, sessions_max=None)
        accounts.worker_started("a")
        accounts.end("a")
        accounts.admit("b", 1, processes_max=2, sessions_max=None)  # a's other never started
        with pytest.raises(ResourceLimitError):
            accounts.admit("c", 1, processes_max=2, sessions_max=None)
        accounts.worker_gone("a")
        accounts.admit("c", 1, processes_max=2, sessions_max=None)

    def test_a_running_session_keeps_its_processes_for_a_new_start(self):
        accounts = Accounts()
        accounts.admit("a", 1, processes_max=1, sessions_max=None)
        for _ in range(2):
            accounts.worker_started("a")
            accounts.worker_gone("a")
            with pytest.raises(ResourceLimitError):
                accounts.admit("b", 1, processes_max=1, sessions_max=None)
        accounts.end("a")
        accounts.end("a")
        assert accounts.processes == 0

    def test_a_worker_of_no_session_counts_until_it_is_gone(self):
        accounts = Accounts()
        accounts.worker_started("alone")
        assert (accounts.sessions, accounts.processes) == (0, 1)
        accounts.worker_gone("alone")
        accounts.worker_gone("alone")
        assert accounts.processes == 0


PROCESSES_MAX = 6
SESSIONS_MAX = 4


class AccountsMachine(RuleBasedStateMachine):
    """Sessions that start, fail, end and lose workers in any order."""

    running = Bundle("running")
    workers = Bundle("workers")

    def __init__(self):
        super().__init__()
        self.accounts = Accounts()
        self.count = 0
        #: Session → processes planned, while it has not ended.
        self.planned = {}
        #: Session → its workers that are not gone.
        self.alive = {}

    def held(self):
        names = self.planned.keys() | self.alive.keys()
        return sum(max(self.planned.get(name, 0), self.alive.get(name, 0)) for name in names)

    @rule(target=running, processes=st.integers(0, PROCESSES_MAX + 1))
    def start(self, processes):
        self.count += 1
        name = f"s{self.count}"
        fits = len(self.planned) < SESSIONS_MAX and (
            not processes or self.held() + processes <= PROCESSES_MAX
        )
        expected = contextlib.nullcontext() if fits else pytest.raises(ResourceLimitError)
        with expected as caught:
            self.accounts.admit(
                name, processes, processes_max=PROCESSES_MAX, sessions_max=SESSIONS_MAX
            )
        if fits:
            self.planned[name] = processes
        else:
            assert caught.value.context["requested"] > caught.value.context["limit"]
        return name  # what was not let in is ended like all others

    @rule(target=workers, name=running)
    def spawn(self, name):
        if self.alive.get(name, 0) < self.planned.get(name, 0):
            self.alive[name] = self.alive.get(name, 0) + 1
            self.accounts.worker_started(name)
            return name
        return None

    @rule(name=consumes(workers))
    def reap(self, name):
        if name is not None:
            self.alive[name] -= 1
            self.accounts.worker_gone(name)

    @rule(name=consumes(running))
    def end(self, name):
        self.planned.pop(name, None)
        self.accounts.end(name)

    @invariant()
    def adds_up(self):
        assert self.accounts.sessions == len(self.planned)
        assert self.accounts.processes == self.held() <= PROCESSES_MAX

    @invariant()
    def remembers_nobody_who_is_gone(self):
        there = {name for name, count in self.alive.items() if count} | self.planned.keys()
        assert self.accounts._accounts.keys() == there


TestAccountsMachine = AccountsMachine.TestCase


class Owner:
    """What can be collected, as a session."""


class TestLedger:
    def test_threads_together_never_have_more_than_there_may_be(self):
        ledger = Ledger()
        plan = plan_of("process", "process", max_processes_total=6, max_sessions=3)
        begin, refused, let_in = threading.Barrier(8), [], []
        #: One permit for each session that there may be at a time, taken without waiting.
        permits = threading.Semaphore(3)
        too_many = []

        def work(thread):
            owner = Owner()
            begin.wait()
            for turn in range(200):
                name = f"{thread}-{turn}"
                try:
                    ledger.admit(owner, name, plan)
                except ResourceLimitError:
                    refused.append(name)
                    continue
                if not permits.acquire(blocking=False):
                    too_many.append(name)
                    return
                let_in.append(name)
                ledger.worker_started(name)
                ledger.end(name)
                permits.release()
                ledger.worker_gone(name)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not too_many
        assert len(refused) + len(let_in) == 1600
        assert (ledger.sessions, ledger.processes) == (0, 0)

    def test_a_session_that_was_collected_no_longer_counts(self):
        ledger = Ledger()
        owner = Owner()
        ledger.admit(owner, "a", plan_of("local", max_sessions=1))
        assert ledger.sessions == 1
        del owner
        gc.collect()
        assert ledger.sessions == 0
        ledger.admit(Owner(), "b", plan_of("local", max_sessions=1))

    def test_a_forked_child_begins_with_nothing(self):
        ledger = Ledger()
        owner = Owner()
        ledger.admit(owner, "a", plan_of("process"))
        ledger.reset()
        assert (ledger.sessions, ledger.processes) == (0, 0)


# ------------------------------------------------------------------------------ open files, memory


class TestDescriptors:
    @pytest.mark.parametrize("executors", [("process",), ("local", "process", "process")])
    def test_what_just_fits_is_let_in_and_one_less_is_not(self, executors):
        plan = plan_of(*executors)
        needed = descriptors_needed(plan)
        check_descriptors(plan, Room(100 + needed, 100))
        with pytest.raises(ResourceLimitError, match=r"too many open files.*ulimit -n") as caught:
            check_descriptors(plan, Room(99 + needed, 100))
        assert caught.value.context["limit"] == 99 + needed
        assert caught.value.context["requested"] == 100 + needed

    def test_no_limit_refuses_nothing(self):
        check_descriptors(plan_of("process"), Room(None, 0))

    def test_a_plan_without_processes_needs_none(self):
        assert descriptors_needed(plan_of("local", "local")) == 0

    def test_more_processes_need_more(self):
        needed = [descriptors_needed(plan_of(*["process"] * count)) for count in range(1, 5)]
        assert needed == sorted(set(needed))


class TestSegments:
    def test_the_machine_is_asked_for_its_memory_once(self, monkeypatch):
        asked = []
        monkeypatch.setattr(machine, "memory_bytes_max", lambda: asked.append(1))
        limits._memory_bytes_max.cache_clear()
        for name in ("a", "b"):
            limits.admit(Owner(), name, plan_of("process"))
            limits.LEDGER.end(name)
        assert len(asked) == 1
        limits._memory_bytes_max.cache_clear()

    def test_a_segment_as_large_as_all_memory_is_taken_and_a_larger_one_is_refused(self):
        plan = plan_of("process", shm_segment_bytes=1 << 20)
        check_segments(plan, 1 << 20)
        with pytest.raises(ResourceLimitError, match="lower shm_segment_size") as caught:
            check_segments(plan, (1 << 20) - 1)
        assert caught.value.context["limit"] == (1 << 20) - 1
        assert caught.value.context["requested"] == 1 << 20

    def test_unknown_memory_refuses_nothing(self):
        check_segments(plan_of("process", shm_segment_bytes=1 << 32), None)

    def test_segments_that_together_exceed_memory_are_told_once(self, caplog):
        limits._warn_of_segments.cache_clear()
        plan = plan_of("process", shm_segment_bytes=2 << 20)  # one for the ingress, one for it
        with caplog.at_level(logging.WARNING):
            check_segments(plan, 4 << 20)
            assert not caplog.records
            check_segments(plan, (4 << 20) - 1)
            check_segments(plan, (4 << 20) - 1)
        (record,) = caplog.records
        assert "2 segments" in record.getMessage()
        assert "shm_segment_size" in record.getMessage()


class TestMemoryErrors:
    @pytest.mark.parametrize("name", ["MemoryError", "_ArrayMemoryError", "ArrowMemoryError"])
    def test_memory_that_was_refused_is_the_limits_doing(self, name):
        error = NodeError("node 'a' failed", node_id="a", exception=name, session_id="s")
        limited = as_limit_error(error, 64)
        assert isinstance(limited, ResourceLimitError)
        assert limited.__cause__ is error
        assert "node 'a' needs more memory" in limited.message
        assert "raise max_session_memory_mb" in limited.message
        assert limited.context["limit"] == 64
        assert "requested" in limited.context
        assert limited.context["session_id"] == "s"

    def test_without_a_limit_it_stays_what_it_is(self):
        error = NodeError("node 'a' failed", node_id="a", exception="MemoryError")
        assert as_limit_error(error, None) is error

    def test_other_errors_stay_what_they_are(self):
        error = NodeError("node 'a' failed", node_id="a", exception="ValueError")
        assert as_limit_error(error, 64) is error
