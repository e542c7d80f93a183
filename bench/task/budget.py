"""How much a method may train: a number of updates of its student, or a number of seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.clock import clock


class Budget:
    """Seconds count from the first question; `spent` tells how far the budget is used up.

    Seconds are processor seconds of this process, so that a busy machine does not shorten a cell's budget; on a GPU
    they are seconds of the clock, since its work is not the process's. They make a cell's numbers depend on the
    machine: two runs need not agree to the last digit, as they do where updates are counted.

    Args:
        steps: updates; ignored where `seconds` are given.
        seconds: or None.
        cuda: whether the work is done on a GPU.
    """

    def __init__(self, steps: int, seconds: float | None = None, *, cuda: bool = False) -> None:
        self.steps = steps
        self.seconds = seconds
        self._clock = clock(cuda)
        self._start: float | None = None

    def spent(self, updates: int) -> float:
        """The share in [0, 1] that is used up after so many updates."""
        if self.seconds is None:
            return min(1.0, updates / self.steps)
        now = self._clock()
        if self._start is None:
            self._start = now
        return min(1.0, (now - self._start) / self.seconds)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What happens inside takes no seconds: the harness looks at the student."""
        before = self._clock()
        yield
        if self._start is not None:
            self._start += self._clock() - before
