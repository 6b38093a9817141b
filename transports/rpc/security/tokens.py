"""Bearer tokens: which client a call comes from. Pure: no I/O, no clock. Source: FR-012, US3.

Tokens are kept as digests only, so that no log, traceback or dump of this object has one.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from engine.errors import UsageError
from transports.rpc.security.caller import CLIENT, OPERATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: The call metadata that has the token.
AUTHORIZATION: Final = "authorization"
#: A longer value is no token of ours, and is not looked at.
_CHARS_MAX: Final = 8_192
_SCHEME: Final = "bearer"


class Tokens:
    """The tokens that let somebody in."""

    def __init__(self, tokens: Iterable[str], operators: Iterable[str] = ()) -> None:
        """Take the tokens.

        Args:
            tokens: of clients, each of which sees its own sessions only.
            operators: of those who see everybody's.

        Raises:
            UsageError: there is none at all, or one cannot be sent in a header.
        """
        #: Whose token it is, and its digest.
        self._known = [*_numbered(OPERATOR, operators), *_numbered(CLIENT, tokens)]
        if not self._known:
            raise UsageError("there is no token: name at least one, or ask for none at all")

    def __len__(self) -> int:
        return len(self._known)

    def client_of(self, metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
        """Which client a call comes from.

        Takes as long whichever token it is, and whether or not it is one.

        Args:
            metadata: the call's.

        Returns:
            "client-1", "operator-1", … by the place of its token; None: it has none, several, or
            one that is not known.
        """
        values = [value for key, value in metadata if key == AUTHORIZATION]
        if len(values) != 1 or not isinstance(values[0], str) or len(values[0]) > _CHARS_MAX:
            return None
        scheme, _, token = values[0].strip().partition(" ")
        given = _digest(token.strip())
        found = None
        for name, digest in self._known:
            if hmac.compare_digest(given, digest):
                found = found or name
        return found if scheme.lower() == _SCHEME else None


def parse_tokens(text: str) -> list[str]:
    """The tokens of a comma-separated list; spaces around them, and empty ones, do not count."""
    return [token for part in text.split(",") if (token := part.strip())]


def _numbered(kind: str, tokens: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for place, token in enumerate(dict.fromkeys(tokens), 1):
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise UsageError(
                f"token {place} of a {kind} cannot be sent: a token is printable ASCII without"
                " spaces"
            )
        yield f"{kind}-{place}", _digest(token)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
