"""Real `remotemedia serve` processes, and calls of them."""

import contextlib
import json
import queue
import signal
import subprocess
import urllib.error
import urllib.request

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos.remotemedia.v1 import (
    common_pb2,
    execution_pb2,
    execution_pb2_grpc,
    streaming_pb2,
    streaming_pb2_grpc,
)
from tests.remotemedia.cli_helpers import COMMAND, PATIENCE_S, environment

LOCAL = "127.0.0.1:0"


class Service:
    """One process that serves, and its addresses."""

    def __init__(self, folder, *arguments, env=None):
        self.process = subprocess.Popen(
            [COMMAND, "serve", *map(str, arguments)],
            cwd=folder,
            env={**environment(), **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addresses = {"grpc": [], "http": []}
        self.started = False
        for line in self.process.stdout:
            kind, _, address = line.strip().partition(" ")
            if kind == "ready":
                self.started = True
                break
            self.addresses[kind].append(address)

    @property
    def address(self):
        return self.addresses["grpc"][0]

    def channel(self, credentials=None):
        """A channel; a context manager."""
        if credentials is None:
            return grpc.insecure_channel(self.address)
        return grpc.secure_channel(self.address, credentials)

    def get(self, path):
        """(status, body) of the status page."""
        (address,) = self.addresses["http"]
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def end(self):
        """(exit code, what is left of standard error)."""
        _, stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, stderr

    def stop(self):
        """End it well; gives its log."""
        self.signal()
        code, stderr = self.end()
        assert code == 0, stderr
        return stderr

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        with contextlib.suppress(ValueError):  # read already
            self.process.communicate(timeout=PATIENCE_S)


def graph(*nodes, name="test"):
    """A typed manifest of nodes without connections, each as id → (type, params)."""
    return execution_pb2.PipelineManifest(
        version="v1",
        metadata=execution_pb2.ManifestMetadata(name=name),
        nodes=[
            execution_pb2.NodeManifest(id=node_id, node_type=node_type, params=json.dumps(params))
            for node_id, node_type, params in nodes
        ],
    )


ECHO = graph(("a", "PassThrough", {}))


def text(value):
    return common_pb2.DataBuffer(text=common_pb2.TextBuffer(text_data=value.encode()))


def execute(channel, manifest=ECHO, inputs=None, **options):
    """The response to an execution."""
    request = execution_pb2.ExecuteRequest(
        manifest=manifest, data_inputs={"a": text("x")} if inputs is None else inputs
    )
    stub = execution_pb2_grpc.PipelineExecutionServiceStub(channel)
    return stub.ExecutePipeline(request, timeout=PATIENCE_S, **options)


def failure(call, *arguments, **options):
    """The status code of a call that fails."""
    try:
        call(*arguments, **options)
    except grpc.RpcError as error:
        return error.code()
    raise AssertionError("it did not fail")


def health(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    response = stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)


class OpenStream:
    """A stream that is written to by hand."""

    def __init__(self, channel, manifest=ECHO):
        self._queue = queue.SimpleQueue()
        self.write(init=streaming_pb2.StreamInit(manifest=manifest, client_version="v1"))
        stub = streaming_pb2_grpc.StreamingPipelineServiceStub(channel)
        self.call = stub.StreamPipeline(iter(self._queue.get, None))
        while (response := next(self.call)).WhichOneof("response") != "ready":
            assert response.HasField("result"), response
        self.session_id = response.ready.session_id

    def write(self, **fields):
        self._queue.put(streaming_pb2.StreamRequest(**fields))

    def send(self, value):
        self.write(data_chunk=streaming_pb2.DataChunk(node_id="a", buffer=text(value)))
        response = next(self.call)
        assert response.HasField("result"), response
        return response.result.data_outputs["a"].text.text_data.decode()

    def abandoned(self):
        """All responses to the end, which comes by itself; may raise what the call ends with."""
        try:
            return list(self.call)
        finally:
            self._queue.put(None)

    def close(self):
        """All responses to the end."""
        self.write(
            control=streaming_pb2.StreamControl(command=streaming_pb2.StreamControl.COMMAND_CLOSE)
        )
        self._queue.put(None)
        return list(self.call)
