"""The kill matrix, each cell on a real server: `make fault` runs all, `make test` a sample."""

from __future__ import annotations

import pytest

from tests.fault.cells import CELLS, covering_sample
from tests.fault.conftest import EVERYTHING

pytestmark = [pytest.mark.process, pytest.mark.fault]


@pytest.mark.parametrize("cell", CELLS if EVERYTHING else covering_sample(), ids=str)
def test_whoever_is_hit_the_caller_knows_and_nothing_is_left(lab, cell):
    lab.run(cell)
