"""What a CancelSpeculation takes back of what an operator holds.

Pure: no I/O, no clock. Source: FR-012.

It comes past the data, and only then: in a worker what was sent after it may have overtaken it and
be held already, and is taken back with the rest where it has the same media time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.interruption import CancelledSpan
from engine.payloads import CancelSpeculation

if TYPE_CHECKING:
    from engine.payloads import Control

#: Later than everything that is held.
_EVER_NS: Final = 2**63


def taken_back(control: Control) -> CancelledSpan | None:
    """The span that a message takes back: called with a held packet, it says whether it is meant.

    Uninterruptible packets are not.

    Args:
        control: what the operator was told.

    Returns:
        The span; None where the message is another one.
    """
    message = control.message
    if not isinstance(message, CancelSpeculation):
        return None
    return CancelledSpan(message.from_ns, message.to_ns, _EVER_NS)
