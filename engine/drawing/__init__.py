"""A plan as a drawing: Mermaid text, or an SVG with a layout of our own. Pure: no I/O, no clock.

Plan ─▶ scene (what is drawn, in words) ─▶ layout (where) ─▶ svg
  └───▶ mermaid (which lays it out itself)
"""

from __future__ import annotations

from engine.drawing.mermaid import to_mermaid
from engine.drawing.svg import to_svg

__all__ = ["to_mermaid", "to_svg"]
