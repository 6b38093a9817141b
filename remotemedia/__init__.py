"""RemoteMedia: real-time media and AI pipelines for Python. What users import.

Loads neither a transport nor an operator's library.
"""

from remotemedia.shadowing import check_shadowing

check_shadowing()

from engine.config import Settings, load_settings  # noqa: E402 - only once ours are known to be ours
from engine.errors import (  # noqa: E402
    EdgeClosedError,
    EdgeError,
    EdgeOverflowError,
    InitTimeoutError,
    ManifestError,
    MediaError,
    NodeError,
    PeerDiedError,
    Problem,
    RemoteMediaError,
    ResourceLimitError,
    SpawnError,
    StartupError,
    TransportError,
    UsageError,
    WorkerCrashedError,
)
from engine.executors.contract import Progress  # noqa: E402
from engine.operator import Context, Operator, Params, Step  # noqa: E402
from engine.packet import Packet, Source  # noqa: E402
from engine.payloads import Audio, Binary, Json, Payload, Text  # noqa: E402
from engine.registry import Registry  # noqa: E402
from engine.session.session import Session  # noqa: E402
from remotemedia.pipeline import Pipeline, builtin_registry  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "Audio",
    "Binary",
    "Context",
    "EdgeClosedError",
    "EdgeError",
    "EdgeOverflowError",
    "InitTimeoutError",
    "Json",
    "ManifestError",
    "MediaError",
    "NodeError",
    "Operator",
    "Packet",
    "Params",
    "Payload",
    "PeerDiedError",
    "Pipeline",
    "Problem",
    "Progress",
    "Registry",
    "RemoteMediaError",
    "ResourceLimitError",
    "Session",
    "Settings",
    "Source",
    "SpawnError",
    "StartupError",
    "Step",
    "Text",
    "TransportError",
    "UsageError",
    "WorkerCrashedError",
    "__version__",
    "builtin_registry",
    "check_shadowing",
    "load_settings",
]
