"""Which seeds to run next: those that decide most claims an hour.

What the next look will show is predicted from this one. With n values of mean and deviation sd now, the mean of n'
values is mean + T sd sqrt(1 / n - 1 / n') with Student's T of n - 1 degrees of freedom (the predictive law under a flat
prior). The error by test examples and the width of the next interval are taken to stay as the present ones are.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.verdicts.interval import Sample, half_width, unsettled
from bench.verdicts.looks import Look, Schedule

POWER = 0.8
STRATA = 200
"""Of the law of the spread that n seeds show."""
MOST_SEEDS = 9999
"""More seeds than that are never run: a claim that needs them stays undecided."""


def chance_of_decision(found: Sample, look: Look, margin: float, equal_within: float | None = None) -> float:
    """Predictive probability that the next look answers holds, fails or equal.

    Args:
        found: the differences of now, of two or more seeds.
        look: the next look, of more seeds.
        margin: the claim's margin.
        equal_within: half the width of the region of equality, where the claim has one.

    Returns:
        0 where the sample settles nothing (`interval.unsettled`): it has no spread to predict from.

    Raises:
        ValueError: a look that is not ahead.
    """
    if look.n <= found.n:
        raise ValueError(f"the next look is of more seeds than there are: got {look.n} after {found.n}")
    if unsettled(found):
        return 0.0
    half = half_width(look.n, found.sd, found.s_examples, look.level)
    scale = found.sd * math.sqrt(1 / found.n - 1 / look.n)

    def below(value: float) -> float:
        return _below(value - found.mean, scale, found.n - 1)

    decided = below(margin - half) + 1 - below(margin + half)
    if equal_within is not None:
        low, high = max(half - equal_within, margin - half), min(equal_within - half, margin + half)
        decided += max(0.0, below(high) - below(low))
    return decided


def seeds_to_decide(
    found: Sample, schedule: Schedule, margin: float, equal_within: float | None = None, power: float = POWER
) -> int | None:
    """The least number of seeds at which a claim would hold, fail or be equal with a probability of `power`.

    Mean and deviation are taken for the true ones, and the level is that of the schedule's last look. None where
    `MOST_SEEDS` do not suffice, or where the sample settles nothing.
    """
    level = schedule.looks[-1].level

    def enough(n: int) -> bool:
        return _power(n, found, level, margin, equal_within) >= power

    if unsettled(found) or not enough(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS  # one seed is too few, the most are enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


@dataclass(frozen=True)
class Candidate:
    """A claim that is not decided, and what its next look costs."""

    claim: str
    chance: float
    """That the next look decides it."""
    cells: Mapping[Hashable, float]
    """Cell (scenario, row, seed) that the next look waits for -> seconds that it is expected to take."""


@dataclass(frozen=True)
class Step:
    """One step of a plan: the cells that bring one claim to its next look."""

    claim: str
    chance: float
    cells: tuple[Hashable, ...]
    """Those that no earlier step of the plan runs."""
    seconds: float
    """Of those cells."""


def plan(candidates: Iterable[Candidate], budget: float = math.inf) -> list[Step]:
    """Steps in the order of chance over seconds, greedily: what an earlier step runs costs later ones nothing.

    Claims that no further seeds can decide at the next look are left out, and so are steps that do not fit into what
    is left of the budget.

    Args:
        candidates: undecided claims.
        budget: seconds of all steps together.
    """
    waiting = {c.claim: c for c in candidates if c.chance > 0}
    steps: list[Step] = []
    planned: set[Hashable] = set()
    left = budget
    while waiting:
        costs = {name: sum(s for cell, s in c.cells.items() if cell not in planned) for name, c in waiting.items()}
        fitting = [name for name, seconds in costs.items() if seconds <= left]
        if not fitting:
            break
        name = max(fitting, key=lambda name: _worth(waiting[name].chance, costs[name]))
        candidate = waiting.pop(name)
        cells = tuple(cell for cell in candidate.cells if cell not in planned)
        steps.append(Step(name, candidate.chance, cells, costs[name]))
        planned.update(cells)
        left -= costs[name]
    return steps


def _worth(chance: float, seconds: float) -> tuple[float, float]:
    """Chance an hour, and the chance where the cells cost nothing."""
    return (chance / seconds if seconds else math.inf), chance


def _below(value: float, scale: float, freedom: int) -> float:
    """P(scale T < value), and where the scale is 0, whether 0 < value (0.5 at 0)."""
    from scipy.special import stdtr

    if scale == 0:
        return (math.copysign(1, value) + 1) / 2 if value else 0.5
    return float(stdtr(freedom, value / scale))


def _power(n: int, found: Sample, level: float, margin: float, equal_within: float | None) -> float:
    """Probability that the interval of n seeds leaves out the margin, or lies in the region of equality.

    Given the spread of the n seeds, the power is that of the normal law; it is averaged over the spread's own law, in
    equally likely strata.
    """
    from scipy.special import chdtri, ndtr

    mean, sd = found.mean, found.sd
    freedom = np.array([0.0]) if sd == 0 else chdtri(n - 1, (np.arange(STRATA) + 0.5) / STRATA)
    by_seeds = half_width(n, 1.0, 0.0, level) * sd * np.sqrt(freedom / (n - 1))
    halves = np.hypot(by_seeds, half_width(n, 0.0, found.s_examples, level))
    scale = sd / math.sqrt(n)

    def below(value: NDArray[np.float64]) -> NDArray[np.float64]:
        away = value - mean
        return ndtr(away / scale) if scale else (np.sign(away) + 1) / 2

    decided = below(margin - halves) + 1 - below(margin + halves)
    if equal_within is not None:
        low = np.maximum(halves - equal_within, margin - halves)
        high = np.minimum(equal_within - halves, margin + halves)
        decided = decided + np.maximum(0.0, below(high) - below(low))
    return float(decided.mean())
