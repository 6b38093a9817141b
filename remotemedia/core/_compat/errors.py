"""Errors by the names callers of the older API catch; each is also one of the engine's.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from engine.errors import InitTimeoutError, NodeError, RemoteMediaError, UsageError


class PipelineError(UsageError):
    """A pipeline was put together or used in a way that cannot work."""

    code = "pipeline"


class ConfigurationError(UsageError):
    """A node was configured in a way that cannot work."""

    code = "configuration"


class RemoteExecutionError(RemoteMediaError):
    """Something failed in another process."""

    code = "remote_execution"


class InitializationTimeoutError(InitTimeoutError, TimeoutError, RuntimeError):
    """A node did not become ready in time; names it."""

    code = "initialization_timeout"


class InitializationFailedError(NodeError, RuntimeError):
    """A node could not be initialized; names it."""

    code = "initialization_failed"
