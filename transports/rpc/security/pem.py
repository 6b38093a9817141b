"""Looks over certificates and keys in files before gRPC is given them. Source: FR-012, US3.

gRPC says nothing of a key that belongs to another certificate, nor of a file without a certificate,
until a connection fails.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Final

from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: What OpenSSL says of the time a certificate holds for, by its `X509_V_ERR_…`.
_PERIOD_FAULTS: Final[Mapping[int, str]] = {9: "is not valid yet", 10: "has expired"}


def check_pair(certificate: Path, key: Path) -> None:
    """See that a file is a certificate and another one its key.

    Raises:
        UsageError: one is not what it should be, or the key belongs to another certificate.
    """
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)


def check_authorities(path: Path, what: str) -> None:
    """See that a file has certificates of authorities.

    Args:
        path: the file.
        what: it, for people.

    Raises:
        UsageError: it has none.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except ssl.SSLError as error:
        raise UsageError(
            f"{what} {path} has no certificate in PEM ({error.reason or error})", path=str(path)
        ) from error


def period_fault(certificate: Path, key: Path) -> str:
    """What is wrong with the time a certificate holds for, as half a sentence; "": nothing.

    A client that trusts it is connected in memory: its verdict is that of others.

    Args:
        certificate: its file, as `check_pair` lets it pass.
        key: the key's.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(server, certificate, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(certificate)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    try:
        for end in (*ends, ends[0]):  # its hello, the certificate, the verdict
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return _PERIOD_FAULTS.get(error.verify_code, "")
    except ssl.SSLError:
        return ""  # such a connection needs more than the certificate
    return ""


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            why = "the key belongs to another certificate"
        else:
            why = f"one of them is not PEM as it should be ({error.reason or error})"
        raise UsageError(
            f"cannot use the certificate {certificate} with the key {key}: {why}"
        ) from error
    except OSError as error:
        raise UsageError(
            f"cannot read the certificate {certificate} and the key {key}: {error.strerror}"
        ) from error


def _no_password() -> str:
    # Else OpenSSL would ask on the terminal.
    raise UsageError("the key is encrypted: one without a password is needed")
