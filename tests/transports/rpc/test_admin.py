"""SessionAdmin: what operators of a server see and do."""

from __future__ import annotations

import json
import os
import uuid

import grpc
import pytest

from engine.config import Settings
from engine.errors import ManifestError
from protos.remotemedia.v1 import admin_pb2, admin_pb2_grpc
from tests.transports.rpc.rpc_client import (
    eventually,
    json_data,
    manifest,
    results_of,
    value_of,
)
from tests.transports.rpc.rpc_operators import make_registry
from transports.rpc.plans import PlanCache
from transports.rpc.security.access import Access

pytestmark = [pytest.mark.net]

PLACES = [
    pytest.param("", id="local"),
    pytest.param("Process", id="process", marks=pytest.mark.process),
]


@pytest.fixture
def admin(running):
    return admin_pb2_grpc.SessionAdminStub(running.client.channel)


async def opened(running, graph):
    stream = await running.client.open(graph)
    return stream, (await stream.ready()).session_id


async def overfilled(running, stream, word, count):
    """Send more than the edge of node "n" holds, and wait until the server has read all of it."""
    (live,) = running.service.sessions
    for number in range(count):
        await stream.send("n", word, number)
    # Some have entered, one waits for room, the rest behind it.
    edges = live.session.plan.edges
    entered = next(edge.capacity for edge in edges if edge.source_stage is None)
    await eventually(lambda: len(live.waiting) == count - entered - 1)
    return live


async def test_sessions_are_listed_while_they_are_open(running, admin):
    assert not (await admin.ListSessions(admin_pb2.ListSessionsRequest())).sessions
    first, first_id = await opened(running, manifest({"u": "Upper"}))
    _, second_id = await opened(running, manifest({"a": "Upper", "b": "Upper"}, ["a->b"]))
    sessions = (await admin.ListSessions(admin_pb2.ListSessionsRequest())).sessions
    assert [each.session_id for each in sessions] == [first_id, second_id]
    assert [each.nodes for each in sessions] == [1, 2]
    assert {each.pipeline for each in sessions} == {"test"}
    assert {each.method for each in sessions} == {"StreamPipeline"}
    assert {each.phase for each in sessions} == {"running"}
    assert all(each.peer and each.opened_ms > 1_700_000_000_000 for each in sessions)
    await first.close()
    await first.rest()
    await eventually(lambda: len(running.service.sessions) == 1)
    sessions = (await admin.ListSessions(admin_pb2.ListSessionsRequest())).sessions
    assert [each.session_id for each in sessions] == [second_id]


@pytest.mark.process
async def test_a_session_is_shown_with_its_nodes_edges_and_processes(running, admin):
    graph = manifest({"u": "Upper", "w": "ProcessUpper"}, ["u->w"])
    stream, session_id = await opened(running, graph)
    await stream.send("u", "a")
    assert value_of((await stream.read_kind("result")).data_outputs["w"]) == "A"
    shown = await admin.GetSession(admin_pb2.GetSessionRequest(session_id=session_id))
    assert shown.summary.outputs == 1
    assert shown.summary.processes == 1
    local, process = shown.nodes
    assert (local.node_id, local.executor, local.pid) == ("u", "local", os.getpid())
    assert (process.node_id, process.executor) == ("w", "process")
    assert process.pid not in {0, os.getpid()}
    assert (local.received, local.emitted) == (1, 1)
    (between,) = (edge for edge in shown.edges if edge.edge_id.startswith("u.out"))
    assert between.sent == 1
    assert between.credits == between.capacity > 0
    assert 0 < between.hop_p50_us <= between.hop_p99_us


async def test_a_session_is_shown_with_the_credits_of_its_edges(running, admin):
    stream, session_id = await opened(running, manifest({"n": "Never"}))
    await overfilled(running, stream, "a", 110)
    shown = await admin.GetSession(admin_pb2.GetSessionRequest(session_id=session_id))
    (ingress,) = (edge for edge in shown.edges if edge.edge_id == "→n")
    assert (ingress.credits, ingress.queued + ingress.in_flight) == (0, ingress.capacity)


async def test_a_session_is_closed_at_once(running, admin):
    stream, session_id = await opened(running, manifest({"n": "Never"}))
    await stream.send("n", "a")
    await admin.CloseSession(admin_pb2.CloseSessionRequest(session_id=session_id))
    *_, last = await stream.rest()
    assert last.closed.session_id == session_id
    await eventually(lambda: not len(running.service.sessions))


