"""TLS from files, looked over before anything listens. Source: FR-012, US3.

Files that are renewed while the service runs are read again: each new connection meets them as they
are, unless they cannot be used, or hold a certificate that has expired or is not valid yet.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import grpc

from engine.errors import UsageError
from transports.rpc.security.pem import check_authorities, check_pair, period_fault

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

        A certificate that has expired, or is not valid yet, is used with a warning.

        Raises:
            UsageError: one cannot be read, is not what it should be, or the key belongs to another
                certificate; says which.
        """
        renewals = _Renewals(self)
        configuration = self.configuration()
        if fault := self.period_fault():
            logger.warning(
                "tls_certificate_out_of_date: the certificate %s %s: clients will refuse it",
                self.certificate,
                fault,
            )
        return grpc.dynamic_ssl_server_credentials(
            configuration,
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
        check_pair(self.certificate, self.key)
        if self.client_ca is not None:
            check_authorities(self.client_ca, "the client CA")

    def period_fault(self) -> str:
        """What is wrong with the time the certificate holds for, as half a sentence; "": nothing.

        Raises:
            UsageError: see `credentials`.
        """
        return period_fault(self.certificate, self.key)


class _Renewals:
    """Gives grpc the files anew, once they have changed; it asks on threads of its own."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen = files.state()
        #: The state in which a certificate was out of date; it is looked at again: it may become
        #: valid.
        self._out_of_date: object = None

    def newest(self) -> grpc.ServerCertificateConfiguration | None:
        """What a new connection meets; None: what the one before has met."""
        state = self._files.state()
        if state == self._seen:
            return None
        try:
            configuration = self._files.configuration()
            fault = self._files.period_fault()
        except UsageError as error:  # while they are being written, or for good
            self._seen = state
            logger.warning("tls_not_renewed: %s; the one before is used", error.message)
            return None
        if fault:
            if state != self._out_of_date:
                self._out_of_date = state
                logger.warning(
                    "tls_not_renewed: the certificate %s %s; the one before is used",
                    self._files.certificate,
                    fault,
                )
            return None
        self._seen = state
        logger.info("tls_renewed", extra={"certificate": str(self._files.certificate)})
        return configuration


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the {what} {path}: {error.strerror}", path=str(path)
        ) from error
