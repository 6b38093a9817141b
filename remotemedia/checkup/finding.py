"""What a check has found. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

OK: Final = "ok"
WARNING: Final = "warning"
BROKEN: Final = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: "machine", "installation", "settings" or "workers".
        name: what was looked at.
        verdict: OK, WARNING or BROKEN.
        found: what is there.
        meaning: what follows from it.
        advice: what to do; "" where nothing is to be done.
        details: the same as data, JSON-compatible.
    """

    area: str
    name: str
    verdict: str
    found: str
    meaning: str
    advice: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)
