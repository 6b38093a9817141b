"""A client on the generated code alone, as any program in any language can be one.

    $ python examples/grpc_client.py

It starts a server of its own; with an address, such as `localhost:50051`, it calls that one. Set
REMOTEMEDIA_TOKEN where the server asks for a token. `remotemedia.client` does all this in less.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator

import grpc

from protos.remotemedia.v1 import (
    common_pb2,
    execution_pb2,
    execution_pb2_grpc,
    streaming_pb2,
    streaming_pb2_grpc,
)

TOKEN = os.environ.get("REMOTEMEDIA_TOKEN")
METADATA = [("authorization", f"Bearer {TOKEN}")] if TOKEN else []


@contextlib.contextmanager
def a_server() -> Iterator[str]:
    """A server on any free port; gives its address."""
    command = ["remotemedia", "serve", "--grpc", "127.0.0.1:0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        yield server.stdout.readline().split()[1]  # grpc 127.0.0.1:54321
        server.terminate()


def manifest(name: str, node_id: str, node_type: str) -> execution_pb2.PipelineManifest:
    node = execution_pb2.NodeManifest(id=node_id, node_type=node_type, params="{}")
    metadata = execution_pb2.ManifestMetadata(name=name)
    return execution_pb2.PipelineManifest(version="v1", metadata=metadata, nodes=[node])


def calculate(channel: grpc.Channel, value: dict[str, object]) -> None:
    """One call: all inputs in, all outputs out. What is wrong with a pipeline is told in-band."""
    service = execution_pb2_grpc.PipelineExecutionServiceStub(channel)
    request = execution_pb2.ExecuteRequest(
        manifest=manifest("sum", "calculator", "CalculatorNode"),
        data_inputs={
            "calculator": common_pb2.DataBuffer(
                json=common_pb2.JsonData(json_payload=json.dumps(value))
            )
        },
        client_version="v1",
    )
    response = service.ExecutePipeline(request, metadata=METADATA)
    if response.HasField("error"):
        error_type = common_pb2.ErrorType.Name(response.error.error_type)
        print(f"{error_type} in {response.error.failing_node_id}")
    else:
        print(f"calculator: {response.result.data_outputs['calculator'].json.json_payload}")


def collect(channel: grpc.Channel, pieces: list[str]) -> None:
    """A stream: pieces of a text go in as they come, sentences come out."""
    service = streaming_pb2_grpc.StreamingPipelineServiceStub(channel)
    requests = queue.SimpleQueue()
    init = streaming_pb2.StreamInit(
        manifest=manifest("speech", "collector", "TextCollectorNode"), client_version="v1"
    )
    requests.put(streaming_pb2.StreamRequest(init=init))
    for response in service.StreamPipeline(iter(requests.get, None), metadata=METADATA):
        if response.HasField("ready"):
            for sequence, piece in enumerate(pieces):
                text = common_pb2.TextBuffer(text_data=piece.encode(), encoding="utf-8")
                chunk = streaming_pb2.DataChunk(
                    node_id="collector",
                    buffer=common_pb2.DataBuffer(text=text),
                    sequence=sequence,
                )
                requests.put(streaming_pb2.StreamRequest(data_chunk=chunk))
            close = streaming_pb2.StreamControl(command=streaming_pb2.StreamControl.COMMAND_CLOSE)
            requests.put(streaming_pb2.StreamRequest(control=close))
            requests.put(None)  # the end of what we send
        elif response.HasField("result"):
            for node, output in response.result.data_outputs.items():
                print(f"{node}: {output.text.text_data.decode()}")
        elif response.HasField("error"):
            raise SystemExit(response.error.message)
        elif response.HasField("closed"):
            print(f"closed: {response.closed.reason}")


def main(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        calculate(channel, {"operation": "add", "operands": [2, 3]})
        calculate(channel, {"operation": "divide", "operands": [2, 0]})
        collect(channel, ["It is rai", "ning. Take an umb", "rella."])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with a_server() as address:
            main(address)
