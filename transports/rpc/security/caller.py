"""Which client the running call comes from, and what it may see."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

#: Of calls where nobody is asked for a token.
ANONYMOUS: Final = ""
#: How the names begin of those who see their own sessions only.
CLIENT: Final = "client"
#: How the names begin of those who see everybody's.
OPERATOR: Final = "operator"

_CALLER: Final[ContextVar[str]] = ContextVar("remotemedia_caller", default=ANONYMOUS)


def caller() -> str:
    """The client whose call this task serves: "client-1", …; ANONYMOUS where nobody is asked."""
    return _CALLER.get()


def set_caller(client: str) -> None:
    """Say whose call this task serves; each call has a task of its own."""
    _CALLER.set(client)


def may_see(owner: str) -> bool:
    """Whether the client whose call this is may see, and steer, what another one has opened."""
    client = caller()
    return client == owner or client.startswith(OPERATOR)
