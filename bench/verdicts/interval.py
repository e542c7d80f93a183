"""What the seeds of one look say of a mean: a repeated confidence interval, and the p-value of a margin.

The mean of paired differences over n seeds is uncertain by its seeds and by its test examples. With the deviation sd
of the seeds' differences, the standard error s_examples, and the level a of the look,

    half width^2 = (t_{n-1, 1-a/2} sd / sqrt(n))^2 + (z_{1-a/2} s_examples)^2.

Seeds that stand on one set of standard models are one number, their mean.

**Test examples.** `mean_squares` takes from the variance of the examples' means the part that the spread of the seeds
has paid for already. Before that two made-up examples are added, the farthest in favour of either row. Without them
two rows that give the same answers to ten examples have no error at all; with them they have one of sqrt(2) / 12.

**What settles nothing** (`unsettled`): one model, one test example, two rows that are identical, and, where no answers
were kept, differences that are equal at every seed. Of all these the spread is not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.metrics.resampling import mean_squares

LEAST_P = 1e-15
"""A smaller p-value is told as this one, unless the error is 0."""


@dataclass(frozen=True)
class Sample:
    """One number for each distinct standard model of a look, and what is known of the error by test examples."""

    values: tuple[float, ...]
    s_examples: float = 0.0
    """Standard error of the mean by its test examples; 0 where no answers were kept."""
    examples: int | None = None
    """How many test examples; None where no answers were kept."""
    identical: bool = False
    """Whether two rows gave one answer to every example at every seed; one value, where no answers were kept."""

    @property
    def n(self) -> int:
        """Distinct standard models."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Of the values."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float:
        """Deviation of the values, with n - 1; 0 where they are equal."""
        return float(np.std(self.values, ddof=1)) if len(set(self.values)) > 1 else 0.0


@dataclass(frozen=True)
class Interval:
    """A mean between two ends, at the level of a look."""

    mean: float
    low: float
    high: float
    level: float


def sample(
    groups: Sequence[Sequence[int]], values: Mapping[int, float], scores: NDArray[np.int8] | None = None
) -> Sample:
    """The numbers of a look, one a group of seeds.

    Args:
        groups: the seeds by distinct standard model (`looks.Reached.groups`).
        values: seed -> difference of the two rows, or the value of one row.
        scores: int8 [S, N] in {-1, 0, 1}, the difference of the two rows' answers (of one row, its answers) at the
            seeds of `groups`, in their order; None where no answers were kept.

    Raises:
        ValueError: no seed, no example, or another number of lines of scores than of seeds.
    """
    seeds = [seed for group in groups for seed in group]
    if not seeds:
        raise ValueError("a sample needs one seed at least")
    means = tuple(float(np.mean([values[seed] for seed in group])) for group in groups)
    none = not any(values[seed] for seed in seeds)
    if scores is None:
        return Sample(means, identical=none)
    if len(scores) != len(seeds) or not scores.size:
        raise ValueError(f"scores are one line for each of {len(seeds)} seeds, got shape {scores.shape}")
    return Sample(means, example_error(scores), scores.shape[1], identical=none and not scores.any())


def example_error(scores: NDArray[np.int8]) -> float:
    """Standard error, by test examples alone, of the mean of scores [S, N] in {-1, 0, 1}.

    Two examples are made up, one won and one lost at every seed. Source: Bonett and Price, Adjusted Wald confidence
    interval for a difference of binomial proportions based on paired data, J. Educ. Behav. Stat. 37, 2012.
    """
    made_up = np.broadcast_to(np.array([-1, 1], dtype=np.int8), (len(scores), 2))
    between, rest = mean_squares(np.concatenate([scores, made_up], 1))
    return math.sqrt(max(0.0, between - rest) / (scores.shape[1] + 2))


def half_width(n: int, sd: float, s_examples: float, level: float) -> float:
    """Half the width of the interval of n values at a level, in the units of the values (see the head of this file).

    Raises:
        ValueError: fewer than two values.
    """
    from scipy.special import ndtri, stdtrit

    if n < 2:
        raise ValueError(f"an interval over seeds needs two values or more, got {n}")
    by_seeds = float(stdtrit(n - 1, 1 - level / 2)) * sd / math.sqrt(n)
    return math.hypot(by_seeds, float(ndtri(1 - level / 2)) * s_examples)


def interval(found: Sample, level: float) -> Interval:
    """The interval of a sample's mean. Raises ValueError for fewer than two values."""
    half = half_width(found.n, found.sd, found.s_examples, level)
    return Interval(found.mean, found.mean - half, found.mean + half, level)


def unsettled(found: Sample) -> str:
    """Why a sample of differences settles nothing; empty where it may."""
    if found.n < 2:
        return "one distinct standard model: nothing is known of the spread over seeds"
    if found.examples == 1:
        return "one test example"
    if found.identical:
        return "the two rows are identical"
    if found.sd == 0 and found.examples is None:
        return "the difference is the same at every seed, and no answers were kept: its spread is not known"
    return ""


def margin_p(found: Sample, margin: float) -> float:
    """The two-sided p-value of the mean being `margin`: the level at which the interval just reaches it.

    It is exact where one of the two errors is 0 (Student's t, the normal law). Else it stands on the interval's own
    approximation, that quantiles of independent errors add in quadrature; so that p < a where the interval at level a
    does not hold the margin, and only there.

    Raises:
        ValueError: fewer than two values.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, stdtr

    away = abs(found.mean - margin)
    by_seeds = found.sd / math.sqrt(found.n)
    if half_width(found.n, found.sd, found.s_examples, 0.5) == 0:
        return 0.0 if away else 1.0
    if not found.s_examples:
        return 2 * float(stdtr(found.n - 1, -away / by_seeds))
    if not by_seeds:
        return 2 * float(ndtr(-away / found.s_examples))

    def excess(log_level: float) -> float:
        return half_width(found.n, found.sd, found.s_examples, math.exp(log_level)) - away

    least = math.log(LEAST_P)
    if excess(0.0) >= 0:
        return 1.0
    return math.exp(brentq(excess, least, 0.0, xtol=1e-12)) if excess(least) > 0 else LEAST_P
