"""HOST:PORT, as people write it. Pure: no I/O, no clock."""

from __future__ import annotations

import ipaddress
from typing import Final

from engine.errors import UsageError
from engine.wording import quoted

_PORT_MAX: Final = 65_535
_LOCAL_NAMES: Final = frozenset({"localhost", "localhost."})


def split_address(address: str) -> tuple[str, int]:
    """The host, an IPv6 address in its brackets, and the port of an address.

    Raises:
        UsageError: it is no HOST:PORT.
    """
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) <= _PORT_MAX):
        raise UsageError(f"{quoted(address)} is no HOST:PORT, such as 127.0.0.1:50051")
    if ":" in host and not bracketed:
        raise UsageError(
            f"{quoted(address)} is no HOST:PORT: an IPv6 address stands in brackets, as in"
            f" [{host}]:{port}"
        )
    return host, int(port)


def is_public(address: str) -> bool:
    """Whether other machines may reach an address.

    Args:
        address: "host:port"; or "unix:path", which is of this machine.
    """
    if address.startswith("unix:"):
        return False
    host, _ = split_address(address)
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() not in _LOCAL_NAMES