async def test_a_session_that_is_drained_gives_what_is_under_way(running, admin):
    stream, session_id = await opened(running, manifest({"k": "Keep"}))
    await stream.send("k", "a")
    (live,) = running.service.sessions
    await eventually(lambda: live.session.statistics().nodes["k"].received == 1)
    await admin.CloseSession(admin_pb2.CloseSessionRequest(session_id=session_id, drain=True))
    responses = await stream.rest()
    assert results_of(responses) == [(0, "k", "a")]
    assert responses[-1].HasField("closed")


async def test_an_interrupt_drops_what_is_under_way_and_what_waits_to_enter(running, admin):
    sent = 150
    stream, session_id = await opened(running, manifest({"n": "Never"}))
    await overfilled(running, stream, "t", sent)
    done = await admin.Interrupt(admin_pb2.InterruptRequest(session_id=session_id, reason="enough"))
    assert done.generation == 1
    assert not done.late
    assert sum(done.dropped.values()) == sent
    listed = (await admin.ListSessions(admin_pb2.ListSessionsRequest())).sessions
    assert listed[0].generation == 1


async def test_what_is_sent_after_an_interrupt_is_taken(running, admin):
    stream, session_id = await opened(running, manifest({"n": "NeverAt"}))
    live = await overfilled(running, stream, "wait", 150)
    await admin.Interrupt(admin_pb2.InterruptRequest(session_id=session_id))
    await eventually(lambda: not len(live.waiting))
    before = live.session.statistics().nodes["n"].received
    await admin.Interrupt(admin_pb2.InterruptRequest(session_id=session_id))
    await stream.send("n", "go", 150)
    await stream.close()
    assert before < 150
    assert (150, "n", "go") in results_of(await stream.rest())


async def test_an_interrupt_of_a_node_that_is_not_there_is_refused(running, admin):
    _, session_id = await opened(running, manifest({"u": "Upper"}))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await admin.Interrupt(admin_pb2.InterruptRequest(session_id=session_id, scope="x"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no node 'x'" in caught.value.details()


@pytest.mark.parametrize("place", PLACES)
async def test_params_are_set_while_it_runs(running, admin, place):
    stream, session_id = await opened(running, manifest({"s": f"{place}Scale"}))
    await stream.send("s", json_data(2))
    assert value_of((await stream.read_kind("result")).data_outputs["s"]) == 2
    request = admin_pb2.SetParamsRequest(
        session_id=session_id, node_id="s", params=json.dumps({"factor": 10})
    )
    taken = await admin.SetParams(request)
    assert json.loads(taken.params) == {"factor": 10, "offset": 0}
    assert dict(taken.edge_seq) == {"→s": 1}
    await stream.send("s", json_data(2))
    assert value_of((await stream.read_kind("result")).data_outputs["s"]) == 20


@pytest.mark.parametrize(
    ("node_id", "params", "said"),
    [
        ("s", '{"offset": 1}', "only factor may"),
        ("s", '{"factor": "many"}', "factor"),
        ("x", "{}", "no node 'x'"),
        ("s", "{", "not JSON"),
        ("s", '{"factor": NaN}', "not JSON"),
        ("s", '{"factor": 1e999}', "too large for a float"),
        ("s", "[1]", "JSON object"),
    ],
)
async def test_params_that_may_not_be_set_are_refused(running, admin, node_id, params, said):
    stream, session_id = await opened(running, manifest({"s": "Scale"}))
    request = admin_pb2.SetParamsRequest(session_id=session_id, node_id=node_id, params=params)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await admin.SetParams(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in caught.value.details()
    await stream.send("s", json_data(3))
    assert value_of((await stream.read_kind("result")).data_outputs["s"]) == 3


@pytest.mark.parametrize("method", ["GetSession", "CloseSession", "Interrupt", "SetParams"])
async def test_a_session_that_is_not_there_is_not_found(admin, method):
    request_type = getattr(admin_pb2, f"{method}Request")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(admin, method)(request_type(session_id=str(uuid.uuid4())))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_params_that_are_set_may_name_no_more_than_a_manifest_may():
    plans = PlanCache(make_registry(), Settings(), access=Access())
    plans.check_params("s", "Scale", {"factor": 2})
    with pytest.raises(ManifestError, match="/etc/passwd"):
        plans.check_params("w", "MediaWriterNode", {"output_path": "/etc/passwd"})
