"""The version of RemoteMedia. A server and its zygotes must agree on it. Pure."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
