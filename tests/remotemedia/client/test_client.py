"""Executions, and what a client asks of a server."""

from __future__ import annotations

import os

import grpc
import pytest

from engine.errors import (
    ManifestError,
    NodeError,
    ResourceLimitError,
    TransportError,
    UsageError,
    WorkerCrashedError,
)
from operators.flow.pass_through import PassThrough
from protos.remotemedia.v1 import common_pb2
from remotemedia import Json, Pipeline, Text
from remotemedia.client import Client, Limits, Tls
from remotemedia.client.failures import error_of
from remotemedia.client.manifests import wire_manifest
from tests.remotemedia.client.documents import document
from tests.transports.rpc.security.test_credentials import PKI
from transports.rpc.conversion.manifest import document_of
from transports.rpc.security.credentials import TlsFiles

pytestmark = [pytest.mark.net]


# --- executions ----------------------------------------------------------------------------------


async def test_a_pipeline_is_run_once(client):
    result = await client.execute(document({"u": "Upper"}), {"u": Text("a")})
    assert result["u"] == Text("A")
    assert result.metrics.node_metrics["u"].items_processed == 1
    assert result.nodes == {"u": common_pb2.NODE_STATUS_SUCCESS}


async def test_a_pipeline_made_in_python_is_run_on_a_server(client):
    result = await client.execute(Pipeline("test") | PassThrough(), Json([1, 2]))
    ((packet,),) = result.outputs.values()
    assert packet.payload == Json([1, 2])


async def test_all_outputs_of_a_sink_come_in_order(client):
    nodes = {"e": {"node_type": "Expand", "params": {"times": 12}}}
    result = await client.execute(document(nodes), Json({"value": 1}))
    assert [packet.payload.value["index"] for packet in result.outputs["e"]] == [*range(12)]
    assert [packet.index for packet in result.outputs["e"]] == [*range(12)]


async def test_a_sink_that_gave_nothing_is_missing(client):
    nodes = {"e": {"node_type": "Expand", "params": {"times": 0}}}
    assert (await client.execute(document(nodes), Json({"value": 1}))).outputs == {}


@pytest.mark.process
async def test_what_the_typed_manifest_cannot_say_travels_as_well(client):
    nodes = {
        "a": {"node_type": "Where", "executor": "process", "is_output_node": True},
        "b": {"node_type": "PassThrough"},
    }
    link = {"from": "a", "to": "b", "capacity": 3, "overflow": "block"}
    result = await client.execute(document(nodes, [link]), Text("where?"))
    assert result["b"].value != os.getpid()
    assert result["a"] == result["b"]


# --- errors --------------------------------------------------------------------------------------


async def test_all_problems_of_a_manifest_come_as_they_were_found(client):
    with pytest.raises(ManifestError) as caught:
        await client.execute(document({"a": "Uper", "b": "Lower"}), {"a": Text("x")})
    assert {problem.node_id for problem in caught.value.problems} == {"a", "b"}


@pytest.mark.parametrize("place", ["", pytest.param("Process", marks=pytest.mark.process)])
async def test_a_node_that_raises_is_a_node_error_with_its_traceback(client, place):
    with pytest.raises(NodeError) as caught:
        await client.execute(document({"f": f"{place}Fail"}), Text("fail"))
    assert caught.value.node_id == "f"
    assert "cannot digest this" in caught.value.message
    assert "rpc_operators.py" in caught.value.remote_traceback


@pytest.mark.process
async def test_a_crash_is_told_with_its_exit_code(client):
    with pytest.raises(WorkerCrashedError) as caught:
        await client.execute(document({"c": "ProcessCrash"}), Text("exit"))
    assert caught.value.context["exit_code"] == 7


async def test_a_limit_is_a_resource_limit_error(client):
    with pytest.raises(ResourceLimitError):
        await client.execute(document({"n": "Never"}), Text("a"), limits=Limits(timeout_ms=20))


