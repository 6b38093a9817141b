"""RemoteMedia: real-time media and AI pipelines for Python. What users import.

Loads neither a transport nor an operator's library; `remotemedia.client`, which does, is loaded
when it is first asked for.
"""

import importlib
from types import ModuleType

from remotemedia.shadowing import check_shadowing

check_shadowing()

from engine import preloads  # noqa: E402
from engine.composition.flow import Flow  # noqa: E402 - only once ours are known to be ours
from engine.config import Settings, load_settings  # noqa: E402
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
from engine.flags import FLAG_GAP  # noqa: E402
from engine.interruption import Played, Settlement  # noqa: E402
from engine.operator import (  # noqa: E402
    Context,
    Emission,
    Operator,
    Output,
    Outputs,
    Params,
    Ports,
)
from engine.packet import Members, Packet, Source  # noqa: E402
from engine.payloads import (  # noqa: E402
    Audio,
    BatchHint,
    Binary,
    CancelSpeculation,
    Control,
    DeadlineWarning,
    File,
    Json,
    Payload,
    Table,
    Tensor,
    Text,
    Video,
)
from engine.reactive.collect import collect  # noqa: E402
from engine.reactive.function import rx  # noqa: E402
from engine.registry import Registry  # noqa: E402
from engine.session.blocking import BlockingSession  # noqa: E402
from engine.session.hands import Interception, Request, Tap  # noqa: E402
from engine.session.interruptions import Interruption  # noqa: E402
from engine.session.session import Session  # noqa: E402
from engine.steering import ParamsTaken  # noqa: E402
from engine.version import VERSION  # noqa: E402
from remotemedia.pipeline import Pipeline, builtin_registry  # noqa: E402
from remotemedia.registration import register_node  # noqa: E402
from remotemedia.worker_output import listen  # noqa: E402

__version__ = VERSION

listen()
# Most modules with operators import this one, which takes a fresh process 0.1 s.
preloads.add(__name__)

__all__ = [
    "FLAG_GAP",
    "Audio",
    "BatchHint",
    "Binary",
    "BlockingSession",
    "CancelSpeculation",
    "Context",
    "Control",
    "DeadlineWarning",
    "EdgeClosedError",
    "EdgeError",
    "EdgeOverflowError",
    "Emission",
    "File",
    "Flow",
    "InitTimeoutError",
    "Interception",
    "Interruption",
    "Json",
    "ManifestError",
    "MediaError",
    "Members",
    "NodeError",
    "Operator",
    "Output",
    "Outputs",
    "Packet",
    "Params",
    "ParamsTaken",
    "Payload",
    "PeerDiedError",
    "Pipeline",
    "Played",
    "Ports",
    "Problem",
    "Progress",
    "Registry",
    "RemoteMediaError",
    "Request",
    "ResourceLimitError",
    "Session",
    "Settings",
    "Settlement",
    "Source",
    "SpawnError",
    "StartupError",
    "Table",
    "Tap",
    "Tensor",
    "Text",
    "TransportError",
    "UsageError",
    "Video",
    "WorkerCrashedError",
    "__version__",
    "builtin_registry",
    "check_shadowing",
    "collect",
    "load_settings",
    "register_node",
    "rx",
]


def __getattr__(name: str) -> ModuleType:
    """Load the client when it is first asked for: it needs grpc."""
    if name == "client":
        return importlib.import_module("remotemedia.client")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
