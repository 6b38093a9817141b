"""A factor that changes in a straight line, so that nothing clicks.

Pure: no I/O, no clock. Source: FR-002. Counted in frames: what comes out does not depend on how the
audio was packed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class Ramp:
    """What samples are multiplied by, on its way from one factor to another, or there."""

    def __init__(self, factor: float) -> None:
        """Begin at a factor, and stay there."""
        self._target = factor
        #: The ramp under way: from this factor, in so many frames, of which so many are done.
        self._from = factor
        self._length = 0
        self._done = 0
        self._changes = False

    def go_to(self, factor: float) -> None:
        """Go to another factor, from the one that is reached by now."""
        self._from = self._current
        self._target = factor
        self._length = self._done = 0
        self._changes = True  # its length in frames is known with the next frames' rate

    def settle(self) -> None:
        """Be there at once."""
        self._from = self._target
        self._length = self._done = 0
        self._changes = False

    def factors(
        self, frames: int, sample_rate: int, ramp_ms: float
    ) -> float | npt.NDArray[np.float64]:
        """The factor of the next frames: one number, or along a ramp of shape (frames, 1).

        Args:
            frames: how many.
            sample_rate: Hz.
            ramp_ms: how long a ramp takes that begins with them.
        """
        if self._changes:
            self._changes = False
            self._length = round(sample_rate * ramp_ms / 1000)
        left = self._length - self._done
        if left <= 0:
            return self._target
        ramp = min(left, frames)
        factors = np.full((frames, 1), self._target)
        steps = np.arange(self._done + 1, self._done + ramp + 1)
        factors[:ramp, 0] = self._from + (self._target - self._from) * steps / self._length
        self._done += ramp
        return factors

    @property
    def _current(self) -> float:
        """The factor reached by now."""
        if self._changes:
            return self._from
        if self._done >= self._length:
            return self._target
        return self._from + (self._target - self._from) * self._done / self._length
