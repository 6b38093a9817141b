from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PeerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PEER_STATE_UNSPECIFIED: _ClassVar[PeerState]
    PEER_STATE_AVAILABLE: _ClassVar[PeerState]
    PEER_STATE_BUSY: _ClassVar[PeerState]
    PEER_STATE_AWAY: _ClassVar[PeerState]
    PEER_STATE_OFFLINE: _ClassVar[PeerState]
PEER_STATE_UNSPECIFIED: PeerState
PEER_STATE_AVAILABLE: PeerState
PEER_STATE_BUSY: PeerState
PEER_STATE_AWAY: PeerState
PEER_STATE_OFFLINE: PeerState

class SignalingRequest(_message.Message):
    __slots__ = ("request_id", "announce", "offer", "answer", "ice_candidate", "disconnect", "list_peers")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCE_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ICE_CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    LIST_PEERS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    announce: AnnounceRequest
    offer: OfferRequest
    answer: AnswerRequest
    ice_candidate: IceCandidateRequest
    disconnect: DisconnectRequest
    list_peers: ListPeersRequest
    def __init__(self, request_id: _Optional[str] = ..., announce: _Optional[_Union[AnnounceRequest, _Mapping]] = ..., offer: _Optional[_Union[OfferRequest, _Mapping]] = ..., answer: _Optional[_Union[AnswerRequest, _Mapping]] = ..., ice_candidate: _Optional[_Union[IceCandidateRequest, _Mapping]] = ..., disconnect: _Optional[_Union[DisconnectRequest, _Mapping]] = ..., list_peers: _Optional[_Union[ListPeersRequest, _Mapping]] = ...) -> None: ...

