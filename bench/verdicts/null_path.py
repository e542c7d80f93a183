"""How often the t statistic of growing data crosses a boundary at one look or another, where there is no effect.

Of n normal numbers x with mean 0 let u = sum(x) / (sqrt(n) |x|), the cosine of the angle between x and (1, .., 1);
Student's t is sqrt(n - 1) u / sqrt(1 - u^2), so that a two-sided t test at one level refuses where |u| is at least
some c. The direction of x does not depend on its length |x|, hence u at the next look depends on u at this one and on
nothing before it. With m = n' - n more numbers, whose own cosine is v,

    u' = sqrt(n / n') sin(a) u + sqrt(m / n') cos(a) v,

where sin(a)^2 = |x|^2 / |x'|^2 has the law Beta(n / 2, m / 2), and v^2 the law Beta(1 / 2, (m - 1) / 2). The chance of
a crossing is therefore a chain of integrals over one variable, solved from the last look backwards: no simulation.

Source of the design: Jennison and Turnbull, Repeated confidence intervals for group sequential clinical trials,
Controlled Clinical Trials 5, 1984.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebfit, chebpts1, chebval
from numpy.typing import NDArray

ANGLES = 64
"""Nodes of the integral over the share that the earlier numbers have in the length."""
COSINES = 24
"""Nodes of the integral over the cosine of the later numbers."""
DEGREE = 40
"""Of the polynomial that stands for the chance of a later crossing, between two boundaries."""
SMALL = 1e-3
"""Levels that sum to less are only summed: the sum bounds the chance from above, and is 2 % too large at most there."""

Chance = Callable[[Any], Any]
"""u [K] -> chance of crossing at a later look [K]."""


def total_error(looks: Sequence[int], levels: Sequence[float]) -> float:
    """Chance that a two-sided t test at `levels[k]` on the first `looks[k]` numbers refuses a true null at any look.

    Args:
        looks: sample sizes [K], rising by two or more; the first is at least 2.
        levels: nominal levels [K]; one of 1 or more refuses always.

    Raises:
        ValueError: no look, unequal lengths, sizes that do not rise by two, a level that is not positive.
    """
    sizes = list(looks)
    if not sizes or len(sizes) != len(levels):
        raise ValueError(f"one level a look, and one look at least: got looks {sizes} and levels {list(levels)}")
    if sizes[0] < 2 or any(after - before < 2 for before, after in pairwise(sizes)):
        raise ValueError(f"looks start at 2 or later and rise by 2 or more, got {sizes}")
    if not all(level > 0 for level in levels):
        raise ValueError(f"levels are positive, got {list(levels)}")
    if max(levels) >= 1:
        return 1.0
    if sum(levels) < SMALL:
        return float(sum(levels))
    bounds = [_boundary(n, level) for n, level in zip(sizes, levels, strict=True)]
    later: Chance | None = None
    for k in range(len(sizes) - 1, 0, -1):
        later = _one_look_back(sizes[k - 1], sizes[k], bounds[k - 1], bounds[k], later)
    if later is None:
        return float(levels[0])
    u, weight = _nodes(ANGLES, -bounds[0], bounds[0])
    weight = weight * _density(u, sizes[0])
    return float(levels[0] + weight @ later(u))


def calibrated(looks: Sequence[int], total: float) -> tuple[float, ...]:
    """Levels proportional to the sizes of the looks whose `total_error` is `total`, which lies in (0, 1).

    Raises:
        ValueError: as `total_error`.
    """
    from scipy.optimize import brentq

    def excess(level: float) -> float:
        return total_error(looks, [level * n / looks[-1] for n in looks]) - total

    last = brentq(excess, total / len(looks) / 2, total, xtol=1e-10)
    return tuple(last * n / looks[-1] for n in looks)


def _one_look_back(n: int, after: int, bound: float, next_bound: float, later: Chance | None) -> Chance:
    """From the chance of a crossing after the look at `after`, None for no such look, to that after the look at `n`."""
    angle, weight = _nodes(ANGLES, 0, math.pi / 2)
    m = after - n
    weight = weight * np.sin(angle) ** (n - 1) * np.cos(angle) ** (m - 1)
    weight /= weight.sum()
    spread = math.sqrt(m / after) * np.cos(angle)

    def chance(u: NDArray[np.float64]) -> NDArray[np.float64]:
        centre = math.sqrt(n / after) * np.sin(angle) * u[:, None]  # [K, ANGLES]
        low, high = (((side * next_bound) - centre) / spread for side in (-1, 1))
        crossed = _tail(-low, m) + _tail(high, m)
        if later is None:
            return crossed @ weight
        low, high = low.clip(-1, 1)[..., None], high.clip(-1, 1)[..., None]
        at, share = _nodes(COSINES, 0, 1)
        v = low + (high - low) * at
        inside = _density(v, m) * later((centre[..., None] + spread[:, None] * v).clip(-next_bound, next_bound))
        return (crossed + ((high - low) * share * inside).sum(-1)) @ weight

    x = chebpts1(DEGREE + 1)
    table = chebfit(x, chance(bound * x), DEGREE)
    return lambda u: chebval(u / bound, table)


def _boundary(n: int, level: float) -> float:
    """|u| at which the t test of n numbers refuses at this level."""
    from scipy.special import stdtrit

    t = -float(stdtrit(n - 1, level / 2))
    return t / math.sqrt(t * t + n - 1)


def _tail(v: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """P(V >= v) of the cosine V of n numbers."""
    from scipy.special import betainc

    half = betainc((n - 1) / 2, 0.5, 1 - v.clip(-1, 1) ** 2) / 2
    return np.where(v > 0, half, 1 - half)


def _density(u: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Density of the cosine of n numbers."""
    from scipy.special import beta

    return (1 - u * u) ** ((n - 3) / 2) / beta(0.5, (n - 1) / 2)


def _nodes(count: int, low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and weights of Gauss and Legendre between two ends."""
    at, weight = np.polynomial.legendre.leggauss(count)
    return low + (high - low) * (at + 1) / 2, weight * (high - low) / 2
