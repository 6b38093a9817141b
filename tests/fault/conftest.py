"""One lab for all cells of the matrix; its results are kept where the table is made from them."""

from __future__ import annotations

import json
import os

import pytest

from tests.fault.cells import CELLS
from tests.fault.lab import Lab
from tests.fault.table import RESULTS

#: `make fault` sets it to "all"; else a sample runs.
EVERYTHING = os.environ.get("FAULT") == "all"


@pytest.fixture(scope="module")
def lab():
    lab = Lab()
    yield lab
    lab.close()
    if len(lab.results) == len(CELLS):
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        seconds = {str(cell): round(result.seconds, 3) for cell, result in lab.results.items()}
        RESULTS.write_text(json.dumps(seconds, indent=1))
