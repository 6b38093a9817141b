"""Errors of the older Python API; see `engine.errors` for those that are raised."""

from engine.errors import NodeError, RemoteMediaError, ResourceLimitError, TransportError
from remotemedia.core._compat.errors import (
    ConfigurationError,
    InitializationFailedError,
    InitializationTimeoutError,
    PipelineError,
    RemoteExecutionError,
)

__all__ = [
    "ConfigurationError",
    "InitializationFailedError",
    "InitializationTimeoutError",
    "NodeError",
    "PipelineError",
    "RemoteExecutionError",
    "RemoteMediaError",
    "ResourceLimitError",
    "TransportError",
]