async def test_a_server_that_is_not_there_is_a_transport_error():
    async with Client("127.0.0.1:1") as client:
        with pytest.raises(TransportError, match=r"127\.0\.0\.1:1: "):
            await client.execute(document({"u": "Upper"}), Text("a"))


async def test_a_result_that_takes_too_long_is_given_up(client):
    with pytest.raises(TransportError) as caught:
        await client.execute(document({"n": "Never"}), Text("a"), timeout_s=0.05)
    assert caught.value.context["status"] == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize(
    ("error_type", "cls"),
    [
        (common_pb2.ERROR_TYPE_VALIDATION, UsageError),
        (common_pb2.ERROR_TYPE_NODE_EXECUTION, NodeError),
        (common_pb2.ERROR_TYPE_RESOURCE_LIMIT, ResourceLimitError),
        (common_pb2.ERROR_TYPE_TYPE_VALIDATION, UsageError),
        (common_pb2.ERROR_TYPE_VERSION_MISMATCH, UsageError),
        (common_pb2.ERROR_TYPE_AUTHENTICATION, TransportError),
    ],
)
@pytest.mark.parametrize("context", ["", "free text", "[1]", '{"code": "from tomorrow"}'])
def test_an_error_of_another_server_is_the_nearest_of_ours(error_type, cls, context):
    response = common_pb2.ErrorResponse(
        error_type=error_type,
        message="Validation error: no",
        failing_node_id="a",
        context=context,
        stack_trace="there",
    )
    error = error_of(response)
    assert isinstance(error, cls)
    assert error.message == "no"
    assert error.context["node_id"] == "a"
    assert error.remote_traceback == "there"


# --- manifests -----------------------------------------------------------------------------------


def test_a_document_is_the_same_on_the_other_side():
    sent = document(
        {
            "a": {
                "node_type": "Upper",
                "params": {"x": [1, None]},
                "is_streaming": True,
                "host": "there:1",
                "executor": {"process": "shared"},
                "restart": {"max": 2},
                "capabilities": {
                    "gpu": {"type": "cuda", "required": False},
                    "cpu": {"cores": 2},
                    "memory_gb": 1.5,
                },
            },
            "b": {"node_type": "Lower", "is_output_node": True},
            "c": "Lower",
        },
        [{"from": "a", "from_port": "left", "to": "b", "max_age_ms": 5}, "b->c"],
        description="of something",
        multiprocess={"channel_capacity": 7},
    )
    wire = wire_manifest(sent)
    ((_, extras),) = wire.metadata
    found = document_of(wire.message, extras)
    assert wire_manifest(found) == wire
    assert found["metadata"] == sent["metadata"]
    assert found["connections"][0] == {"from": "a.left", "to": "b", "max_age_ms": 5}
    assert found["nodes"][0]["executor"] == {"process": "shared"}
    assert found["nodes"][0]["capabilities"] == sent["nodes"][0]["capabilities"]
    assert found["nodes"][1]["is_output_node"] is True
    assert wire.sources == ("a",)


def test_a_plain_document_needs_no_metadata():
    assert wire_manifest(document({"a": "Upper"})).metadata == ()


def test_metadata_that_no_call_can_carry_is_refused():
    nodes = {f"node_{number}": {"node_type": "Upper", "executor": "local"} for number in range(300)}
    with pytest.raises(UsageError, match="6144 is the most"):
        wire_manifest(document(nodes))


# --- asking --------------------------------------------------------------------------------------


async def test_the_server_says_what_it_is(client):
    version = await client.version()
    assert version.protocol_version == "v1"
    assert "Upper" in version.supported_node_types


async def test_sessions_are_listed_and_closed(client):
    assert await client.sessions() == ()
    async with client.stream(document({"u": "Upper"})) as stream:
        (summary,) = await client.sessions()
        assert summary.session_id == stream.session_id
        detail = await client.session(stream.session_id)
        assert [node.node_id for node in detail.nodes] == ["u"]
        await client.close_session(stream.session_id)
        with pytest.raises(TransportError, match="An operator of the service ended the session"):
            await stream.receive()
    with pytest.raises(UsageError, match="no session"):
        await client.session(stream.session_id)


