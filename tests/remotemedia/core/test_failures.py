"""Old nodes that fail, at each step, on both executors: named, cleaned up once, nothing left."""

import asyncio
from pathlib import Path

import pytest

from engine.errors import ManifestError, NodeError
from engine.payloads import Json, Text
from remotemedia.core._compat.registration import adopt
from tests.remotemedia.core.compat_helpers import EXECUTORS, PATIENCE_S, chain, run
from tests.remotemedia.core.field.bare_nodes import ForgetfulNode

pytestmark = pytest.mark.process

NUMBERS = [Json(number) for number in range(5)]


@pytest.fixture
def trace(tmp_path):
    return tmp_path / "trace"


def cleanups(trace: Path) -> int:
    return trace.read_text().count("cleanup") if trace.exists() else 0


def failing(step, trace, executor):
    return chain(("FailingNode", {"fail_in": step, "trace": str(trace)}), executor=executor)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(
    ("step", "during", "cleaned"),
    [
        ("constructor", "initialize", 0),
        ("initialize", "initialize", 1),
        ("process", "process", 1),
        ("flush", "flush", 1),
    ],
)
def test_a_node_that_raises_is_named(step, during, cleaned, executor, trace):
    with pytest.raises(NodeError) as caught:
        run(failing(step, trace, executor), NUMBERS)
    error = caught.value
    assert error.node_id == "n0"
    assert f"node 'n0' failed in {during}" in error.message
    assert f"ValueError: broken {step} on purpose" in error.message
    assert f"broken {step} on purpose" in (error.remote_traceback or repr(error.__cause__))
    assert cleanups(trace) == cleaned


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_cleanup_raises_fails_nothing(executor, trace):
    assert [payload for payload, _ in run(failing("cleanup", trace, executor), NUMBERS)] == NUMBERS
    assert cleanups(trace) == 1


def test_what_cleanup_raises_is_logged_with_the_nodes_id(caplog, trace):
    run(failing("cleanup", trace, "local"), NUMBERS)
    (record,) = [record for record in caplog.records if record.message == "cleanup_raised"]
    assert record.node_id == "n0"
    assert "broken cleanup on purpose" in record.exc_text


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(
    ("node_type", "payload"),
    [
        ("UtteranceCollectorNode", Text("a")),
        ("ToneTTSNode", Text("a")),
        ("HeavyModelNode", Text("a")),
        ("EchoCounterNode", Text("a")),
        ("TokenStreamNode", Text("a")),
        ("RunningMeanNode", Json(1)),
        ("TraceNode", Json(1)),
    ],
)
def test_each_is_cleaned_up_once(node_type, payload, executor, trace):
    run(chain((node_type, {"trace": str(trace)}), executor=executor), [payload])
    assert cleanups(trace) == 1


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_plain_class_that_raises_is_named_and_cleaned_up(executor, trace):
    pipeline = chain("PassThrough", ("TraceNode", {"trace": str(trace)}), executor=executor)
    with pytest.raises(NodeError, match=r"node 'n1' failed in process \(packet 1\)") as caught:
        run(pipeline, [Text("a"), Text("boom")])
    assert caught.value.node_id == "n1"
    assert "RuntimeError: boom on purpose" in caught.value.message
    assert cleanups(trace) == 1


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_a_cancelled_session_cleans_up_once(executor, trace):
    pipeline = chain(("WaitingNode", {"trace": str(trace)}), executor=executor)
    async with asyncio.timeout(PATIENCE_S), pipeline.session() as session:
        await session.send(Json(0))
        assert (await session.receive()).payload == Json(0)
        await session.send(Json(1))
        session.cancel()
    assert cleanups(trace) == 1


@pytest.mark.parametrize("executor", EXECUTORS)
def test_what_cannot_be_sent_on_is_the_nodes_error(executor):
    with pytest.raises(NodeError, match=r"node 'n0' failed in process.*no payload can be made"):
        run(chain("OddNode", executor=executor), [Text("a")])


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_awaitable_from_a_synchronous_process_is_said(executor):
    with pytest.raises(NodeError, match=r"ForgetfulNode.process is not `async def`.*declare it"):
        run(chain("ForgetfulNode", executor=executor), [Text("a")])


def test_an_interrupt_resets_a_node_that_can_be_reset():
    operator = adopt(ForgetfulNode)()
    operator.reset(None)  # there is no node yet
    operator.node = ForgetfulNode()
    operator.node.seen = 3
    operator.reset(None)
    assert operator.node.seen == 0


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize(
    ("node_type", "params", "words"),
    [
        ("WindowNode", {}, "'windowSize' is required and missing"),
        ("ModelPathNode", {"dim": 1}, "'model_path' is required and missing"),
        ("ModelPathNode", {}, "'model_path' and 'dim' are required and missing"),
        ("ThresholdDataNode", {}, "'threshold' is required and missing"),
    ],
)
def test_a_param_that_is_missing_is_found_before_anything_starts(
    node_type, params, words, executor
):
    with pytest.raises(ManifestError) as caught:
        chain((node_type, params), executor=executor).plan()
    (problem,) = caught.value.problems
    assert (problem.path, problem.message, problem.node_id) == ("nodes[0].params", words, "n0")


@pytest.mark.parametrize("executor", EXECUTORS)
def test_who_takes_the_whole_stream_is_told_what_to_do(executor):
    with pytest.raises(NodeError, match=r"'n0' failed .*WholeStreamNode.*one item per call"):
        run(chain("WholeStreamNode", executor=executor), [Text("a")])


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_library_that_is_missing_is_said_in_the_nodes_own_words(executor):
    with pytest.raises(NodeError, match=r"'n0' failed in initialize.*pip install torch"):
        run(chain("NeedsLibraryNode", executor=executor), [Text("a")])
