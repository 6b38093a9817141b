"""engine.adapters.asynchronous: which calls run, and the order in which their results leave."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.payloads import Text
from engine.testing import StageBench, run_virtual
from tests.engine.adapters.adapter_helpers import failed, sync_results
from tests.engine.stage_helpers import Join, operator, repeat, texts, virtual


@virtual
async def test_a_coroutine_may_return_whatever_process_may():
    results = sync_results()

    async def process(packet, ctx):
        await asyncio.sleep(1)
        return results[packet.payload.text][0](packet, ctx)

    bench = StageBench({"a": operator(process), "b": operator()})
    bench.feed(*(Text(name) for name in results))
    bench.finish()
    await bench.joined()
    expected = []
    for name, (_, values) in results.items():
        expected += [name if value == "x" else value for value in values]
    assert bench.values == expected
    assert asyncio.get_running_loop().time() == pytest.approx(len(results))


@virtual
async def test_a_coroutine_that_forgets_to_await_is_told_so():
    async def inner():
        return None

    async def process(packet, ctx):
        return inner()

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    await bench.joined()
    message = failed(bench, "a", "process").message
    assert "Made.process returned an awaitable: await it inside" in message


@virtual
async def test_results_leave_in_the_order_of_arrival():
    running = 0
    most = 0

    async def process(packet, ctx):
        nonlocal running, most
        running += 1
        most = max(most, running)
        number = int(packet.payload.text)
        await asyncio.sleep((7 * number) % 5)
        running -= 1
        return [Text(f"{number}a"), Text(f"{number}b")]

    bench = StageBench({"a": operator(process, concurrency=3)})
    bench.feed(*texts(10))
    bench.finish()
    await bench.joined()
    assert bench.values == [f"{number}{letter}" for number in range(10) for letter in "ab"]
    assert bench.sink().lineage == [(number, index) for number in range(10) for index in (0, 1)]
    assert most == 3
    assert bench.settled


@virtual
async def test_only_as_many_packets_are_taken_as_may_run():
    async def process(packet, ctx):
        await asyncio.sleep(10)

    bench = StageBench({"a": operator(process, concurrency=2)})
    bench.feed(*texts(5))
    await asyncio.sleep(1)
    statistics = bench._feeder(None).edge.statistics()
    assert (statistics.in_flight, statistics.queued) == (2, 3)
    bench.finish()
    await bench.joined()
    assert bench.settled
    # Five calls of ten seconds.
    assert bench.stage.statistics().nodes["a"].waited_ns == pytest.approx(50e9)


@virtual
async def test_a_group_for_a_coroutine_runs_no_more_calls_than_allowed():
    running = most = 0

    async def process(packet, ctx):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1
        return packet

    bench = StageBench({"a": operator(process, inputs=("left", "right"))})
    bench.feed_group(left=Text("l0"), right=Text("r0"))
    bench.feed_group(left=Text("l1"), right=Text("r1"))
    bench.finish()
    await bench.joined()
    assert bench.values == ["l0", "r0", "l1", "r1"]
    assert bench.sink().lineage == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert most == 1


@virtual
async def test_a_coroutine_may_join_groups():
    async def process(group, ctx):
        return Text("".join(packet.payload.text for packet in group.values()))

    bench = StageBench({"a": operator(process, inputs=("left", "right"), joins=True)})
    bench.feed_group(left=Text("l"), right=Text("r"))
    bench.finish()
    await bench.joined()
    assert bench.values == ["lr"]
    assert bench.sink().lineage == [(0, 0)]


@virtual
async def test_what_an_asynchronous_generator_yields_may_be_expanded_behind_it():
    async def process(packet, ctx):
        for number in range(3):
            await asyncio.sleep(1)
            yield Text(f"{packet.payload.text}{number}")

    nodes = {"a": operator(process), "b": repeat(2, "generator"), "c": repeat(2)}
    bench = StageBench(nodes, capacity=1)
    bench.feed(*texts(2))
    bench.finish()
    await bench.joined()
    assert bench.values == [
        f"{packet}{number}.{b}.{c}"
        for packet in range(2)
        for number in range(3)
        for b in range(2)
        for c in range(2)
    ]
    assert bench.sink().lineage == [(s, i) for s in range(2) for i in range(12)]


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
@virtual
async def test_an_error_of_a_call_is_its_nodes_behind_what_came_before(kind):
    async def coroutine(packet, ctx):
        await asyncio.sleep(1 if packet.payload.text == "1" else 5)
        if packet.payload.text == "1":
            raise ValueError("one")
        return packet

    async def generator(packet, ctx):
        yield await coroutine(packet, ctx)

    process = coroutine if kind == "coroutine" else generator
    bench = StageBench({"a": operator(process, concurrency=3)})
    bench.feed(*texts(4))
    bench.finish()
    await bench.joined()
    assert bench.values == ["0"]
    assert failed(bench, "a", "process").context["sequence"] == 1


@virtual
async def test_a_process_that_cannot_even_be_called_is_the_nodes_error():
    async def process(packet):
        return packet

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    await bench.joined()
    assert isinstance(failed(bench, "a", "process").__cause__, TypeError)


@virtual
async def test_the_end_waits_for_open_calls():
    async def process(packet, ctx):
        await asyncio.sleep(1)
        return (Text(f"{packet.payload.text}.{number}") for number in range(2))

    flushed = []
    node = operator(process, flush=lambda ctx: flushed.append(len(bench.values)), concurrency=4)
    bench = StageBench({"a": node}, capacity=2)
    bench.feed(*texts(3))
    bench.finish()
    await bench.joined()
    assert len(bench.values) == 6
    assert flushed
    assert bench.stage.done


@virtual
async def test_what_is_emitted_beside_a_call_descends_from_its_packet():
    async def process(packet, ctx):
        ctx.call_later(0.5, lambda: ctx.emit(Text(f"timer {packet.payload.text}")))
        await asyncio.sleep(1)
        ctx.emit(Text(f"beside {packet.payload.text}"))
        await asyncio.sleep(1)
        return packet

    bench = StageBench({"a": operator(process)})
    bench.feed(*texts(2))
    bench.finish()
    await bench.joined()
    assert bench.values == ["timer 0", "beside 0", "0", "timer 1", "beside 1", "1"]
    assert bench.sink().lineage == [(s, i) for s in range(2) for i in range(3)]


@virtual
async def test_a_call_that_begins_does_not_change_what_a_suspended_result_descends_from():
    async def process(packet, ctx):
        return (Text(f"{packet.payload.text}.{number}") for number in range(3))

    bench = StageBench({"a": operator(), "b": operator(process)}, capacity={"b": 1})
    bench.feed(*texts(3))
    bench.finish()
    await bench.joined()
    assert bench.sink().lineage == [(s, i) for s in range(3) for i in range(3)]


@virtual
async def test_a_timer_of_an_asynchronous_operator_that_raises_names_it():
    def boom():
        raise ValueError("boom")

    async def process(packet, ctx):
        ctx.call_later(1, boom)
        await asyncio.sleep(5)

    bench = StageBench({"a": operator(process)})
    bench.feed(Text("x"))
    await bench.joined()
    failed(bench, "a", "a call_later callback")


@virtual
async def test_a_task_group_inside_a_coroutine_is_the_operators_own():
    async def process(packet, ctx):
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1))
        return packet

    bench = StageBench({"a": operator(process)})
    bench.feed(*texts(2))
    bench.finish()
    await bench.joined()
    assert bench.values == ["0", "1"]


def waiting(kind, concurrency, delays):
    """Hands a text out twice, after waiting for each as long as `delays` says."""

    async def coroutine(packet, ctx):
        number = packet.sequence
        await asyncio.sleep(delays[number % len(delays)])
        items = [Text(f"{packet.payload.text}.{copy}") for copy in range(2)]
        return items if number % 2 else iter(items)

    async def generator(packet, ctx):
        for copy in range(2):
            await asyncio.sleep(delays[(packet.sequence + copy) % len(delays)])
            yield Text(f"{packet.payload.text}.{copy}")

    return operator(coroutine if kind == "coroutine" else generator, concurrency=concurrency)


@given(
    kind=st.sampled_from(["coroutine", "generator"]),
    behind=st.lists(st.sampled_from(["list", "generator", "join"]), max_size=2),
    concurrency=st.integers(1, 4),
    capacity=st.integers(1, 4),
    delays=st.lists(st.sampled_from([0, 0.5, 1, 3]), min_size=1, max_size=4),
    pause=st.sampled_from([0, 0.4, 5]),
    cancelled_at=st.none() | st.sampled_from([0, 0.3, 2, 7]),
)
def test_what_waits_gives_the_same_as_what_does_not(
    kind, behind, concurrency, capacity, delays, pause, cancelled_at
):
    def chain(head):
        rest = [Join(3) if one == "join" else repeat(2, one) for one in behind]
        return {f"n{position}": node for position, node in enumerate([head, *rest])}

    expected = StageBench(chain(repeat(2)), capacity=100_000)
    expected.feed(*texts(6))
    expected.finish()
    expected.run()

    async def scenario():
        bench = StageBench(chain(waiting(kind, concurrency, delays)), capacity=capacity)
        sink = bench.sink()
        sink.withholding = bool(pause)
        bench.feed(*texts(6))
        bench.finish()
        loop = asyncio.get_running_loop()
        if cancelled_at is not None:
            loop.call_later(cancelled_at, bench.stage.cancel)
        while not bench.stage.done:
            await asyncio.sleep(pause or 1)
            statistics = bench._feeder(None).edge.statistics()
            assert 0 <= statistics.in_flight <= max(concurrency, capacity)
            sink.release(1)
        await bench.joined()
        edge = bench._feeder(None).edge
        assert edge._credits == edge.capacity
        outcome = list(zip(sink.values, sink.lineage, strict=True))
        whole = list(zip(expected.values, expected.sink().lineage, strict=True))
        if cancelled_at is None:
            assert outcome == whole
            assert sink.ended
        else:
            assert outcome == whole[: len(outcome)]

    run_virtual(scenario())