async def test_params_of_a_running_node_are_changed(client):
    async with client.stream(document({"s": "Scale"})) as stream:
        await stream.send(Json(2))
        assert (await stream.receive()).payload == Json(2)
        taken = await client.set_params(stream.session_id, "s", {"factor": 5})
        assert taken.params == {"factor": 5, "offset": 0}
        await stream.send(Json(2))
        assert (await stream.receive()).payload == Json(10)
        with pytest.raises(UsageError, match="only factor may"):
            await client.set_params(stream.session_id, "s", {"offset": 5})


async def test_an_interrupt_says_what_it_dropped(client):
    async with client.stream(document({"n": "Never"})) as stream:
        await stream.send(Text("a"))
        settlement = await stream.interrupt(reason="enough")
        assert settlement.generation == 1
        assert settlement.late == ()
        with pytest.raises(UsageError, match="no node 'x'"):
            await client.interrupt(stream.session_id, "x")


async def test_a_closed_client_says_so(running):
    client = Client(running.server.addresses[0])
    await client.aclose()
    with pytest.raises(UsageError, match="closed"):
        await client.version()


def test_a_certificate_without_its_key_is_refused(tmp_path):
    certificate = tmp_path / "certificate"
    certificate.write_text("")
    with pytest.raises(UsageError, match="belong together"):
        Client("localhost:1", tls=Tls(certificate=certificate))
    with pytest.raises(UsageError, match="cannot read"):
        Client("localhost:1", tls=Tls(ca=tmp_path / "none"))


def secured(client_ca=None):
    """What a server with a certificate is given."""
    ca = PKI / client_ca if client_ca else None
    return TlsFiles(PKI / "server.pem", PKI / "server.key", ca).credentials()


async def test_a_server_with_a_certificate_is_trusted_by_its_authority(serve, client_of):
    running = await serve(credentials=secured())
    client = await client_of(running, tls=Tls(ca=PKI / "ca.pem"))
    assert (await client.version()).protocol_version == "v1"
    stranger = await client_of(running, tls=Tls())
    with pytest.raises(TransportError):
        await stranger.version()


async def test_a_client_shows_its_own_certificate(serve, client_of):
    running = await serve(credentials=secured("ca.pem"))
    own = Tls(ca=PKI / "ca.pem", certificate=PKI / "client.pem", key=PKI / "client.key")
    assert (await (await client_of(running, tls=own)).version()).protocol_version == "v1"


async def test_the_token_goes_with_every_call(serve, client_of):
    seen = []

    class Look(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation, details):
            seen.append((details.method, dict(details.invocation_metadata).get("authorization")))
            return await continuation(details)

    running = await serve(interceptors=(Look(),))
    client = await client_of(running, token="secret")
    await client.version()
    await client.sessions()
    await client.execute(document({"u": "Upper"}), Text("a"))
    async with client.stream(document({"u": "Upper"})) as stream, stream.attach():
        pass
    assert len(seen) == 5
    assert {authorization for _, authorization in seen} == {"Bearer secret"}


async def test_a_payload_that_no_wire_can_carry_is_refused(client):
    with pytest.raises(UsageError, match="cannot be sent"):
        await client.execute(document({"u": "Upper"}), Json(float("nan")))
    with pytest.raises(UsageError):
        await client.execute(document({"u": "Upper"}), {"u": "text"})


def test_importing_remotemedia_loads_no_client():
    from tests.remotemedia.test_public_api import _python

    done = _python("import sys, remotemedia; print('remotemedia.client' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr
    done = _python("import remotemedia; print(remotemedia.client.Client.__name__)")
    assert done.stdout.strip() == "Client", done.stderr
