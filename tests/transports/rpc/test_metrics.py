"""What Prometheus is told: true numbers, of what is open and of what has ended."""

import grpc
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.transports.rpc.rpc_client import PATIENCE_S, eventually, manifest, text
from transports.rpc.metrics import Observed, ServiceMetrics, make_registry
from transports.rpc.security.admission import Admission
from transports.rpc.security.tokens import Tokens

pytestmark = [pytest.mark.net]

EXECUTE = "/remotemedia.v1.PipelineExecutionService/ExecutePipeline"
STREAM = "/remotemedia.v1.StreamingPipelineService/StreamPipeline"
LOCAL = manifest({"a": "PassThrough", "b": "PassThrough"}, ["a->b"])


class Watched:
    """A server whose metrics are read as Prometheus would."""

    def __init__(self, running, calls):
        self.client, self.service = running.client, running.service
        self._metrics = ServiceMetrics(running.service)
        self._registries = [calls, make_registry(self._metrics)]

    def calls(self):
        """The counts of calls alone, as text."""
        return generate_latest(self._registries[0]).decode()

    async def read(self):
        """Name, with the values of its labels → value."""
        await self._metrics.refresh()
        found = {}
        for registry in self._registries:
            for family in text_string_to_metric_families(generate_latest(registry).decode()):
                for sample in family.samples:
                    labels = [value for _, value in sorted(sample.labels.items())]
                    found["/".join([sample.name, *labels])] = sample.value
        return found


@pytest.fixture
async def watch(serve):
    async def start(*interceptors):
        calls = CollectorRegistry()
        running = await serve(interceptors=[Observed(calls), *interceptors])
        return Watched(running, calls)

    return start


async def test_calls_are_counted_by_method_and_code(watch):
    watched = await watch()
    await watched.client.execute(LOCAL, {"a": text("x")})
    await watched.client.fail(manifest({"a": "NoSuchNode"}))
    with pytest.raises(grpc.aio.AioRpcError):
        await watched.client.respond(None)
    found = await watched.read()
    assert found[f"remotemedia_requests_total/OK/{EXECUTE}"] == 2
    assert found[f"remotemedia_requests_total/INVALID_ARGUMENT/{EXECUTE}"] == 1
    assert found["remotemedia_errors_total/VALIDATION"] == 1
    assert found[f"remotemedia_request_seconds_count/{EXECUTE}"] == 3
    assert found["remotemedia_messages_total/received"] == 3
    assert found["remotemedia_messages_total/sent"] == 2
    assert found["remotemedia_message_bytes_total/received"] > 30
    assert found["remotemedia_message_bytes_total/sent"] > 30


async def test_a_call_that_its_client_gave_up_is_cancelled(watch):
    watched = await watch()
    stream = await watched.client.open(LOCAL)
    await stream.ready()
    stream.call.cancel()
    await eventually(lambda: not len(watched.service.sessions))
    # The session has ended by then; the call's own end is a few callbacks later.
    await eventually(lambda: f'code="CANCELLED",method="{STREAM}"}} 1.0' in watched.calls())
    assert (await watched.read())[f"remotemedia_requests_total/CANCELLED/{STREAM}"] == 1


async def test_what_is_refused_makes_no_names_of_its_own(watch):
    watched = await watch(Admission(Tokens(["secret"])))
    for method in ("/made.Up/One", "/made.Up/Two", EXECUTE):
        with pytest.raises(grpc.aio.AioRpcError):
            await watched.client.channel.unary_unary(method)(b"", timeout=PATIENCE_S)
    found = await watched.read()
    assert found["remotemedia_requests_total/UNAUTHENTICATED/unknown"] == 3
    assert not any("made.Up" in name for name in found)


async def test_a_method_that_nobody_offers_is_counted_as_unknown(watch):
    watched = await watch()
    with pytest.raises(grpc.aio.AioRpcError):
        await watched.client.channel.unary_unary("/made.Up/One")(b"", timeout=PATIENCE_S)
    assert (await watched.read())["remotemedia_requests_total/UNIMPLEMENTED/unknown"] == 1


async def test_sessions_and_packets_are_counted_while_open_and_afterwards(watch):
    watched = await watch()
    stream = await watched.client.open(LOCAL)
    await stream.ready()
    for sequence in range(64):
        await stream.send("a", "x" * 100, sequence)
    responses = []
    while len([r for r in responses if r.HasField("result")]) < 64:
        responses.append(await stream.read())
    during = await watched.read()
    assert during["remotemedia_sessions_open"] == 1
    assert during["remotemedia_sessions_total/StreamPipeline"] == 1
    assert during["remotemedia_packets_total"] >= 128
    assert 0 < during["remotemedia_hop_seconds/0.5"] <= during["remotemedia_hop_seconds/0.99"] < 60
    await stream.close()
    await stream.rest()
    await eventually(lambda: not len(watched.service.sessions))
    after = await watched.read()
    assert after["remotemedia_sessions_open"] == 0
    assert after["remotemedia_sessions_ended_total"] == 1
    assert after["remotemedia_sessions_failed_total"] == 0
    assert after["remotemedia_packets_total"] >= during["remotemedia_packets_total"]
    assert after["remotemedia_hop_seconds/0.99"] > 0
    assert after["process_resident_memory_bytes"] > 1e6


async def test_plans_and_the_drain_are_told(watch):
    watched = await watch()
    for _ in range(3):
        await watched.client.execute(LOCAL, {"a": text("x")})
    found = await watched.read()
    assert found["remotemedia_plans_made_total"] == 1
    assert found["remotemedia_plans_reused_total"] == 2
    assert found["remotemedia_draining"] == 0
    watched.service.draining = True
    assert (await watched.read())["remotemedia_draining"] == 1


@pytest.mark.process
async def test_workers_and_their_memory_are_told(watch):
    watched = await watch()
    graph = manifest({"a": "ProcessUpper"})
    stream = await watched.client.open(graph)
    await stream.ready()
    await stream.send("a", "x" * 100)
    await stream.read_kind("result")
    found = await watched.read()
    assert found["remotemedia_workers"] == 1
    assert found["remotemedia_payload_bytes_total"] >= 100
    assert found["remotemedia_worker_memory_bytes"] > 1e6
    await stream.close()
    await stream.rest()
    await eventually(lambda: not len(watched.service.sessions))
    assert (await watched.read())["remotemedia_workers"] == 0


@pytest.mark.process
async def test_a_session_that_fails_is_counted_as_failed(watch):
    watched = await watch()
    error = await watched.client.fail(manifest({"a": "ProcessCrash"}), {"a": text("exit")})
    assert error.failing_node_id == "a"
    await eventually(lambda: not len(watched.service.sessions))
    assert (await watched.read())["remotemedia_sessions_failed_total"] == 1
