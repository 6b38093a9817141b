"""Every message, field, enum value and method has the number that clients in the field know."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from protos.remotemedia.v1 import (
    common_pb2,
    control_pb2,
    execution_pb2,
    signaling_pb2,
    streaming_pb2,
)

# A field is "name number type"; a type is a scalar, a message or an enum, with "rep" or "map" where
# it repeats, and "opt" where its absence is told apart. (…) are the members of a oneof.
COMMON = {
    "DataBuffer": "(data_type: audio 1 AudioBuffer, video 2 VideoFrame, tensor 3 TensorBuffer,"
    " json 4 JsonData, text 5 TextBuffer, binary 6 BinaryBuffer, control 7 ControlMessage,"
    " numpy 8 NumpyBuffer, file 9 FileBuffer), metadata 10 map string",
    "AudioBuffer": "samples 1 bytes, sample_rate 2 u32, channels 3 u32, format 4 AudioFormat,"
    " num_samples 5 u64, metadata_json 6 opt bytes",
    "VideoFrame": "pixel_data 1 bytes, width 2 u32, height 3 u32, format 4 PixelFormat,"
    " frame_number 5 u64, timestamp_us 6 u64, codec 7 VideoCodec, is_keyframe 8 bool",
    "TensorBuffer": "data 1 bytes, shape 2 rep u64, dtype 3 TensorDtype, layout 4 string",
    "JsonData": "json_payload 1 string, schema_type 2 string",
    "TextBuffer": "text_data 1 bytes, encoding 2 string, language 3 string, channel 4 string",
    "BinaryBuffer": "data 1 bytes, mime_type 2 string",
    "NumpyBuffer": "data 1 bytes, shape 2 rep u64, dtype 3 string, strides 4 rep i64,"
    " c_contiguous 5 bool, f_contiguous 6 bool",
    "FileBuffer": "path 1 string, filename 2 string, mime_type 3 string, size 4 u64, offset 5 u64,"
    " length 6 u64, stream_id 7 string",
    "ControlMessage": "(message_type: cancel_speculation 1 CancelSpeculation, batch_hint 2"
    " BatchHint, deadline_warning 3 DeadlineWarning), segment_id 4 string, timestamp_ms 5 u64,"
    " metadata 6 string",
    "CancelSpeculation": "from_timestamp 1 u64, to_timestamp 2 u64",
    "BatchHint": "suggested_batch_size 1 u32",
    "DeadlineWarning": "deadline_us 1 u64",
    "ExecutionMetrics": "wall_time_ms 1 f64, cpu_time_ms 2 f64, memory_used_bytes 3 u64,"
    " node_metrics 4 map NodeMetrics, serialization_time_ms 5 f64, proto_to_runtime_ms 6 f64,"
    " runtime_to_proto_ms 7 f64, data_type_breakdown 8 map u64",
    "NodeMetrics": "execution_time_ms 1 f64, memory_bytes 2 u64, items_processed 3 u64,"
    " custom_metrics 4 string",
    "ErrorResponse": "error_type 1 ErrorType, message 2 string, failing_node_id 3 string,"
    " context 4 string, stack_trace 5 string",
    "VersionInfo": "protocol_version 1 string, runtime_version 2 string,"
    " supported_node_types 3 rep string, supported_protocols 4 rep string,"
    " build_timestamp 5 string",
    "ResourceLimits": "max_memory_bytes 1 u64, max_timeout_ms 2 u64, max_audio_samples 3 u64",
    "NodeResult": "node_id 1 string, status 2 NodeStatus, error 3 ErrorResponse,"
    " output_metadata 4 string",
}
EXECUTION = {
    "ExecuteRequest": "manifest 1 PipelineManifest, data_inputs 2 map DataBuffer,"
    " resource_limits 3 ResourceLimits, client_version 4 string",
    "ExecuteResponse": "(outcome: result 1 ExecutionResult, error 2 ErrorResponse)",
    "PipelineManifest": "version 1 string, metadata 2 ManifestMetadata, nodes 3 rep NodeManifest,"
    " connections 4 rep Connection",
    "ManifestMetadata": "name 1 string, description 2 string, created_at 3 string",
    "NodeManifest": "id 1 string, node_type 2 string, params 3 string, is_streaming 4 bool,"
    " capabilities 5 CapabilityRequirements, host 6 string, runtime_hint 7 RuntimeHint,"
    " input_types 8 rep DataTypeHint, output_types 9 rep DataTypeHint",
    "Connection": "from 1 string, to 2 string",
    "CapabilityRequirements": "gpu 1 GpuRequirement, cpu 2 CpuRequirement, memory_gb 3 f64",
    "GpuRequirement": "type 1 string, min_memory_gb 2 f64, required 3 bool",
    "CpuRequirement": "cores 1 u32, arch 2 string",
    "ExecutionResult": "data_outputs 1 map DataBuffer, metrics 2 ExecutionMetrics,"
    " node_results 3 rep NodeResult, status 4 ExecutionStatus",
    "VersionRequest": "client_version 1 string",
    "VersionResponse": "version_info 1 VersionInfo, compatible 2 bool,"
    " compatibility_message 3 string",
}
STREAMING = {
    "StreamRequest": "(request: init 1 StreamInit, data_chunk 2 DataChunk, audio_chunk 3"
    " AudioChunk, control 4 StreamControl)",
    "StreamInit": "manifest 1 PipelineManifest, data_inputs 2 map DataBuffer,"
    " resource_limits 3 ResourceLimits, client_version 4 string, expected_chunk_size 5 u64",
    "DataChunk": "node_id 1 string, buffer 2 DataBuffer, named_buffers 3 map DataBuffer,"
    " sequence 4 u64, timestamp_ms 5 u64",
    "AudioChunk": "node_id 1 string, buffer 2 AudioBuffer, sequence 3 u64, timestamp_ms 4 u64",
    "StreamControl": "command 1 Command",
    "StreamResponse": "(response: ready 1 StreamReady, result 2 ChunkResult, error 3"
    " ErrorResponse, metrics 4 StreamMetrics, closed 5 StreamClosed)",
    "StreamReady": "session_id 1 string, recommended_chunk_size 2 u64, max_buffer_latency_ms 3 u64",
    "ChunkResult": "sequence 1 u64, data_outputs 2 map DataBuffer, processing_time_ms 3 f64,"
    " total_items_processed 4 u64",
    "StreamMetrics": "session_id 1 string, chunks_processed 2 u64, average_latency_ms 3 f64,"
    " total_items 4 u64, buffer_items 5 u64, chunks_dropped 6 u64, peak_memory_bytes 7 u64,"
    " data_type_breakdown 8 map u64, cache_hits 9 u64, cache_misses 10 u64,"
    " cached_nodes_count 11 u64, cache_hit_rate 12 f64",
    "StreamClosed": "session_id 1 string, final_metrics 2 ExecutionMetrics, reason 3 string",
    "StreamErrorResponse": "base_error 1 ErrorResponse, stream_error_type 2 StreamErrorType,"
    " failing_sequence 3 u64, session_id 4 string",
}
CONTROL = {
    "ControlAddress": "node_id 1 string, port 2 string, direction 3 ControlDirection",
    "ControlFrame": "(op: hello 1 Hello, subscribe 2 Subscribe, unsubscribe 3 Unsubscribe,"
    " publish 4 Publish, intercept 5 Intercept, remove_intercept 6 RemoveIntercept,"
    " intercept_reply 7 InterceptReply, set_node_state 8 SetNodeState,"
    " clear_node_state 9 ClearNodeState)",
    "Hello": "session_id 1 string, attach_id 2 string",
    "Subscribe": "addr 1 ControlAddress",
    "Unsubscribe": "addr 1 ControlAddress",
    "Publish": "addr 1 ControlAddress, data 2 DataBuffer",
    "Intercept": "addr 1 ControlAddress, deadline_ms 2 u32",
    "RemoveIntercept": "addr 1 ControlAddress",
    "InterceptReply": "correlation_id 1 u64, decision 2 InterceptDecision",
    "SetNodeState": "node_id 1 string, state 2 NodeState",
    "ClearNodeState": "node_id 1 string",
    "InterceptDecision": "(decision: pass 1 Empty, replace 2 DataBuffer, drop 3 Empty)",
    "Empty": "",
    "ControlEvent": "(event: attached 1 Attached, tap 2 TapEvent, intercept_request 3"
    " InterceptRequest, error 4 ErrorEvent, session_closed 5 SessionClosed)",
    "Attached": "session_id 1 string, attach_id 2 string",
    "TapEvent": "addr 1 ControlAddress, data 2 DataBuffer",
    "InterceptRequest": "addr 1 ControlAddress, correlation_id 2 u64, data 3 DataBuffer",
    "ErrorEvent": "code 1 ControlErrorCode, message 2 string, addr 3 ControlAddress",
    "SessionClosed": "reason 1 CloseReasonCode, detail 2 string",
}
SIGNALING = {
    "SignalingRequest": "request_id 1 string, (request: announce 10 AnnounceRequest, offer 11"
    " OfferRequest, answer 12 AnswerRequest, ice_candidate 13 IceCandidateRequest, disconnect 14"
    " DisconnectRequest, list_peers 15 ListPeersRequest)",
    "AnnounceRequest": "peer_id 1 string, capabilities 2 PeerCapabilities, metadata 3 map string",
    "OfferRequest": "to_peer_id 1 string, sdp 2 string, type 3 string",
    "AnswerRequest": "to_peer_id 1 string, sdp 2 string, type 3 string",
    "IceCandidateRequest": "to_peer_id 1 string, candidate 2 string, sdp_mid 3 string,"
    " sdp_mline_index 4 u32",
    "DisconnectRequest": "peer_id 1 string",
    "ListPeersRequest": "",
    "GetPeersRequest": "",
    "HealthCheckRequest": "",
    "SignalingResponse": "request_id 1 string, (response: ack 10 AckResponse, peer_list 11"
    " PeerListResponse, notification 12 SignalingNotification, error 13 ErrorResponse)",
    "AckResponse": "message 1 string, data 2 string",
    "PeerListResponse": "peers 1 rep PeerInfo, count 2 u32",
    "SignalingNotification": "(notification: peer_joined 1 PeerJoinedNotification, peer_left 2"
    " PeerLeftNotification, offer 3 OfferNotification, answer 4 AnswerNotification,"
    " ice_candidate 5 IceCandidateNotification, peer_disconnected 6 PeerDisconnectedNotification)",
    "PeerJoinedNotification": "peer_id 1 string, capabilities 2 PeerCapabilities,"
    " metadata 3 map string",
    "PeerLeftNotification": "peer_id 1 string",
    "OfferNotification": "from_peer_id 1 string, offer_id 2 string, sdp 3 string, type 4 string",
    "AnswerNotification": "from_peer_id 1 string, sdp 2 string, type 3 string",
    "IceCandidateNotification": "from_peer_id 1 string, candidate 2 string, sdp_mid 3 string,"
    " sdp_mline_index 4 u32",
    "PeerDisconnectedNotification": "peer_id 1 string",
    "ErrorResponse": "code 1 u32, message 2 string, details 3 string",
    "GetPeersResponse": "peers 1 rep PeerInfo, count 2 u32",
    "HealthCheckResponse": "status 1 string, uptime_seconds 2 u64, connected_peers 3 u32,"
    " metrics 4 string",
    "PeerInfo": "peer_id 1 string, capabilities 2 PeerCapabilities, state 3 PeerState,"
    " metadata 4 map string, connected_at 5 u64",
    "PeerCapabilities": "audio 1 bool, video 2 bool, data 3 bool, extensions 4 string",
}

#: Enum → the beginning of its values' names, and the values behind UNSPECIFIED 0.
ENUMS = {
    common_pb2: {
        "AudioFormat": ("AUDIO_FORMAT", "F32 1, I16 2, I32 3"),
        "PixelFormat": (
            "PIXEL_FORMAT",
            "RGB24 1, RGBA32 2, YUV420P 3, GRAY8 4, I420 5, NV12 6, ENCODED 255",
        ),
        "VideoCodec": ("VIDEO_CODEC", "VP8 1, H264 2, AV1 3"),
        "TensorDtype": ("TENSOR_DTYPE", "F32 1, F16 2, I32 3, I8 4, U8 5"),
        "DataTypeHint": (
            "DATA_TYPE_HINT",
            "AUDIO 1, VIDEO 2, TENSOR 3, JSON 4, TEXT 5, BINARY 6, ANY 7, FILE 8",
        ),
        "ErrorType": (
            "ERROR_TYPE",
            (
                "VALIDATION 1, NODE_EXECUTION 2, RESOURCE_LIMIT 3, AUTHENTICATION 4,"
                " VERSION_MISMATCH 5, INTERNAL 6, TYPE_VALIDATION 7"
            ),
        ),
        "ExecutionStatus": ("EXECUTION_STATUS", "SUCCESS 1, PARTIAL_SUCCESS 2, FAILED 3"),
        "NodeStatus": ("NODE_STATUS", "SUCCESS 1, SKIPPED 2, FAILED 3"),
    },
    execution_pb2: {
        "RuntimeHint": ("RUNTIME_HINT", "RUSTPYTHON 1, CPYTHON 2, CPYTHON_WASM 3, AUTO 4"),
    },
    streaming_pb2: {
        "StreamErrorType": (
            "STREAM_ERROR",
            (
                "INIT_REQUIRED 1, INVALID_SEQUENCE 2, BUFFER_OVERFLOW 3, TIMEOUT 4,"
                " CLIENT_DISCONNECT 5, EXECUTION 6"
            ),
        ),
    },
    control_pb2: {
        "ControlDirection": ("CONTROL_DIRECTION", "IN 1, OUT 2"),
        "NodeState": ("NODE_STATE", "ENABLED 1, BYPASS 2, DISABLED 3"),
        "ControlErrorCode": (
            "CONTROL_ERROR_CODE",
            (
                "SESSION_NOT_FOUND 1, UNKNOWN_NODE 2, INVALID_ADDRESS 3, PROTOCOL 4, UNAUTHORIZED 5,"
                " INTERNAL 6"
            ),
        ),
        "CloseReasonCode": ("CLOSE_REASON_CODE", "NORMAL 1, ERROR 2"),
    },
    signaling_pb2: {
        "PeerState": ("PEER_STATE", "AVAILABLE 1, BUSY 2, AWAY 3, OFFLINE 4"),
    },
}

SERVICES = {
    "remotemedia.v1.PipelineExecutionService": "ExecutePipeline ExecuteRequest → ExecuteResponse,"
    " GetVersion VersionRequest → VersionResponse",
    "remotemedia.v1.StreamingPipelineService": "StreamPipeline stream StreamRequest"
    " → stream StreamResponse",
    "remotemedia.v1.PipelineControl": "Attach stream ControlFrame → stream ControlEvent",
    "remotemedia.v1.webrtc.WebRtcSignaling": "Signal stream SignalingRequest"
    " → stream SignalingResponse, GetPeers GetPeersRequest → GetPeersResponse,"
    " HealthCheck HealthCheckRequest → HealthCheckResponse",
}

FILES = {
    common_pb2: COMMON,
    execution_pb2: EXECUTION,
    streaming_pb2: STREAMING,
    control_pb2: CONTROL,
    signaling_pb2: SIGNALING,
}
SCALARS = {
    FieldDescriptor.TYPE_DOUBLE: "f64",
    FieldDescriptor.TYPE_UINT32: "u32",
    FieldDescriptor.TYPE_UINT64: "u64",
    FieldDescriptor.TYPE_INT64: "i64",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
}
MESSAGES = [(module, name) for module, table in FILES.items() for name in table]


def described(message: Descriptor) -> set[str]:
    return {f"{field.name} {field.number} {type_of(field)}" for field in message.fields}


def type_of(field: FieldDescriptor) -> str:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        assert type_of(message.fields_by_name["key"]) == "string"
        return f"map {type_of(message.fields_by_name['value'])}"
    if message is not None:
        name = message.name
    elif field.enum_type is not None:
        name = field.enum_type.name
    else:
        name = SCALARS[field.type]
    if field.is_repeated:
        return f"rep {name}"
    oneof = field.containing_oneof
    told_apart = oneof is not None and oneof.name.startswith("_")  # how `optional` is kept
    return f"opt {name}" if told_apart else name


def listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


@pytest.mark.parametrize(("module", "name"), MESSAGES)
def test_a_message_has_the_fields_of_the_wire_and_no_others(module, name):
    message = module.DESCRIPTOR.message_types_by_name[name]
    fields, oneofs = [], {}
    rest = FILES[module][name]
    while "(" in rest:
        before, _, inside = rest.partition("(")
        inside, _, rest = inside.partition(")")
        oneof, _, members = inside.partition(":")
        oneofs[oneof] = listed(members)
        fields += listed(before) + oneofs[oneof]
    fields += listed(rest)
    assert described(message) == set(fields)
    assert len(message.fields) == len(fields)
    found = {
        oneof.name: [f"{field.name} {field.number} {type_of(field)}" for field in oneof.fields]
        for oneof in message.oneofs
        if not oneof.name.startswith("_")
    }
    assert found == oneofs


@pytest.mark.parametrize("module", FILES)
def test_a_file_has_the_messages_and_enums_of_the_wire_and_no_others(module):
    assert set(module.DESCRIPTOR.message_types_by_name) == set(FILES[module])
    assert set(module.DESCRIPTOR.enum_types_by_name) == set(ENUMS[module])


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in ENUMS for name in ENUMS[module]]
)
def test_an_enum_has_the_values_of_the_wire_and_no_others(module, name):
    prefix, values = ENUMS[module][name]
    expected = {f"{prefix}_UNSPECIFIED 0", *(f"{prefix}_{value}" for value in listed(values))}
    enum = module.DESCRIPTOR.enum_types_by_name[name]
    assert {f"{value.name} {value.number}" for value in enum.values} == expected


def test_stream_control_has_its_commands_inside():
    enum = streaming_pb2.StreamControl.DESCRIPTOR.enum_types_by_name["Command"]
    assert {(value.name, value.number) for value in enum.values} == {
        ("COMMAND_UNSPECIFIED", 0),
        ("COMMAND_CLOSE", 1),
        ("COMMAND_CANCEL", 2),
    }


def test_the_services_have_the_methods_of_the_wire_and_no_others():
    found = {}
    for module in FILES:
        for service in module.DESCRIPTOR.services_by_name.values():
            methods = [
                f"{method.name} {'stream ' if method.client_streaming else ''}"
                f"{method.input_type.name} → {'stream ' if method.server_streaming else ''}"
                f"{method.output_type.name}"
                for method in service.methods
            ]
            found[service.full_name] = ", ".join(methods)
    assert found == SERVICES


def test_the_older_audio_chunk_is_marked_as_deprecated():
    fields = streaming_pb2.StreamRequest.DESCRIPTOR.fields_by_name
    assert fields["audio_chunk"].GetOptions().deprecated
    assert streaming_pb2.AudioChunk.DESCRIPTOR.GetOptions().deprecated
