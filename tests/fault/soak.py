"""Random cells of the kill matrix for some minutes, many sessions on one server.

python -m tests.fault.soak --minutes 10 --seed 7
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.fault.cells import CELLS
from tests.fault.lab import Lab


def main() -> int:
    """Returns how many cells failed, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)  # noqa: T201 - a command
    draw = random.Random(chosen.seed)
    lab = Lab()
    cells = failures = 0
    ends_s = time.monotonic() + chosen.minutes * 60
    try:
        while time.monotonic() < ends_s:
            cell = draw.choice(CELLS)
            cells += 1
            try:
                lab.run(cell)
            except AssertionError as error:
                failures += 1
                notes = "\n".join(getattr(error, "__notes__", ()))
                print(f"{cell}: {error}\n{notes}", flush=True)  # noqa: T201
    finally:
        lab.close()
    print(f"{cells} cells, {failures} failures, seed {chosen.seed}")  # noqa: T201
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
