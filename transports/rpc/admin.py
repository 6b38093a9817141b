"""SessionAdmin: what operators of a server ask it about its sessions. An extension of our own.

Source: FR-008, FR-009, FR-012.
"""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Final

import grpc

from engine.errors import RemoteMediaError, ResourceLimitError
from protos.remotemedia.v1 import admin_pb2, admin_pb2_grpc
from transports.rpc.control import find_session
from transports.rpc.control_faults import ControlFaultError, node_of
from transports.rpc.conversion.plain import loads
from transports.rpc.errors import CLOSED, InputError

if TYPE_CHECKING:
    from engine.observe.statistics import SessionStatistics
    from transports.rpc.service import Context, PipelineService
    from transports.rpc.sessions import LiveSession

logger = logging.getLogger("remotemedia.rpc")

#: How long nodes may take to say what an interrupt made them drop, where the client does not say.
_SETTLE_MS: Final = 1_000
#: The longest a client may ask for.
_SETTLE_MS_MAX: Final = 60_000


class AdminServicer(admin_pb2_grpc.SessionAdminServicer):
    """See the module."""

    def __init__(self, service: PipelineService) -> None:
        """Serve.

        Args:
            service: what all services share.
        """
        self._service = service

    async def ListSessions(  # noqa: N802 - the wire's name
        self, _: admin_pb2.ListSessionsRequest, __: Context
    ) -> admin_pb2.ListSessionsResponse:
        """The sessions that are open."""
        sessions = [
            _summary(live, live.session.statistics()) for live in self._service.sessions.visible()
        ]
        return admin_pb2.ListSessionsResponse(sessions=sessions)

    async def GetSession(  # noqa: N802 - the wire's name
        self, request: admin_pb2.GetSessionRequest, context: Context
    ) -> admin_pb2.GetSessionResponse:
        """One of them, closely."""
        live = self._service.sessions.get(request.session_id)
        if live is None:
            live = await find_session(self._service, request.session_id, context)
        statistics = live.session.statistics()
        return admin_pb2.GetSessionResponse(
            summary=_summary(live, statistics),
            nodes=_nodes(live, statistics),
            edges=_edges(live, statistics),
        )

    async def CloseSession(  # noqa: N802 - the wire's name
        self, request: admin_pb2.CloseSessionRequest, context: Context
    ) -> admin_pb2.CloseSessionResponse:
        """End one; its call then ends by itself."""
        live = self._service.sessions.get(request.session_id)
        if live is None:
            live = await find_session(self._service, request.session_id, context)
        facts = {"session_id": live.id, "drain": request.drain, "by": context.peer()}
        logger.info("session_closed_by_operator", extra=facts)
        if request.drain and live.session.phase == "running":
            await live.session.end_input()
        else:
            live.stop(CLOSED)
        return admin_pb2.CloseSessionResponse()

    async def Interrupt(  # noqa: N802 - the wire's name
        self, request: admin_pb2.InterruptRequest, context: Context
    ) -> admin_pb2.InterruptResponse:
        """Interrupt one, and say what became of it."""
        live = await find_session(self._service, request.session_id, context)
        settle_ms = min(request.settle_ms or _SETTLE_MS, _SETTLE_MS_MAX)
        try:
            ack = await live.session.interrupt(
                request.scope or None, reason=request.reason, deadline_s=settle_ms / 1e3
            )
            waiting = live.drop_waiting(ack.nodes)
            settlement = await ack.settled()
        except RemoteMediaError as error:
            await self._service.abort(error, context)
        dropped = {place: count for place, count in settlement.dropped.items() if count}
        for node_id, count in waiting.items():
            dropped[f"→{node_id}"] = dropped.get(f"→{node_id}", 0) + count
        return admin_pb2.InterruptResponse(
            generation=ack.generation,
            dropped=dropped,
            late=settlement.late,
            played=[
                admin_pb2.PlayedDetail(
                    node_id=node_id,
                    played_ns=played.played_ns,
                    of_ns=played.of_ns,
                    metadata=played.metadata,
                )
                for node_id, all_played in settlement.played.items()
                for played in all_played
            ],
        )

    async def SetParams(  # noqa: N802 - the wire's name
        self, request: admin_pb2.SetParamsRequest, context: Context
    ) -> admin_pb2.SetParamsResponse:
        """Change params of a node."""
        live = await find_session(self._service, request.session_id, context)
        try:
            params = loads(
                request.params or "{}", "params", self._service.limits.json_containers_max
            )
        except (InputError, ResourceLimitError) as error:
            await self._service.abort(error, context)
        if not isinstance(params, dict):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "params must be a JSON object")
        try:
            node = node_of(live.plan, request.node_id)
            self._service.plans.check_params(node.id, node.node_type, params)
            taken = await live.session.set_params(request.node_id, params)
        except ControlFaultError as fault:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault.message)
        except RemoteMediaError as error:
            await self._service.abort(error, context)
        return admin_pb2.SetParamsResponse(
            params=json.dumps(dict(taken.params), default=str), edge_seq=taken.edge_seq
        )


def _summary(live: LiveSession, statistics: SessionStatistics) -> admin_pb2.SessionSummary:
    plan = live.plan
    return admin_pb2.SessionSummary(
        session_id=live.id,
        pipeline=plan.name,
        method=live.method,
        peer=live.peer,
        phase=live.session.phase,
        opened_ms=round(live.began_s * 1e3),
        generation=live.session.generation,
        outputs=statistics.outputs,
        nodes=sum(len(stage.nodes) for stage in plan.stages),
        processes=len(set(statistics.pids.values()) - {os.getpid()}),
    )


def _nodes(live: LiveSession, statistics: SessionStatistics) -> list[admin_pb2.NodeDetail]:
    counts = statistics.nodes
    details = []
    for stage in live.plan.stages:
        for node in stage.nodes:
            counted = counts.get(node.id)
            details.append(
                admin_pb2.NodeDetail(
                    node_id=node.id,
                    node_type=node.node_type,
                    executor=node.executor,
                    pid=statistics.pids.get(stage.id, 0),
                    received=counted.received if counted else 0,
                    emitted=counted.emitted if counted else 0,
                    busy_ms=counted.busy_ns / 1e6 if counted else 0.0,
                    inputs=node.inputs,
                    outputs=node.outputs,
                )
            )
    return details


def _edges(live: LiveSession, statistics: SessionStatistics) -> list[admin_pb2.EdgeDetail]:
    details = []
    for edge in live.plan.edges:
        counted = statistics.edges.get(edge.id)
        if counted is not None:
            details.append(
                admin_pb2.EdgeDetail(
                    edge_id=edge.id,
                    capacity=edge.capacity,
                    sent=counted.sent,
                    queued=counted.queued,
                    in_flight=counted.in_flight,
                    dropped=counted.dropped,
                    credits=max(0, edge.capacity - counted.queued - counted.in_flight),
                    hop_p50_us=counted.hops.p50_us,
                    hop_p99_us=counted.hops.p99_us,
                )
            )
    return details
