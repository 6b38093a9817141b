"""What a service is to do: the command line before the environment before runtime.toml.

Reads the environment that it is given, and nothing else. Source: FR-005, FR-012, US3.

    GRPC_BIND_ADDRESS      where to listen; several with commas
    GRPC_AUTH_TOKENS       tokens of clients, with commas; there being any, one is asked for
    GRPC_ADMIN_TOKENS      tokens of those who see and steer everybody's sessions
    GRPC_REQUIRE_AUTH      true: refuse to start without tokens; false: ask for none all the same
    GRPC_MAX_MEMORY_MB     MiB that the processes of one session may use
    GRPC_MAX_TIMEOUT_SEC   the most one execution may take
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.errors import UsageError
from engine.wording import quoted
from transports.rpc.addresses import is_public, split_address
from transports.rpc.limits import MIB, ServiceLimits
from transports.rpc.security.access import Access
from transports.rpc.security.credentials import TlsFiles
from transports.rpc.security.quotas import Quotas
from transports.rpc.security.tokens import Tokens, parse_tokens
from transports.rpc.server import DEFAULT_ADDRESSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.service_table import ServiceTable

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_LOCAL: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says; None: nothing."""

    grpc: tuple[str, ...] = ()
    http: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    client_ca: str | None = None
    drain_s: float | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """What a service is to do.

    Attributes:
        grpc: addresses to serve gRPC on.
        http: address of its metrics, or None.
        tls: files of its certificate, or None.
        tokens: who may call; None: everybody.
        quotas: what each client may do.
        access: what clients' manifests may name.
        limits: what calls may take.
        drain_s: how long open sessions may go on once it is told to stop.
        warnings: what is odd about it.
    """

    grpc: tuple[str, ...]
    http: str | None
    tls: TlsFiles | None
    tokens: Tokens | None
    quotas: Quotas
    access: Access
    limits: ServiceLimits
    drain_s: float
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, flags: Flags, table: ServiceTable, environ: Mapping[str, str]) -> Choices:
        """Bring together what was said.

        Args:
            flags: the command line.
            table: [service] of runtime.toml.
            environ: the environment.

        Raises:
            UsageError: a value cannot be used; says which.
        """
        bound = tuple(parse_tokens(environ.get("GRPC_BIND_ADDRESS", "")))
        grpc = flags.grpc or bound or table.grpc or DEFAULT_ADDRESSES
        for address in grpc:
            if not address.startswith("unix:"):
                split_address(address)
        http = flags.http if flags.http is not None else table.http
        tls = TlsFiles.of(
            flags.tls_cert or table.tls_cert,
            flags.tls_key or table.tls_key,
            flags.client_ca or table.client_ca,
        )
        memory_mb = _number(environ, "GRPC_MAX_MEMORY_MB", table.max_memory_mb)
        timeout_s = _number(environ, "GRPC_MAX_TIMEOUT_SEC", table.max_timeout_secs)
        chosen = cls(
            grpc=grpc,
            http=None if http is None else _http(http),
            tls=tls,
            tokens=_tokens(environ),
            quotas=Quotas(table.calls_per_client, table.messages_per_sec, table.bytes_per_sec),
            access=Access(table.allowed_hosts, table.allowed_files, table.allowed_imports),
            limits=ServiceLimits(
                message_bytes_max=table.max_message_mb * MIB,
                timeout_s=table.max_timeout_secs if timeout_s is None else timeout_s,
                memory_mb=None if memory_mb is None else max(1, round(memory_mb)),
                idle_timeout_s=table.idle_timeout_secs,
            ),
            drain_s=table.drain_secs if flags.drain_s is None else flags.drain_s,
            warnings=(),
        )
        return cls(
            **{
                name: getattr(chosen, name)
                for name in cls.__dataclass_fields__
                if name != "warnings"
            },
            warnings=tuple(_warnings(chosen, environ)),
        )


def _tokens(environ: Mapping[str, str]) -> Tokens | None:
    tokens = parse_tokens(environ.get("GRPC_AUTH_TOKENS", ""))
    operators = parse_tokens(environ.get("GRPC_ADMIN_TOKENS", ""))
    required = _truth(environ, "GRPC_REQUIRE_AUTH")
    if required is False:
        return None
    if tokens or operators:
        return Tokens(tokens, operators)
    if required:
        raise UsageError(
            "GRPC_REQUIRE_AUTH is set, and GRPC_AUTH_TOKENS has no token: nobody could call"
        )
    return None


def _warnings(chosen: Choices, environ: Mapping[str, str]) -> Iterator[str]:
    public = ", ".join(address for address in chosen.grpc if is_public(address))
    certified = chosen.tls is not None and chosen.tls.client_ca is not None
    if public and chosen.tokens is None and not certified:
        yield (
            f"ANYBODY WHO REACHES {public} MAY RUN PIPELINES HERE: set GRPC_AUTH_TOKENS, or use"
            " --client-ca, or listen on 127.0.0.1"
        )
    elif public and chosen.tls is None:
        yield f"tokens travel unencrypted to {public}: use --tls-cert, or a proxy that has TLS"
    if environ.get("GRPC_AUTH_TOKENS") and chosen.tokens is None:
        yield "GRPC_REQUIRE_AUTH is false: the tokens of GRPC_AUTH_TOKENS are asked of nobody"
    if chosen.http is not None and is_public(chosen.http):
        yield f"anybody who reaches {chosen.http} may read the metrics"


def _http(text: str) -> str:
    """The address of the status page; on this machine only, unless a host is named."""
    port = text.removeprefix(":")
    address = f"{_LOCAL}:{port}" if port.isdecimal() else text
    split_address(address)
    return address


def _number(environ: Mapping[str, str], name: str, default: float | None) -> float | None:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"{name} must be a number above 0, got {quoted(text)}")
    return value


def _truth(environ: Mapping[str, str], name: str) -> bool | None:
    text = environ.get(name, "").strip().lower()
    if not text:
        return None
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise UsageError(f"{name} must be true or false, got {quoted(text)}")
