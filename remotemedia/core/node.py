"""Every public name of the older Python API."""

from remotemedia.core._compat.data_types import (
    AudioFormat,
    AudioMetadata,
    ControlMessageMetadata,
    ControlMessageType,
    DataType,
    FileMetadata,
    Metadata,
    TensorMetadata,
    TensorType,
    TextMetadata,
    VideoFormat,
    VideoMetadata,
)
from remotemedia.core._compat.errors import (
    ConfigurationError,
    InitializationFailedError,
    InitializationTimeoutError,
    PipelineError,
    RemoteExecutionError,
)
from remotemedia.core._compat.multiprocess_node import MultiprocessNode, NodeConfig, NodeStatus
from remotemedia.core._compat.nodes import Node
from remotemedia.core._compat.pipeline import Pipeline
from remotemedia.core._compat.progress import InitProgress, InitStatus
from remotemedia.core._compat.registration import (
    get_node_class,
    get_node_requirements,
    list_registered_nodes,
    python_requires,
    register_node,
)
from remotemedia.core._compat.runtime_data import RuntimeData, audio_to_numpy, numpy_to_audio
from remotemedia.core._compat.session import Session, SessionStatus
from remotemedia.core._compat.session_state import SessionState, StateManager

__all__ = [
    "AudioFormat",
    "AudioMetadata",
    "ConfigurationError",
    "ControlMessageMetadata",
    "ControlMessageType",
    "DataType",
    "FileMetadata",
    "InitProgress",
    "InitStatus",
    "InitializationFailedError",
    "InitializationTimeoutError",
    "Metadata",
    "MultiprocessNode",
    "Node",
    "NodeConfig",
    "NodeStatus",
    "Pipeline",
    "PipelineError",
    "RemoteExecutionError",
    "RuntimeData",
    "Session",
    "SessionState",
    "SessionStatus",
    "StateManager",
    "TensorMetadata",
    "TensorType",
    "TextMetadata",
    "VideoFormat",
    "VideoMetadata",
    "audio_to_numpy",
    "get_node_class",
    "get_node_requirements",
    "list_registered_nodes",
    "numpy_to_audio",
    "python_requires",
    "register_node",
]
