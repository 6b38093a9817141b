from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListSessionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions",)
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[SessionSummary]
    def __init__(self, sessions: _Optional[_Iterable[_Union[SessionSummary, _Mapping]]] = ...) -> None: ...

class SessionSummary(_message.Message):
    __slots__ = ("session_id", "pipeline", "method", "peer", "phase", "opened_ms", "generation", "outputs", "nodes", "processes")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    OPENED_MS_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    pipeline: str
    method: str
    peer: str
    phase: str
    opened_ms: int
    generation: int
    outputs: int
    nodes: int
    processes: int
    def __init__(self, session_id: _Optional[str] = ..., pipeline: _Optional[str] = ..., method: _Optional[str] = ..., peer: _Optional[str] = ..., phase: _Optional[str] = ..., opened_ms: _Optional[int] = ..., generation: _Optional[int] = ..., outputs: _Optional[int] = ..., nodes: _Optional[int] = ..., processes: _Optional[int] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("summary", "nodes", "edges")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    summary: SessionSummary
    nodes: _containers.RepeatedCompositeFieldContainer[NodeDetail]
    edges: _containers.RepeatedCompositeFieldContainer[EdgeDetail]
    def __init__(self, summary: _Optional[_Union[SessionSummary, _Mapping]] = ..., nodes: _Optional[_Iterable[_Union[NodeDetail, _Mapping]]] = ..., edges: _Optional[_Iterable[_Union[EdgeDetail, _Mapping]]] = ...) -> None: ...

class NodeDetail(_message.Message):
    __slots__ = ("node_id", "node_type", "executor", "pid", "received", "emitted", "busy_ms", "inputs", "outputs")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_TYPE_FIELD_NUMBER: _ClassVar[int]
    EXECUTOR_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    EMITTED_FIELD_NUMBER: _ClassVar[int]
    BUSY_MS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    node_type: str
    executor: str
    pid: int
    received: int
    emitted: int
    busy_ms: float
    inputs: _containers.RepeatedScalarFieldContainer[str]
    outputs: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, node_id: _Optional[str] = ..., node_type: _Optional[str] = ..., executor: _Optional[str] = ..., pid: _Optional[int] = ..., received: _Optional[int] = ..., emitted: _Optional[int] = ..., busy_ms: _Optional[float] = ..., inputs: _Optional[_Iterable[str]] = ..., outputs: _Optional[_Iterable[str]] = ...) -> None: ...

class EdgeDetail(_message.Message):
    __slots__ = ("edge_id", "capacity", "sent", "queued", "in_flight", "dropped", "credits", "hop_p50_us", "hop_p99_us")
    EDGE_ID_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    CREDITS_FIELD_NUMBER: _ClassVar[int]
    HOP_P50_US_FIELD_NUMBER: _ClassVar[int]
    HOP_P99_US_FIELD_NUMBER: _ClassVar[int]
    edge_id: str
    capacity: int
    sent: int
    queued: int
    in_flight: int
    dropped: int
    credits: int
    hop_p50_us: float
    hop_p99_us: float
    def __init__(self, edge_id: _Optional[str] = ..., capacity: _Optional[int] = ..., sent: _Optional[int] = ..., queued: _Optional[int] = ..., in_flight: _Optional[int] = ..., dropped: _Optional[int] = ..., credits: _Optional[int] = ..., hop_p50_us: _Optional[float] = ..., hop_p99_us: _Optional[float] = ...) -> None: ...

class CloseSessionRequest(_message.Message):
    __slots__ = ("session_id", "drain")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    drain: bool
    def __init__(self, session_id: _Optional[str] = ..., drain: bool = ...) -> None: ...

class CloseSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InterruptRequest(_message.Message):
    __slots__ = ("session_id", "scope", "reason", "settle_ms")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SETTLE_MS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    scope: str
    reason: str
    settle_ms: int
    def __init__(self, session_id: _Optional[str] = ..., scope: _Optional[str] = ..., reason: _Optional[str] = ..., settle_ms: _Optional[int] = ...) -> None: ...

class InterruptResponse(_message.Message):
    __slots__ = ("generation", "dropped", "late", "played")
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    PLAYED_FIELD_NUMBER: _ClassVar[int]
    generation: int
    dropped: _containers.ScalarMap[str, int]
    late: _containers.RepeatedScalarFieldContainer[str]
    played: _containers.RepeatedCompositeFieldContainer[PlayedDetail]
    def __init__(self, generation: _Optional[int] = ..., dropped: _Optional[_Mapping[str, int]] = ..., late: _Optional[_Iterable[str]] = ..., played: _Optional[_Iterable[_Union[PlayedDetail, _Mapping]]] = ...) -> None: ...

class PlayedDetail(_message.Message):
    __slots__ = ("node_id", "played_ns", "of_ns", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    PLAYED_NS_FIELD_NUMBER: _ClassVar[int]
    OF_NS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    played_ns: int
    of_ns: int
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, node_id: _Optional[str] = ..., played_ns: _Optional[int] = ..., of_ns: _Optional[int] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SetParamsRequest(_message.Message):
    __slots__ = ("session_id", "node_id", "params")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    node_id: str
    params: str
    def __init__(self, session_id: _Optional[str] = ..., node_id: _Optional[str] = ..., params: _Optional[str] = ...) -> None: ...

class SetParamsResponse(_message.Message):
    __slots__ = ("params", "edge_seq")
    class EdgeSeqEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    EDGE_SEQ_FIELD_NUMBER: _ClassVar[int]
    params: str
    edge_seq: _containers.ScalarMap[str, int]
    def __init__(self, params: _Optional[str] = ..., edge_seq: _Optional[_Mapping[str, int]] = ...) -> None: ...
