"""TLS from files, looked over before anything listens. Source: FR-012, US3.

grpc itself says nothing of a key that belongs to another certificate until a client comes. Files
that are renewed while the service runs are read again: each new connection meets them as they are.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from engine.errors import UsageError

logger = logging.getLogger("remotemedia.rpc")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a server's certificate is; all files are PEM.

    Attributes:
        certificate: its own, followed by those between it and the root.
        key: the private key of it, without a password.
        client_ca: what client certificates must be signed by; None: clients need none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @classmethod
    def of(cls, certificate: str | None, key: str | None, client_ca: str | None) -> TlsFiles | None:
        """The files that were named; None: none were.

        Raises:
            UsageError: one goes without another.
        """
        if certificate is None and key is None:
            if client_ca is not None:
                raise UsageError("a client CA needs a certificate and a key for the server, too")
            return None
        if certificate is None or key is None:
            missing = "key" if key is None else "certificate"
            raise UsageError(f"TLS needs a certificate and its key: the {missing} is missing")
        return cls(Path(certificate), Path(key), Path(client_ca) if client_ca else None)

    def credentials(self) -> grpc.ServerCredentials:
        """Read and check the files, which may be renewed from then on.

        Raises:
            UsageError: one cannot be read, is not what it should be, or the key belongs to another
                certificate; says which.
        """
        renewals = _Renewals(self)
        return grpc.dynamic_ssl_server_credentials(
            self.configuration(),
            renewals.newest,  # type: ignore[arg-type]  # it may say: no change
            require_client_authentication=self.client_ca is not None,
        )

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """What the files hold now.

        Raises:
            UsageError: see `credentials`.
        """
        certificate = _read(self.certificate, "certificate")
        key = _read(self.key, "key")
        client_ca = None if self.client_ca is None else _read(self.client_ca, "client CA")
        self._check()
        return grpc.ssl_server_certificate_configuration([(key, certificate)], client_ca)

    def state(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Something that changes whenever one of the files does."""
        paths = (self.certificate, self.key, self.client_ca)
        return tuple(_state_of(path) for path in paths if path is not None)

    def _check(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                why = "the key belongs to another certificate"
            else:
                why = f"one of them is not PEM as it should be ({error.reason or error})"
            raise UsageError(
                f"cannot use the certificate {self.certificate} with the key {self.key}: {why}"
            ) from error
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except ssl.SSLError as error:
                raise UsageError(
                    f"the client CA {self.client_ca} has no certificate in PEM"
                    f" ({error.reason or error})"
                ) from error


class _Renewals:
    """Gives grpc the files anew, once they have changed; it asks on threads of its own."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = files.state()

    def newest(self) -> grpc.ServerCertificateConfiguration | None:
        """What a new connection meets; None: what the one before has met."""
        state = self._files.state()
        if state == self._seen:
            return None
        self._seen = state
        try:
            configuration = self._files.configuration()
        except UsageError as error:  # while they are being written, or for good
            logger.warning("tls_not_renewed: %s; the one before is used", error.message)
            return None
        logger.info("tls_renewed", extra={"certificate": str(self._files.certificate)})
        return configuration


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _no_password() -> str:
    # Else OpenSSL would ask on the terminal.
    raise UsageError("the key is encrypted: give the service one without a password")


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the {what} {path}: {error.strerror}", path=str(path)
        ) from error
