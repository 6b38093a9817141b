"""Options of the commands that call a server, and what they come to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from remotemedia.client import Client, Tls

T = TypeVar("T")

#: What `--tls-ca` says for the authorities that grpc knows.
SYSTEM: Final = "system"
#: Files of the client's own certificate and key, where a server asks for one.
_CERTIFICATE: Final = "REMOTEMEDIA_TLS_CERT"
_KEY: Final = "REMOTEMEDIA_TLS_KEY"
#: The least of a session's id that is taken for it.
_PREFIX_MIN: Final = 4

_SERVER_HELP: Final = "The server, by its gRPC address."
ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        metavar="HOST:PORT",
        envvar="REMOTEMEDIA_SERVER",
        help=_SERVER_HELP,
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="REMOTEMEDIA_TOKEN",
        show_envvar=True,
        help="What the server knows us by; better in the environment, which others cannot read.",
    ),
]
TlsOption = Annotated[
    str | None,
    typer.Option(
        "--tls-ca",
        metavar="FILE",
        envvar="REMOTEMEDIA_TLS_CA",
        help='Speak TLS; a file with the authorities to trust, PEM, or "system". A certificate of'
        " our own and its key: the files that REMOTEMEDIA_TLS_CERT and REMOTEMEDIA_TLS_KEY name.",
    ),
]
SessionArgument = Annotated[
    str,
    typer.Argument(
        metavar="SESSION", help="The session's id, or the first characters of it, at least 4."
    ),
]
NodeArgument = Annotated[
    str, typer.Argument(metavar="NODE[.PORT]", help="A node, and a port of it.")
]


def client_for(server: str, token: str | None, tls_ca: str | None) -> Client:
    """A client as the options say; made on a running loop.

    Raises:
        UsageError: a file cannot be read.
    """
    from remotemedia.client import Client

    return Client(server, token=token, tls=_tls(tls_ca))


def call_server(
    server: str, token: str | None, tls_ca: str | None, do: Callable[[Client], Awaitable[T]]
) -> T:
    """Do something with a client of a server.

    Args:
        server: its address.
        token: what it knows us by.
        tls_ca: see the option.
        do: what is done.

    Raises:
        RemoteMediaError: it failed.
    """
    import asyncio

    async def run() -> T:
        async with client_for(server, token, tls_ca) as client:
            return await do(client)

    return asyncio.run(run())


async def session_named(client: Client, name: str) -> str:
    """The id of a session.

    Args:
        client: of its server.
        name: the id, or how it begins.

    Raises:
        UsageError: no session is called so, or several are.
    """
    from engine.errors import UsageError

    ids = [summary.session_id for summary in await client.sessions()]
    if name in ids:
        return name
    found = [each for each in ids if each.startswith(name.lower())]
    if len(found) == 1 and len(name) >= _PREFIX_MIN:
        return found[0]
    if len(name) < _PREFIX_MIN:
        raise UsageError(
            f"{name!r} is too short for a session: give the id, or at least {_PREFIX_MIN}"
            " characters of its beginning"
        )
    known = ", ".join(ids) or "none is open"
    what = "several sessions are" if len(found) > 1 else "no session is"
    raise UsageError(f"{what} called {name!r}; sessions: {known}")


def place_of(text: str) -> tuple[str, str]:
    """Node and port of "node" or "node.port"; no port: ""."""
    node, _, port = text.partition(".")
    return node, port


def _tls(tls_ca: str | None) -> Tls | None:
    from remotemedia.client import Tls

    certificate, key = os.environ.get(_CERTIFICATE), os.environ.get(_KEY)
    if tls_ca is None and certificate is None and key is None:
        return None
    return Tls(
        ca=None if tls_ca in {None, SYSTEM} else Path(str(tls_ca)),
        certificate=Path(certificate) if certificate else None,
        key=Path(key) if key else None,
    )
