"""The bits of a packet's flags. Pure, and without numpy: a zygote reads this before it has any."""

from __future__ import annotations

from typing import Final

#: An interrupt does not remove this packet.
FLAG_UNINTERRUPTIBLE: Final = 1
#: At least one packet before this one was dropped, on an edge or where a node restarts.
FLAG_GAP: Final = 2
