"""A client of PipelineControl, on the generated code alone."""

from __future__ import annotations

import grpc

from protos.remotemedia.v1 import control_pb2, control_pb2_grpc
from tests.transports.rpc.rpc_client import PATIENCE_S, text

IN = control_pb2.CONTROL_DIRECTION_IN
OUT = control_pb2.CONTROL_DIRECTION_OUT


def address(node_id, direction=OUT, port=""):
    return control_pb2.ControlAddress(node_id=node_id, port=port, direction=direction)


#: Of a channel on which the server waits for a client that does not read 64 KiB.
READING_NOTHING_AHEAD = {"grpc.http2.bdp_probe": 0, "grpc.http2.lookahead_bytes": 65_536}


class Attached:
    """One attachment."""

    def __init__(self, channel):
        stub = control_pb2_grpc.PipelineControlStub(channel)
        self.call = stub.Attach(timeout=PATIENCE_S)

    async def write(self, **fields):
        await self.call.write(control_pb2.ControlFrame(**fields))

    async def hello(self, session_id, attach_id="me"):
        hello = control_pb2.Hello(session_id=session_id, attach_id=attach_id)
        await self.write(hello=hello)
        return (await self.read()).attached

    async def subscribe(self, node_id, **fields):
        await self.write(subscribe=control_pb2.Subscribe(addr=address(node_id, **fields)))

    async def unsubscribe(self, node_id):
        await self.write(unsubscribe=control_pb2.Unsubscribe(addr=address(node_id)))

    async def publish(self, node_id, buffer, **fields):
        buffer = text(buffer) if isinstance(buffer, str) else buffer
        addr = address(node_id, **{"direction": IN, **fields})
        await self.write(publish=control_pb2.Publish(addr=addr, data=buffer))

    async def intercept(self, node_id, deadline_ms=60_000):
        await self.write(
            intercept=control_pb2.Intercept(addr=address(node_id), deadline_ms=deadline_ms)
        )

    async def remove_intercept(self, node_id):
        await self.write(remove_intercept=control_pb2.RemoveIntercept(addr=address(node_id)))

    async def reply(self, correlation_id, **decision):
        fields = {
            name: control_pb2.Empty() if value is True else value
            for name, value in decision.items()
        }
        decided = control_pb2.InterceptDecision(**fields)
        await self.write(
            intercept_reply=control_pb2.InterceptReply(
                correlation_id=correlation_id, decision=decided
            )
        )

    async def set_state(self, node_id, state):
        await self.write(set_node_state=control_pb2.SetNodeState(node_id=node_id, state=state))

    async def clear_state(self, node_id):
        await self.write(clear_node_state=control_pb2.ClearNodeState(node_id=node_id))

    async def done(self):
        """All frames before have been done: an answer to one that is wrong comes behind them."""
        await self.write(set_node_state=control_pb2.SetNodeState(node_id="nobody"))
        error = await self.read_kind("error")
        assert error.code == control_pb2.CONTROL_ERROR_CODE_UNKNOWN_NODE

    async def read(self):
        event = await self.call.read()
        return None if event is grpc.aio.EOF else event

    async def read_kind(self, kind):
        event = await self.read()
        assert event is not None, f"the attachment ended, {kind} was expected"
        assert event.WhichOneof("event") == kind, event
        return getattr(event, kind)
