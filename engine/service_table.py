"""[service] of runtime.toml: where a service listens, and what it allows its clients.

Pure: no I/O, no clock. Only a service reads it; no manifest changes any of it. Source: FR-005, US3.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictInt, StrictStr

from engine.config_table import Table

_Text = Annotated[StrictStr, Field(min_length=1)]
_Count = Annotated[StrictInt, Field(ge=1)]
_Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
_Rate = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]

MESSAGE_MB_MAX = 1024
DRAIN_S_MAX = 86_400


class ServiceTable(Table):
    """A service: where it listens, and what it allows its clients."""

    grpc: tuple[_Text, ...] = ()
    """Addresses to serve gRPC on, as HOST:PORT; none: [::]:50051, which is IPv4 as well."""
    http: _Text | None = None
    """Address of /metrics and /healthz, as HOST:PORT or PORT, which is on 127.0.0.1; null: none."""
    tls_cert: _Text | None = None
    """The server's certificate chain, PEM; relative to the file."""
    tls_key: _Text | None = None
    """Its private key, PEM, without a password; relative to the file."""
    client_ca: _Text | None = None
    """What client certificates must be signed by, PEM; relative to the file. Null: none needed."""
    max_message_mb: Annotated[_Count, Field(le=MESSAGE_MB_MAX)] = 10
    """The most one message may have, in MiB."""
    max_timeout_secs: _Seconds = 30.0
    """The most one execution may take from ready to result."""
    max_memory_mb: _Count | None = None
    """Memory of the processes of one session, in MiB; null: any amount."""
    idle_timeout_secs: _Seconds = 600.0
    """How long a stream may be open without an input or an output."""
    drain_secs: Annotated[float, Field(strict=True, ge=0, le=DRAIN_S_MAX)] = 30.0
    """How long open sessions may go on once the service is told to stop."""
    calls_per_client: _Count | None = None
    """Executions and streams that one client may have open; null: any number."""
    messages_per_sec: _Rate | None = None
    """Messages that one client may send each second; null: any number."""
    bytes_per_sec: _Rate | None = None
    """Bytes that one client may send each second; null: any number."""
    allowed_hosts: tuple[_Text, ...] = ()
    """Other servers that clients' manifests may name, as host:port or host:*."""
    allowed_files: tuple[_Text, ...] = ()
    """Directories in which clients' manifests may name files; relative to the file."""
    allowed_imports: tuple[_Text, ...] = ()
    """Functions that clients' manifests may name, as module:function or module:*."""
