"""The parts of a stream that need no server: limits, plans, waiting inputs, causes, news."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Settings
from engine.errors import ManifestError, UsageError
from engine.executors.contract import Progress
from protos.remotemedia.v1 import common_pb2
from tests.transports.rpc.rpc_client import manifest
from tests.transports.rpc.rpc_operators import make_registry
from transports.rpc.chunk_times import Cause, ChunkTimes
from transports.rpc.inbox import Inbox
from transports.rpc.limits import ServiceLimits
from transports.rpc.plans import PlanCache
from transports.rpc.status_news import status_response, status_text, text_of

# --- causes --------------------------------------------------------------------------------------


def test_an_output_is_caused_by_the_input_that_entered_then():
    times = ChunkTimes(10)
    assert times.cause_of(5) == Cause(0, 0)
    times.note(100, 7)
    times.note(200, 9)
    assert times.cause_of(150) == Cause(7, 1)
    assert times.cause_of(200) == Cause(9, 2)
    assert times.cause_of(10**18) == Cause(9, 2)
    assert times.cause_of(1) == Cause(7, 1)  # entered before what is remembered


@given(st.integers(1, 20), st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=100))
def test_the_last_inputs_are_remembered_whatever_came_before(remembered, sequences):
    times = ChunkTimes(remembered)
    for position, sequence in enumerate(sequences):
        times.note(10 * position, sequence)
    assert times.count == len(sequences)
    for position, sequence in list(enumerate(sequences))[-remembered:]:
        assert times.cause_of(10 * position + 5) == Cause(sequence, position + 1)


# --- waiting inputs ------------------------------------------------------------------------------


async def test_an_inbox_gives_in_order_what_was_put():
    inbox = Inbox(3, 1_000)
    got = []

    async def take():
        while (item := await inbox.get()) is not None:
            got.append(item)

    taking = asyncio.create_task(take())
    for number in range(1, 100):
        await inbox.put(number, 1)
    await inbox.put(None, 0)
    await taking
    assert got == list(range(1, 100))


@pytest.mark.parametrize(("count_max", "bytes_max", "size"), [(2, 1_000, 1), (100, 20, 10)])
async def test_who_puts_into_a_full_inbox_waits_for_room(count_max, bytes_max, size):
    inbox = Inbox(count_max, bytes_max)
    await inbox.put("a", size)
    await inbox.put("b", size)
    putting = asyncio.create_task(inbox.put("c", size))
    await asyncio.sleep(0)
    assert (putting.done(), len(inbox)) == (False, 2)
    assert await inbox.get() == "a"
    await putting
    assert [await inbox.get(), await inbox.get()] == ["b", "c"]


async def test_an_item_larger_than_the_inbox_may_wait_alone():
    inbox = Inbox(10, 100)
    await inbox.put("large", 1_000)
    putting = asyncio.create_task(inbox.put("small", 1))
    await asyncio.sleep(0)
    assert not putting.done()
    assert await inbox.get() == "large"
    await putting
    assert await inbox.get() == "small"


async def test_a_cancelled_wait_has_neither_put_nor_taken():
    inbox = Inbox(1, 100)
    getting = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    getting.cancel()
    await asyncio.gather(getting, return_exceptions=True)
    await inbox.put("a", 1)
    putting = asyncio.create_task(inbox.put("b", 1))
    await asyncio.sleep(0)
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    assert await inbox.get() == "a"
    assert len(inbox) == 0


# --- news ----------------------------------------------------------------------------------------


def test_news_have_the_form_that_clients_read():
    assert status_text("n", "ready", "") == "[n] status=ready message="
    assert text_of(Progress("n", "importing", 0.0, "")) == (
        "[n] status=initializing message=importing"
    )
    assert text_of(Progress("n", "loading_model", 0.25, "")) == (
        "[n] status=loading_model message=25%"
    )
    assert text_of(Progress("n", "loading\nmodel", 0.5, "a\r\nb")) == (
        "[n] status=loading model message=a b"
    )
    response = status_response("\ud800")
    assert response.result.data_outputs["_status"].text.text_data == b"?"
    assert response.result.sequence == 0


# --- limits --------------------------------------------------------------------------------------


def test_a_call_gets_what_it_asks_for_up_to_the_services_own():
    limits = ServiceLimits(timeout_s=10, memory_mb=100, audio_samples_max=1_000)
    own = limits.for_call(common_pb2.ResourceLimits())
    assert (own.timeout_s, own.memory_mb, own.rules.audio_samples_max) == (10, 100, 1_000)
    less = limits.for_call(
        common_pb2.ResourceLimits(
            max_timeout_ms=500, max_memory_bytes=50 * 2**20 + 1, max_audio_samples=10
        )
    )
    assert (less.timeout_s, less.memory_mb, less.rules.audio_samples_max) == (0.5, 51, 10)
    most = 2**64 - 1
    more = limits.for_call(
        common_pb2.ResourceLimits(
            max_timeout_ms=most, max_memory_bytes=most, max_audio_samples=most
        )
    )
    assert (more.timeout_s, more.memory_mb, more.rules.audio_samples_max) == (10, 100, 1_000)


def test_memory_is_unlimited_unless_somebody_limits_it():
    assert ServiceLimits().for_call(common_pb2.ResourceLimits()).memory_mb is None
    asked = common_pb2.ResourceLimits(max_memory_bytes=2**20)
    assert ServiceLimits().for_call(asked).memory_mb == 1


@pytest.mark.parametrize(
    "fields", [{"timeout_s": 0}, {"message_bytes_max": 10}, {"pending_chunks_max": 0}]
)
def test_limits_out_of_range_are_refused(fields):
    with pytest.raises(UsageError, match=next(iter(fields))):
        ServiceLimits(**fields)


async def test_a_calls_memory_is_bounded_in_its_plan():
    plans = PlanCache(make_registry(), Settings(max_session_memory_mb=50))
    prepared, _ = await plans.get(manifest({"u": "Upper"}))
    for asked_mb, expected_mb in ((10, 10), (60, 50)):
        asked = common_pb2.ResourceLimits(max_memory_bytes=asked_mb * 2**20)
        plan = ServiceLimits().for_call(asked).applied_to(prepared.plan)
        assert plan.settings.max_session_memory_mb == expected_mb


# --- plans ---------------------------------------------------------------------------------------


async def test_what_is_sent_again_is_planned_once():
    plans = PlanCache(make_registry(), Settings())
    first, kept = await plans.get(manifest({"u": "Upper"}))
    assert not kept
    again, kept = await plans.get(manifest({"u": "Upper"}))
    assert kept
    assert again is first
    for other in (
        plans.get(manifest({"v": "Upper"})),
        plans.get(manifest({"u": "Upper"}), "{}"),
        plans.get(manifest({"u": "Upper"}), None, ["u"]),
    ):
        _, kept = await other
        assert not kept
    assert (plans.hits, plans.misses, len(plans), plans.nodes) == (1, 4, 4, 4)


async def test_plans_used_last_are_kept_within_the_bounds():
    plans = PlanCache(make_registry(), Settings(), plans_max=2, nodes_max=3)
    for name in ("a", "b", "a", "c"):  # b is the one used least recently
        await plans.get(manifest({name: "Upper"}))
    assert [(await plans.get(manifest({name: "Upper"})))[1] for name in ("a", "c")] == [True, True]
    assert len(plans) == 2
    await plans.get(manifest({"x": "Upper", "y": "Upper"}))
    assert (len(plans), plans.nodes) == (2, 3)
    await plans.get(manifest(dict.fromkeys("abcd", "Upper")))  # larger than all there may be
    assert (len(plans), plans.nodes) == (2, 3)


async def test_what_cannot_run_is_not_kept():
    plans = PlanCache(make_registry(), Settings())
    for _ in range(2):
        with pytest.raises(ManifestError):
            await plans.get(manifest({"a": "Uper"}))
    assert (len(plans), plans.misses) == (0, 2)


def test_an_input_that_did_not_enter_is_none():
    times = ChunkTimes(10)
    times.note(100, 7)
    times.note(200, 9)
    times.take_back()
    assert times.count == 1
    assert times.cause_of(250) == Cause(7, 1)
