"""The time that a run still takes, learnt as it goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.running.plan import Cell


class Pace:
    """Seconds of what is done, and from them those of what waits.

    A waiting cell takes as long as its row did in this run, else as long as records say, else as the cells of its
    scenario did in this run, else as the mean cell of this run, else as a standard model. Of models the median counts:
    the first ones contain the start of their workers.

    Args:
        cells: all that wait.
        expected: cell key -> seconds by earlier records, where there are any.
        models: standard models to train.
        jobs: how many things are computed at once.
    """

    def __init__(self, cells: Iterable[Cell], expected: Mapping[str, float], models: int, jobs: int) -> None:
        self.waiting = {cell.key: cell for cell in cells}
        self.models, self.trained = models, 0
        self._expected, self._jobs = expected, jobs
        self._rows: dict[tuple[str, str], list[float]] = {}
        self._scenarios: dict[str, list[float]] = {}
        self._models: list[float] = []

    def model(self, seconds: float) -> None:
        """A standard model is trained."""
        self.trained += 1
        self._models.append(seconds)

    def cell(self, cell: Cell, seconds: float | None) -> None:
        """A cell waits no more; None where its seconds say nothing."""
        self.waiting.pop(cell.key, None)
        if seconds is not None:
            self._rows.setdefault((cell.scenario.name, cell.row.label), []).append(seconds)
            self._scenarios.setdefault(cell.scenario.name, []).append(seconds)

    def left(self) -> float | None:
        """Seconds until the end; None as long as nothing like what waits is known."""
        models = max(0, self.models - self.trained)
        if models and not self._models:
            return None
        known = [s for cell in self.waiting.values() if (s := self._seconds(cell)) is not None]
        if self.waiting and not known:
            return None
        unknown = len(self.waiting) - len(known)
        cells = sum(known) + (unknown * _mean(known) if known else 0.0)
        return (cells + (models * median(self._models) if models else 0.0)) / self._jobs

    def _seconds(self, cell: Cell) -> float | None:
        name = cell.scenario.name
        if own := self._rows.get((name, cell.row.label)):
            return _mean(own)
        if cell.key in self._expected:
            return self._expected[cell.key]
        if like := self._scenarios.get(name):
            return _mean(like)
        every = [seconds for found in self._scenarios.values() for seconds in found]
        if every:
            return _mean(every)
        return median(self._models) if self._models else None


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
