"""A client of RemoteMedia's gRPC services, for programs and for the command line.

    manifests   a pipeline or document → what the wire carries of it
    packets     payload ↔ DataBuffer, as packets
    failures    ErrorResponse and status → the error tree
    channel     address, TLS, token → a channel
    client      Client: executions, streams, sessions, all of one server
    stream      RemoteStream: one stream, and what becomes of it when its connection is lost
    exchange    one call with messages both ways, read to its true end
    reconnect   how long is waited, and which inputs are sent again; pure
    hands       Hands: taps, interceptions, publications of one running session
    blocking    BlockingClient, BlockingStream: the same without a loop; blocking_hands: the hands

Loads grpc; `import remotemedia` does not.
"""

from remotemedia.shadowing import DOORS, check_shadowing

check_shadowing(DOORS)

from remotemedia.client.blocking import BlockingClient, BlockingStream  # noqa: E402
from remotemedia.client.blocking_hands import (  # noqa: E402 - only once ours are known to be ours
    BlockingHands,
    BlockingQuestion,
    BlockingRemoteInterception,
)
from remotemedia.client.channel import Tls  # noqa: E402
from remotemedia.client.client import Client, Limits, Result  # noqa: E402
from remotemedia.client.hands import Hands, Question, RemoteInterception, RemoteTap  # noqa: E402
from remotemedia.client.reconnect import Reconnect  # noqa: E402
from remotemedia.client.stream import RemoteStream  # noqa: E402

__all__ = [
    "BlockingClient",
    "BlockingHands",
    "BlockingQuestion",
    "BlockingRemoteInterception",
    "BlockingStream",
    "Client",
    "Hands",
    "Limits",
    "Question",
    "Reconnect",
    "RemoteInterception",
    "RemoteStream",
    "RemoteTap",
    "Result",
    "Tls",
]
