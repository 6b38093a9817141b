"""Where a server is and how it is spoken to: a channel, and the metadata of each call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc

from engine.errors import UsageError
from transports.rpc.security.pem import check_authorities, check_pair

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEEPALIVE_MS: Final = 30_000
_KEEPALIVE_TIMEOUT_MS: Final = 10_000
#: How long an unread stream may keep the network from being read, see the server's arguments.
_LOOKAHEAD_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Tls:
    """How a connection is secured.

    Attributes:
        ca: file with the authorities that may have signed the server's certificate; None: those
            that grpc knows.
        certificate: file with the client's own certificate, where the server asks for one.
        key: file with its private key.
        server_name: the name in the server's certificate, where it is not the address's host.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files.

        Raises:
            UsageError: one cannot be read or is not what it should be, or a certificate has no key
                or another one's.
        """
        if (self.certificate is None) != (self.key is None):
            raise UsageError("a client's certificate and its key belong together: name both")
        ca, key, certificate = _read(self.ca), _read(self.key), _read(self.certificate)
        if self.ca is not None:
            check_authorities(self.ca, "the file of authorities")
        if self.certificate is not None and self.key is not None:
            check_pair(self.certificate, self.key)
        return grpc.ssl_channel_credentials(ca, key, certificate)


def open_channel(address: str, tls: Tls | None) -> grpc.aio.Channel:
    """A channel; nothing is connected yet.

    Args:
        address: "host:port", or "unix:path".
        tls: how it is secured; None: not at all.

    Raises:
        UsageError: a file of `tls` cannot be read.
    """
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _LOOKAHEAD_BYTES),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        # A channel of our own: others of the process to the same server would share its sockets.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if tls is None:
        return grpc.aio.insecure_channel(address, options)
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return grpc.aio.secure_channel(address, tls.credentials(), options)


def call_metadata(token: str | None) -> Sequence[tuple[str, str]]:
    """What each call says of its caller."""
    return () if not token else (("authorization", f"Bearer {token}"),)


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", path=str(path)) from error