class AnnounceRequest(_message.Message):
    __slots__ = ("peer_id", "capabilities", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    peer_id: str
    capabilities: PeerCapabilities
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, peer_id: _Optional[str] = ..., capabilities: _Optional[_Union[PeerCapabilities, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class OfferRequest(_message.Message):
    __slots__ = ("to_peer_id", "sdp", "type")
    TO_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    SDP_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    to_peer_id: str
    sdp: str
    type: str
    def __init__(self, to_peer_id: _Optional[str] = ..., sdp: _Optional[str] = ..., type: _Optional[str] = ...) -> None: ...

class AnswerRequest(_message.Message):
    __slots__ = ("to_peer_id", "sdp", "type")
    TO_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    SDP_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    to_peer_id: str
    sdp: str
    type: str
    def __init__(self, to_peer_id: _Optional[str] = ..., sdp: _Optional[str] = ..., type: _Optional[str] = ...) -> None: ...

class IceCandidateRequest(_message.Message):
    __slots__ = ("to_peer_id", "candidate", "sdp_mid", "sdp_mline_index")
    TO_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    SDP_MID_FIELD_NUMBER: _ClassVar[int]
    SDP_MLINE_INDEX_FIELD_NUMBER: _ClassVar[int]
    to_peer_id: str
    candidate: str
    sdp_mid: str
    sdp_mline_index: int
    def __init__(self, to_peer_id: _Optional[str] = ..., candidate: _Optional[str] = ..., sdp_mid: _Optional[str] = ..., sdp_mline_index: _Optional[int] = ...) -> None: ...

class DisconnectRequest(_message.Message):
    __slots__ = ("peer_id",)
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    peer_id: str
    def __init__(self, peer_id: _Optional[str] = ...) -> None: ...

class ListPeersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetPeersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HealthCheckRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SignalingResponse(_message.Message):
    __slots__ = ("request_id", "ack", "peer_list", "notification", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    PEER_LIST_FIELD_NUMBER: _ClassVar[int]
    NOTIFICATION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    ack: AckResponse
    peer_list: PeerListResponse
    notification: SignalingNotification
    error: ErrorResponse
    def __init__(self, request_id: _Optional[str] = ..., ack: _Optional[_Union[AckResponse, _Mapping]] = ..., peer_list: _Optional[_Union[PeerListResponse, _Mapping]] = ..., notification: _Optional[_Union[SignalingNotification, _Mapping]] = ..., error: _Optional[_Union[ErrorResponse, _Mapping]] = ...) -> None: ...

class AckResponse(_message.Message):
    __slots__ = ("message", "data")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    message: str
    data: str
    def __init__(self, message: _Optional[str] = ..., data: _Optional[str] = ...) -> None: ...

class PeerListResponse(_message.Message):
    __slots__ = ("peers", "count")
    PEERS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    peers: _containers.RepeatedCompositeFieldContainer[PeerInfo]
    count: int
    def __init__(self, peers: _Optional[_Iterable[_Union[PeerInfo, _Mapping]]] = ..., count: _Optional[int] = ...) -> None: ...

class SignalingNotification(_message.Message):
    __slots__ = ("peer_joined", "peer_left", "offer", "answer", "ice_candidate", "peer_disconnected")
    PEER_JOINED_FIELD_NUMBER: _ClassVar[int]
    PEER_LEFT_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ICE_CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    PEER_DISCONNECTED_FIELD_NUMBER: _ClassVar[int]
    peer_joined: PeerJoinedNotification
    peer_left: PeerLeftNotification
    offer: OfferNotification
    answer: AnswerNotification
    ice_candidate: IceCandidateNotification
    peer_disconnected: PeerDisconnectedNotification
    def __init__(self, peer_joined: _Optional[_Union[PeerJoinedNotification, _Mapping]] = ..., peer_left: _Optional[_Union[PeerLeftNotification, _Mapping]] = ..., offer: _Optional[_Union[OfferNotification, _Mapping]] = ..., answer: _Optional[_Union[AnswerNotification, _Mapping]] = ..., ice_candidate: _Optional[_Union[IceCandidateNotification, _Mapping]] = ..., peer_disconnected: _Optional[_Union[PeerDisconnectedNotification, _Mapping]] = ...) -> None: ...

class PeerJoinedNotification(_message.Message):
    __slots__ = ("peer_id", "capabilities", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    peer_id: str
    capabilities: PeerCapabilities
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, peer_id: _Optional[str] = ..., capabilities: _Optional[_Union[PeerCapabilities, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PeerLeftNotification(_message.Message):
    __slots__ = ("peer_id",)
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    peer_id: str
    def __init__(self, peer_id: _Optional[str] = ...) -> None: ...

class OfferNotification(_message.Message):
    __slots__ = ("from_peer_id", "offer_id", "sdp", "type")
    FROM_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    OFFER_ID_FIELD_NUMBER: _ClassVar[int]
    SDP_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    from_peer_id: str
    offer_id: str
    sdp: str
    type: str
    def __init__(self, from_peer_id: _Optional[str] = ..., offer_id: _Optional[str] = ..., sdp: _Optional[str] = ..., type: _Optional[str] = ...) -> None: ...

class AnswerNotification(_message.Message):
    __slots__ = ("from_peer_id", "sdp", "type")
    FROM_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    SDP_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    from_peer_id: str
    sdp: str
    type: str
    def __init__(self, from_peer_id: _Optional[str] = ..., sdp: _Optional[str] = ..., type: _Optional[str] = ...) -> None: ...

class IceCandidateNotification(_message.Message):
    __slots__ = ("from_peer_id", "candidate", "sdp_mid", "sdp_mline_index")
    FROM_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    SDP_MID_FIELD_NUMBER: _ClassVar[int]
    SDP_MLINE_INDEX_FIELD_NUMBER: _ClassVar[int]
    from_peer_id: str
    candidate: str
    sdp_mid: str
    sdp_mline_index: int
    def __init__(self, from_peer_id: _Optional[str] = ..., candidate: _Optional[str] = ..., sdp_mid: _Optional[str] = ..., sdp_mline_index: _Optional[int] = ...) -> None: ...

class PeerDisconnectedNotification(_message.Message):
    __slots__ = ("peer_id",)
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    peer_id: str
    def __init__(self, peer_id: _Optional[str] = ...) -> None: ...

class ErrorResponse(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[str] = ...) -> None: ...

class GetPeersResponse(_message.Message):
    __slots__ = ("peers", "count")
    PEERS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    peers: _containers.RepeatedCompositeFieldContainer[PeerInfo]
    count: int
    def __init__(self, peers: _Optional[_Iterable[_Union[PeerInfo, _Mapping]]] = ..., count: _Optional[int] = ...) -> None: ...

class HealthCheckResponse(_message.Message):
    __slots__ = ("status", "uptime_seconds", "connected_peers", "metrics")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_PEERS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    status: str
    uptime_seconds: int
    connected_peers: int
    metrics: str
    def __init__(self, status: _Optional[str] = ..., uptime_seconds: _Optional[int] = ..., connected_peers: _Optional[int] = ..., metrics: _Optional[str] = ...) -> None: ...

class PeerInfo(_message.Message):
    __slots__ = ("peer_id", "capabilities", "state", "metadata", "connected_at")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_AT_FIELD_NUMBER: _ClassVar[int]
    peer_id: str
    capabilities: PeerCapabilities
    state: PeerState
    metadata: _containers.ScalarMap[str, str]
    connected_at: int
    def __init__(self, peer_id: _Optional[str] = ..., capabilities: _Optional[_Union[PeerCapabilities, _Mapping]] = ..., state: _Optional[_Union[PeerState, str]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., connected_at: _Optional[int] = ...) -> None: ...

class PeerCapabilities(_message.Message):
    __slots__ = ("audio", "video", "data", "extensions")
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    VIDEO_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EXTENSIONS_FIELD_NUMBER: _ClassVar[int]
    audio: bool
    video: bool
    data: bool
    extensions: str
    def __init__(self, audio: bool = ..., video: bool = ..., data: bool = ..., extensions: _Optional[str] = ...) -> None: ...
