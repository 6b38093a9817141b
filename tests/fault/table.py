"""Writes the kill matrix into docs/reliability.md, with the times of the last `make fault`.

make fault && .venv/bin/python -m tests.fault.table
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from tests.fault.cells import CELLS, MEANS, MOMENTS, VICTIMS, Cell, expected, void_reason
from tests.fault.lab import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "out" / "fault" / "matrix.json"
BEGIN = "<!-- the kill matrix: written by python -m tests.fault.table -->"
END = "<!-- end of the kill matrix -->"
NAMES = {
    "server": "The server's process",
    "zygote": "The zygote",
    "first": "The first worker of three",
    "middle": "The middle worker of three",
    "last": "The last worker of three",
    "caller": "The caller: a task that a client's end cancels, or whose own code raises",
}
_VOID = "–"


def text_of(seconds: Mapping[str, float]) -> str:
    """The tables, one per victim.

    Args:
        seconds: cell → how long until all was clean.
    """
    parts = [BEGIN, ""]
    for victim in VICTIMS:
        parts += [f"### {NAMES[victim]}", "", f"| while a worker is | {' | '.join(MEANS)} |"]
        parts.append("|---" * (len(MEANS) + 1) + "|")
        for moment in MOMENTS:
            cells = (Cell(victim, moment, means) for means in MEANS)
            parts.append(f"| {moment} | {' | '.join(_entry(cell, seconds) for cell in cells)} |")
        reasons = dict.fromkeys(
            f"{cell.means}: {void_reason(cell)}"
            for cell in (Cell(victim, moment, means) for means in MEANS for moment in MOMENTS)
            if void_reason(cell)
        )
        parts += ["", *(f"{_VOID} {reason}.  " for reason in reasons), *([""] if reasons else [])]
    return "\n".join([*parts, END])


def _entry(cell: Cell, seconds: Mapping[str, float]) -> str:
    if void_reason(cell):
        return _VOID
    return f"{expected(cell).label}; {seconds[str(cell)]:.2f} s"


def begin_and_end(page: str) -> tuple[str, str, str]:
    """A page in three: before the tables, the tables, behind them."""
    before, _, rest = page.partition(BEGIN)
    table, _, after = rest.partition(END)
    return before, table, after


def outcomes_on(page: str) -> dict[Cell, str]:
    """What a page's tables say of each cell, without the times."""
    victims = {name: victim for victim, name in NAMES.items()}
    found: dict[Cell, str] = {}
    victim = ""
    for line in begin_and_end(page)[1].splitlines():
        if line.startswith("### "):
            victim = victims[line[4:]]
        elif line.startswith("| ") and not line.startswith("| while"):
            moment, *entries = (entry.strip() for entry in line.strip("|").split("|"))
            found |= {
                Cell(victim, moment, means): entry.rpartition("; ")[0]
                for means, entry in zip(MEANS, entries, strict=True)
                if entry != _VOID
            }
    return found


def main() -> None:
    """Rewrite the tables on the page."""
    if not RESULTS.exists():
        sys.exit(f"{RESULTS} is missing: run `make fault` first")
    seconds = json.loads(RESULTS.read_text())
    missing = [str(cell) for cell in CELLS if str(cell) not in seconds]
    if missing:
        sys.exit(f"no times of {', '.join(missing)}: run `make fault` again")
    before, _, after = begin_and_end(PAGE.read_text())
    PAGE.write_text(before + text_of(seconds) + after)


if __name__ == "__main__":
    main()
