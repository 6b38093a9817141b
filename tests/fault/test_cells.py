"""The matrix as data, and the page made of it."""

from __future__ import annotations

import itertools

from tests.fault.cells import (
    CELLS,
    EVERY,
    MEANS,
    MOMENTS,
    VICTIMS,
    VOID,
    Cell,
    covering_sample,
    expected,
    void_reason,
)
from tests.fault.table import PAGE, begin_and_end, outcomes_on, text_of

CELLS_MAX_IN_SAMPLE = 60


def test_every_cell_is_either_run_or_void_with_a_reason():
    assert len(EVERY) == len(VICTIMS) * len(MOMENTS) * len(MEANS)
    assert all(bool(void_reason(cell)) != (cell in CELLS) for cell in EVERY)
    assert all(expected(cell).label for cell in CELLS)


def test_every_void_reason_is_about_cells_of_the_matrix():
    for victim, moment, means in VOID:
        assert victim in VICTIMS
        assert moment in {*MOMENTS, "*"}
        assert means in MEANS


def test_the_sample_has_each_pair_that_can_meet_and_is_always_the_same():
    def pairs(cells):
        return {
            pair
            for cell in cells
            for pair in itertools.combinations((cell.victim, cell.moment, cell.means), 2)
        }

    sample = covering_sample()
    assert pairs(sample) == pairs(CELLS)
    assert {*itertools.product(VICTIMS, MOMENTS)} <= pairs(sample)
    assert len(sample) <= CELLS_MAX_IN_SAMPLE
    assert sample == covering_sample()


def test_the_page_has_the_matrix_that_is_run():
    before, _, after = begin_and_end(PAGE.read_text())
    assert before
    assert after
    shown = outcomes_on(PAGE.read_text())
    assert shown == {cell: expected(cell).label for cell in CELLS}


def test_a_table_reads_back_as_it_was_written():
    seconds = {str(cell): number / 100 for number, cell in enumerate(CELLS)}
    text = text_of(seconds)
    assert outcomes_on(text) == {cell: expected(cell).label for cell in CELLS}
    first = Cell("first", "idle", "SIGKILL")
    assert f"{seconds[str(first)]:.2f} s" in text
